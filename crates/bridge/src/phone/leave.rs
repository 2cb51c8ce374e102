//! Out of the bridge and back to mode 1.

use std::time::Duration;

use iosmux_usb::Mode;

use super::event::{Action, Work};
use super::machine::Machine;
use super::reason::Reason;
use super::state::State;

/// The mode that a phone is given back in. Source: protocol.md §1.3.
pub(super) const MODE: u8 = Mode::Initial.number();

/// How often it is asked for.
const ATTEMPTS: u32 = 2;

/// The way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leaving {
    pub(super) keep: bool,
    pub(super) until: Duration,
    /// The bridge was left, or can't be.
    pub(super) left: bool,
    /// Mode 1 was consented to, or not answered in time, and until when its departure is awaited.
    pub(super) restored: Option<Duration>,
    pub(super) attempts: u32,
    /// What failed last.
    pub(super) trouble: Option<String>,
}

impl Machine {
    /// It is wanted no longer.
    pub(super) fn stop(&mut self, now: Duration, keep: bool, out: &mut Vec<Action>) {
        if self.leaving.is_some() {
            return;
        }
        if self.wanted.refusal.is_some() {
            // It was never touched.
            return self.finish(now, None, out);
        }
        let until = now.saturating_add(self.policy.restore);
        self.leaving = Some(Leaving { keep, until, left: false, restored: None, attempts: 0, trouble: None });
        (self.hold, self.pause, self.wait) = (None, None, None);
        self.enter(State::Restoring, None, out);
        match self.work {
            // A mode that is on its way is awaited: a second one beside it would have an outcome that nobody knows.
            Some((Work::SetMode(_) | Work::Look, _)) => {}
            Some(_) => {
                out.push(Action::Abandon);
                self.work = None;
                // What was abandoned may have happened.
                self.begin(now, Work::Look, out);
            }
            None => {}
        }
    }

    /// The next step on the way back.
    pub(super) fn leave(&mut self, now: Duration, out: &mut Vec<Action>) {
        let Some(leaving) = self.leaving.clone() else { return };
        if now >= leaving.until || leaving.restored.is_some_and(|until| now >= until) {
            let reason = self.overdue(&leaving);
            return self.finish(now, reason, out);
        }
        if self.pause.is_some_and(|until| now < until) || self.work.is_some() {
            return;
        }
        self.pause = None;
        if self.userspace.is_some() {
            return self.begin(now, Work::StopUserspace, out);
        }
        if let Some(port) = self.joined_port().filter(|_| !leaving.left) {
            return self.begin(now, Work::Detach { port }, out);
        }
        if leaving.keep {
            return self.finish(now, None, out);
        }
        self.give_back(now, &leaving, out);
    }

    /// Its time is over: why it is not in mode 1.
    fn overdue(&self, leaving: &Leaving) -> Option<Reason> {
        let limit = self.policy.restore.as_secs();
        let text = match (leaving.restored, &leaving.trouble) {
            (Some(_), _) if !self.is_to_be_given_back() => return None,
            (Some(_), _) => "it was asked and did not leave USB for it".to_owned(),
            (None, None) => format!("there was no end of it within {limit} s"),
            (None, Some(trouble)) => format!("there was no end of it within {limit} s, and last {trouble}"),
        };
        Some(Reason::NotRestored { text })
    }

    /// Whether it is here in a mode with NCM. One whose descriptors can't be read since it was switched is switched back as well.
    fn is_to_be_given_back(&self) -> bool {
        self.picture.usb.as_ref().is_some_and(|usb| match &usb.layout {
            Ok(layout) => layout.ncm.is_some(),
            Err(_) => self.switched,
        })
    }

    /// The interface that is a port of our bridge, by this run or one before.
    fn joined_port(&self) -> Option<u32> {
        let port = self.picture.port.as_ref()?;
        let ours = self.picture.bridge.as_ref().map(|bridge| bridge.index);
        let master = port.master?;
        (Some(master) == ours || Some(master) == self.attached).then_some(port.index)
    }

    fn give_back(&mut self, now: Duration, leaving: &Leaving, out: &mut Vec<Action>) {
        // Its departure to one mode or the other is awaited; the deadlines are above.
        if self.sent.is_some_and(|sent| now < sent.until) || leaving.restored.is_some() {
            return;
        }
        if !self.is_to_be_given_back() {
            return self.finish(now, None, out);
        }
        if leaving.attempts >= ATTEMPTS {
            let text = "it was asked and refused, or gave no answer".to_owned();
            return self.finish(now, Some(Reason::NotRestored { text }), out);
        }
        if !self.open {
            return self.begin(now, Work::Open, out);
        }
        if let Some(leaving) = &mut self.leaving {
            leaving.attempts = leaving.attempts.saturating_add(1);
        }
        self.begin(now, Work::SetMode(MODE), out);
    }

    /// Work failed on the way back: what can be left out is, what can be tried again is, within the deadline.
    pub(super) fn failed_to_leave(&mut self, now: Duration, work: Work, text: &str) {
        tracing::warn!(%work, reason = text, "failed on the way back");
        let Some(leaving) = &mut self.leaving else { return };
        match work {
            Work::Detach { .. } => leaving.left = true,
            Work::StopUserspace => {}
            _ => {
                leaving.trouble = Some(format!("{work} failed: {text}"));
                self.pause = Some(now.saturating_add(self.policy.pause));
            }
        }
    }
}
