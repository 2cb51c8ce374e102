//! From any mode to one with NCM.

use std::time::Duration;

use super::event::{Action, Work};
use super::machine::{Hold, Machine};
use super::reason::Reason;
use super::state::State;

/// A mode that was consented to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) mode: u8,
    pub(super) until: Duration,
}

impl Machine {
    /// The phone is here and offers no NCM configuration.
    pub(super) fn switch(&mut self, now: Duration, out: &mut Vec<Action>) {
        if let Some(sent) = self.sent {
            if now < sent.until {
                return self.enter(State::Switching, None, out);
            }
            self.sent = None;
            self.not_switched(now, false, out);
            if self.hold.is_some() || self.pause.is_some() {
                return;
            }
        }
        if self.memory.is_suspicious(&self.policy, now) {
            return self.begin(now, Work::FindMeddlers, out);
        }
        if !self.open {
            return self.begin(now, Work::Open, out);
        }
        if !self.asked_mode {
            return self.begin(now, Work::GetMode, out);
        }
        self.enter(State::ModeQueried, None, out);
        self.enter(State::Switching, None, out);
        self.begin(now, Work::SetMode(self.wanted.mode.number()), out);
    }

    /// It consented, or left while it answered.
    pub(super) fn consented(&mut self, now: Duration, mode: u8) {
        match &mut self.leaving {
            Some(leaving) if mode == super::leave::MODE => {
                leaving.restored = Some(now.saturating_add(self.policy.departure));
            }
            _ => {
                self.switched = true;
                let until = now.saturating_add(self.policy.re_enumeration);
                self.sent = Some(Sent { mode, until });
            }
        }
    }

    /// It is not on USB, which is right only while it changes its mode.
    pub(super) fn absent(&mut self, now: Duration, out: &mut Vec<Action>) {
        let Some(sent) = self.sent else { return self.finish(now, None, out) };
        if now < sent.until {
            return self.enter(State::Switching, None, out);
        }
        let after = self.policy.re_enumeration;
        self.finish(now, Some(Reason::NotBack { mode: sent.mode, after }), out);
    }

    /// It consented and is here without NCM.
    pub(super) fn not_switched(&mut self, now: Duration, came_back: bool, out: &mut Vec<Action>) {
        self.unswitched = self.unswitched.saturating_add(1);
        let attempts = self.unswitched;
        if attempts < self.policy.attempts {
            self.pause = Some(now.saturating_add(self.policy.pause_after(attempts)));
            return;
        }
        let mode = self.wanted.mode.number();
        self.keep_held(now, Reason::NotSwitched { mode, came_back, attempts }, Hold::for_good(), out);
    }

    /// It refused the mode.
    pub(super) fn mode_refused(&mut self, now: Duration, answer: Option<u8>, out: &mut Vec<Action>) {
        self.refusals = self.refusals.saturating_add(1);
        let attempts = self.refusals;
        if attempts < self.policy.attempts {
            self.pause = Some(now.saturating_add(self.policy.pause_after(attempts)));
            return;
        }
        let mode = self.wanted.mode.number();
        self.keep_held(now, Reason::ModeRefused { mode, answer, attempts }, Hold::for_good(), out);
    }
}
