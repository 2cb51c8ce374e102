//! What each piece of work's end means.

use std::time::Duration;

use iosmux_usb::ModeReply;
use iosmux_usb::mode::ACCEPTED;

use super::event::{Action, Failure, Outcome, Work};
use super::leave::MODE;
use super::machine::{Hold, Machine};
use super::reason::Reason;
use super::state::State;
use crate::ports::Holder;

impl Machine {
    /// The work under way is done; an end that belongs to other work is one that was abandoned.
    pub(super) fn done(&mut self, now: Duration, outcome: Outcome, out: &mut Vec<Action>) {
        let Some((work, _)) = self.work else { return };
        let look = match (work, outcome) {
            (Work::Open, Outcome::Opened) => {
                self.open = true;
                false
            }
            (Work::GetMode, Outcome::Mode(answer)) => {
                self.mode = ModeReply::from_bytes(&answer);
                self.asked_mode = true;
                false
            }
            (Work::SetMode(mode), Outcome::ModeSet(answer)) => {
                self.work = None;
                return self.mode_set(now, mode, answer.first().copied(), out);
            }
            (Work::SetConfiguration(_), Outcome::ConfigurationSet) => {
                // The next picture shows whether it stays: one that does not was taken.
                self.configured = true;
                true
            }
            (Work::FindMeddlers, Outcome::Meddlers(by)) => {
                self.work = None;
                return self.meddlers(now, by, out);
            }
            (Work::StartUserspace(_), Outcome::UserspaceStarted(index)) => {
                // Another interface, which was in no bridge yet.
                (self.userspace, self.attached) = (Some(index), None);
                true
            }
            (Work::StopUserspace, Outcome::UserspaceStopped) => {
                (self.userspace, self.attached) = (None, None);
                true
            }
            (Work::Attach { bridge, .. }, Outcome::Attached) => {
                self.attached = Some(bridge);
                true
            }
            (Work::Detach { .. }, Outcome::Detached) => {
                self.attached = None;
                if let Some(leaving) = &mut self.leaving {
                    leaving.left = true;
                }
                true
            }
            (Work::Inspect, Outcome::Inspected(dropped)) => {
                self.dropped = dropped;
                false
            }
            _ => return,
        };
        self.work = None;
        if look {
            self.begin(now, Work::Look, out);
        }
    }

    fn mode_set(&mut self, now: Duration, mode: u8, answer: Option<u8>, out: &mut Vec<Action>) {
        if answer == Some(ACCEPTED) {
            return self.consented(now, mode);
        }
        if self.leaving.is_some() {
            let text = format!("it answered {answer:02x?}");
            return self.failed_to_leave(now, Work::SetMode(mode), &text);
        }
        self.mode_refused(now, answer, out);
    }

    /// Who may have taken mode or configuration, and what that means.
    fn meddlers(&mut self, now: Duration, by: Vec<Holder>, out: &mut Vec<Action>) {
        let ncm = self.picture.usb.as_ref().and_then(super::picture::Usb::ncm);
        if let Some(ncm) = ncm {
            let came = self.picture.usb.as_ref().and_then(|usb| usb.configuration);
            let (wanted, times) = (ncm.configuration, self.taken);
            // Somebody who chooses the right one makes peace.
            let hold = Hold { configuration: Some(wanted), ..Hold::for_good() };
            self.taken = 0;
            return self.keep_held(now, Reason::ConfigurationTaken { wanted, came, by, times }, hold, out);
        }
        // Drivers choose configurations, not modes.
        let by: Vec<Holder> = by.into_iter().filter(|one| !matches!(one, Holder::Driver(_))).collect();
        let times = self.memory.judge(&self.policy, &by);
        if times >= self.policy.attempts {
            let mode = self.wanted.mode.number();
            self.keep_held(now, Reason::SwitchedBack { mode, by, times }, Hold::for_good(), out);
        } else if times > 0 {
            tracing::warn!(times, by = crate::ports::named(&by), "the phone's mode was taken back");
        }
    }

    /// The work under way failed.
    pub(super) fn failed(&mut self, now: Duration, failure: Failure, out: &mut Vec<Action>) {
        let Some((work, _)) = self.work.take() else { return };
        // Whether a mode without an answer was taken is seen on the bus, and nothing is asked before.
        if let Work::SetMode(mode) = work
            && matches!(failure, Failure::Gone | Failure::Late)
        {
            self.consented(now, mode);
            return;
        }
        if work == Work::StopUserspace {
            // It ends later, or has: its interface is used no more.
            (self.userspace, self.attached) = (None, None);
        }
        if self.leaving.is_some() {
            return self.failed_to_leave(now, work, &failure.to_string());
        }
        let retry = Hold::until(now.saturating_add(self.policy.retry));
        match (work, failure) {
            (Work::GetMode, Failure::Refused) => {
                self.keep_held(now, Reason::TooOld, Hold::for_good(), out);
            }
            (Work::SetMode(_), Failure::Refused) => self.mode_refused(now, None, out),
            // A node is root's until udev has given it to its group.
            (Work::Open, Failure::Denied { .. }) if self.is_new(now) => {
                self.pause = Some(now.saturating_add(self.policy.pause));
            }
            (_, Failure::Denied { what }) => {
                self.failures = self.failures.saturating_add(1);
                let until = now.saturating_add(self.policy.pause_after(self.failures.saturating_add(2)));
                self.keep_held(now, Reason::Denied { what }, Hold::until(until), out);
            }
            (Work::SetConfiguration(_) | Work::StartUserspace(_), Failure::Busy { holders }) => {
                let drivers = self.picture.usb.as_ref().map(|usb| usb.drivers.clone());
                self.keep_held(now, Reason::Busy { holders }, Hold { drivers, ..retry }, out);
            }
            // What was looked for is not worth an attempt: it is a name less in a sentence.
            (Work::FindMeddlers, _) => self.meddlers(now, Vec::new(), out),
            (Work::Inspect, _) => {}
            // What there is to see was late, and that is not the phone's doing.
            (Work::Look, Failure::Late) => self.begin(now, Work::Look, out),
            (work, failure) => self.fail(now, work.to_string(), failure.to_string(), out),
        }
    }

    /// Whether it is at its address for so short a time that udev may be at work.
    fn is_new(&self, now: Duration) -> bool {
        self.arrived.is_none_or(|at| now.saturating_sub(at) < self.policy.node)
    }

    /// Something failed that may go away: after a pause it is tried again, and after some in a row that is told.
    pub(super) fn fail(&mut self, now: Duration, what: String, text: String, out: &mut Vec<Action>) {
        self.failures = self.failures.saturating_add(1);
        let attempts = self.failures;
        tracing::debug!(what, text, attempts, "failed");
        if attempts < self.policy.failures {
            self.pause = Some(now.saturating_add(self.policy.pause_after(attempts)));
            return;
        }
        let hold = Hold::until(now.saturating_add(self.policy.retry));
        self.keep_held(now, Reason::Failing { what, text, attempts }, hold, out);
    }

    /// The userspace driver ended by itself.
    pub(super) fn userspace_ended(&mut self, now: Duration, text: String, out: &mut Vec<Action>) {
        self.userspace = None;
        self.attached = None;
        if self.leaving.is_some() {
            return;
        }
        if self.state == State::Joined || self.state == State::NetdevUp {
            self.enter(State::Configured, None, out);
        }
        self.fail(now, "iosmux' own NCM driver".to_owned(), text, out);
    }
}

/// The mode that a phone is given back in is none that is asked for on the way to the bridge.
const _: () = assert!(MODE == 1);
