//! The machine: events in, actions out, and what it waits for.

use std::time::Duration;

use iosmux_usb::ModeReply;

use super::event::{Action, Event, Failure, Work};
use super::leave::Leaving;
use super::memory::Memory;
use super::picture::{Picture, Usb};
use super::policy::{Policy, Wanted};
use super::reason::Reason;
use super::state::State;
use super::switch::Sent;
use crate::ports::{Address, Bound, Dropped};

/// One phone, from its arrival until it is gone. Its own change of address is part of it; any other ends it.
#[derive(Debug)]
pub struct Machine {
    pub(super) wanted: Wanted,
    pub(super) policy: Policy,
    pub(super) picture: Picture,
    pub(super) memory: Memory,
    /// Whether it is on the way back, until when, and whether its mode stays.
    pub(super) leaving: Option<Leaving>,
    pub(super) work: Option<(Work, Duration)>,
    pub(super) pause: Option<Duration>,
    /// What is waited for, since when, and until when unless that is over.
    pub(super) wait: Option<(Wait, Duration, Option<Duration>)>,
    pub(super) hold: Option<Hold>,
    /// Whether the handle is open.
    pub(super) open: bool,
    pub(super) mode: Option<ModeReply>,
    pub(super) asked_mode: bool,
    /// A mode that it consented to, until it is back.
    pub(super) sent: Option<Sent>,
    pub(super) refusals: u32,
    pub(super) unswitched: u32,
    pub(super) configured: bool,
    pub(super) taken: u32,
    /// The interface that joins under a name that udev has not finished with, because that took too long.
    pub(super) unnamed: Option<u32>,
    pub(super) userspace: Option<u32>,
    /// The bridge that the interface was made a port of.
    pub(super) attached: Option<u32>,
    /// Whether it was to be isolated in it.
    pub(super) isolated: bool,
    /// The bridge that was wanted before.
    pub(super) former: Option<u32>,
    pub(super) attaches: u32,
    pub(super) failures: u32,
    pub(super) has_ncm: bool,
    /// Whether this run changed its mode.
    pub(super) switched: bool,
    pub(super) joined_at: Option<Duration>,
    /// Since when it is on the bridge, or waits with its NCM configuration for what has a name.
    pub(super) shown_at: Option<Duration>,
    /// When the firewall was looked at last.
    pub(super) inspected: Option<Duration>,
    pub(super) dropped: Option<Dropped>,
    pub(super) state: State,
    pub(super) reason: Option<Reason>,
    address: Address,
    /// When it was first seen there.
    pub(super) arrived: Option<Duration>,
}

/// What is waited for until a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    Rule,
    Netdev,
    Naming,
    Port,
    ForwardDelay,
    Carrier,
}

/// A reason that stays until something changes or a time comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) until: Option<Duration>,
    /// The drivers at the time, where another picture of them ends it.
    pub(super) drivers: Option<Vec<Bound>>,
    /// The configuration whose choice by somebody else ends it.
    pub(super) configuration: Option<u8>,
}

impl Machine {
    /// A phone that was just found at this address.
    pub fn new(policy: Policy, wanted: Wanted, memory: Memory, address: Address) -> Self {
        Self {
            wanted,
            policy,
            picture: Picture::default(),
            memory,
            leaving: None,
            work: None,
            pause: None,
            wait: None,
            hold: None,
            open: false,
            mode: None,
            asked_mode: false,
            sent: None,
            refusals: 0,
            unswitched: 0,
            configured: false,
            taken: 0,
            unnamed: None,
            userspace: None,
            attached: None,
            isolated: false,
            former: None,
            attaches: 0,
            failures: 0,
            has_ncm: false,
            switched: false,
            joined_at: None,
            shown_at: None,
            inspected: None,
            dropped: None,
            state: State::Seen,
            reason: None,
            address,
            arrived: None,
        }
    }

    /// Where it is.
    pub fn state(&self) -> State {
        self.state
    }

    /// Why.
    pub fn reason(&self) -> Option<&Reason> {
        self.reason.as_ref()
    }

    /// What it was last seen as.
    pub fn picture(&self) -> &Picture {
        &self.picture
    }

    /// Its answer to GET_MODE.
    pub fn mode(&self) -> Option<ModeReply> {
        self.mode
    }

    /// What drops frames behind it, as far as was looked.
    pub fn dropped(&self) -> Option<&Dropped> {
        self.dropped.as_ref()
    }

    /// The userspace driver's interface, if that runs.
    pub fn userspace(&self) -> Option<u32> {
        self.userspace
    }

    /// What is wanted of it.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// The interface to look at, in a phone that looks like this.
    pub fn interface(&self, usb: &Usb) -> Option<u32> {
        self.userspace.or_else(|| usb.interface().map(|netdev| netdev.index))
    }

    /// Changes what is wanted. A phone that is allowed no more is to be stopped instead.
    pub fn want(&mut self, wanted: Wanted) {
        if self.wanted != wanted {
            if self.wanted.bridge != wanted.bridge {
                self.former = self.picture.bridge.as_ref().map(|bridge| bridge.index);
            }
            self.wanted = wanted;
            self.hold = None;
        }
    }

    /// What to remember when it is gone.
    pub fn memory(&self) -> Memory {
        self.memory
    }

    /// When [`Event::Tick`] is wanted next.
    pub fn deadline(&self) -> Option<Duration> {
        if self.state == State::Gone {
            return None;
        }
        let leaving = self.leaving.as_ref().map(|leaving| [Some(leaving.until), leaving.restored]);
        // While work is under way, in a pause and while it is held nothing else is decided.
        let hold = self.hold.as_ref().map(|hold| hold.until);
        let times = match (self.work, self.pause, hold) {
            (Some((_, deadline)), ..) => [Some(deadline), None],
            (None, Some(pause), _) => [Some(pause), None],
            (None, None, Some(until)) => [until, None],
            (None, None, None) => {
                [self.wait.and_then(|(_, _, deadline)| deadline), self.sent.map(|sent| sent.until)]
            }
        };
        times.into_iter().chain(leaving.into_iter().flatten()).flatten().min()
    }

    /// Takes one event at time `now`, measured from any fixed moment.
    pub fn on(&mut self, now: Duration, event: Event) -> Vec<Action> {
        let mut out = Vec::new();
        if self.state == State::Gone {
            return out;
        }
        if self.has_settled(now) {
            // Before the event ends the time that it was joined for.
            (self.taken, self.attaches, self.failures) = (0, 0, 0);
        }
        match event {
            Event::Looked(picture) => self.look(now, *picture, &mut out),
            Event::Done(outcome) => self.done(now, outcome, &mut out),
            Event::Failed(failure) => self.failed(now, failure, &mut out),
            Event::UserspaceEnded(text) => self.userspace_ended(now, text, &mut out),
            Event::Stop { keep } => self.stop(now, keep, &mut out),
            Event::Refresh => self.refresh(now, &mut out),
            Event::Tick => {}
        }
        self.go_on(now, &mut out);
        out
    }

    fn look(&mut self, now: Duration, picture: Picture, out: &mut Vec<Action>) {
        if matches!(self.work, Some((Work::Look, _))) {
            self.work = None;
        }
        let new = picture.usb.as_ref().map(|usb| usb.address.clone());
        let moved = new.as_ref().is_none_or(|address| *address != self.address);
        self.picture = picture;
        if moved || self.arrived.is_none() {
            self.arrived = Some(now);
        }
        if moved {
            self.away(now, new, out);
        }
    }

    /// It left the address. Only a mode that it consented to lets it come back as the same attachment.
    fn away(&mut self, now: Duration, new: Option<Address>, out: &mut Vec<Action>) {
        if let Some((work, _)) = self.work.filter(|(work, _)| *work != Work::Look) {
            out.push(Action::Abandon);
            self.work = None;
            // It left before its answer was read: that is consent as well.
            if let Work::SetMode(mode) = work {
                self.consented(now, mode);
            }
        }
        if std::mem::take(&mut self.open) {
            out.push(Action::Close);
        }
        let restored = self.leaving.as_ref().is_some_and(|leaving| leaving.restored.is_some());
        if self.sent.is_none() || restored {
            return self.finish(now, None, out);
        }
        let Some(new) = new else { return };
        self.address = new;
        (self.sent, self.mode, self.asked_mode, self.configured) = (None, None, false, false);
        (self.wait, self.pause) = (None, None);
        if self.picture.usb.as_ref().is_some_and(|usb| usb.layout.is_ok() && usb.ncm().is_none()) {
            self.not_switched(now, true, out);
        }
    }

    /// Nothing more is done with it.
    pub(super) fn finish(&mut self, now: Duration, reason: Option<Reason>, out: &mut Vec<Action>) {
        if self.work.take().is_some() {
            out.push(Action::Abandon);
        }
        if self.leaving.is_none() {
            if self.state == State::Held && self.has_ended_a_fight() {
                self.memory.clear();
            } else if self.has_ncm {
                let shown = self.shown_at.map(|at| now.saturating_sub(at));
                self.memory.lose(&self.policy, now, shown);
            }
        }
        self.enter(State::Gone, reason, out);
        out.push(Action::Forget);
    }

    /// A phone that is held because of another program leaves by a person's hand only.
    fn has_ended_a_fight(&self) -> bool {
        matches!(self.reason, Some(Reason::SwitchedBack { .. } | Reason::ConfigurationTaken { .. }))
    }

    fn refresh(&mut self, now: Duration, out: &mut Vec<Action>) {
        (self.hold, self.pause) = (None, None);
        (self.refusals, self.unswitched, self.taken, self.attaches, self.failures) = (0, 0, 0, 0, 0);
        self.memory.clear();
        self.inspected = None;
        if self.work.is_none() {
            self.begin(now, Work::Look, out);
        }
    }

    fn go_on(&mut self, now: Duration, out: &mut Vec<Action>) {
        if self.state == State::Gone {
            return;
        }
        self.pause = self.pause.filter(|until| now < *until);
        if let Some((_, _, deadline)) = &mut self.wait {
            *deadline = deadline.filter(|deadline| now < *deadline);
        }
        if let Some((work, _)) = self.work.filter(|(_, deadline)| now >= *deadline) {
            tracing::debug!(%work, "was not done in time");
            out.push(Action::Abandon);
            self.failed(now, Failure::Late, out);
        }
        if self.leaving.is_some() {
            self.leave(now, out);
        } else if self.work.is_none() && self.pause.is_none() {
            self.join(now, out);
        }
    }

    /// Begins work; nothing else is begun until it ends.
    pub(super) fn begin(&mut self, now: Duration, work: Work, out: &mut Vec<Action>) {
        debug_assert!(self.work.is_none(), "one piece of work at a time");
        self.work = Some((work, now.saturating_add(self.policy.work)));
        out.push(Action::Begin(work));
    }

    /// Is in this state now, for this reason.
    pub(super) fn enter(&mut self, state: State, reason: Option<Reason>, out: &mut Vec<Action>) {
        if self.state == State::Joined && state != State::Joined && state != State::Gone {
            self.joined_at = None;
        }
        if (self.state, &self.reason) == (state, &reason) {
            return;
        }
        (self.state, self.reason) = (state, reason.clone());
        out.push(Action::Entered(state, reason));
    }

    /// Waits for what this reason names, which the next picture shows.
    pub(super) fn held(&mut self, now: Duration, reason: Reason, out: &mut Vec<Action>) {
        self.shown_at.get_or_insert(now);
        self.enter(State::Held, Some(reason), out);
    }

    /// Waits until `hold` is over.
    pub(super) fn keep_held(&mut self, now: Duration, reason: Reason, hold: Hold, out: &mut Vec<Action>) {
        self.hold = Some(hold);
        self.wait = None;
        self.held(now, reason, out);
    }

    /// Whether the time for something that is waited for is over. The time counts from the first call.
    pub(super) fn is_over(&mut self, now: Duration, wait: Wait, limit: Duration) -> bool {
        let since = match self.wait {
            Some((current, since, _)) if current == wait => since,
            _ => now,
        };
        let deadline = since.saturating_add(limit);
        self.wait = Some((wait, since, Some(deadline).filter(|deadline| now < *deadline)));
        now >= deadline
    }
}

impl Hold {
    /// Until a person or another attachment.
    pub(super) fn for_good() -> Self {
        Self { until: None, drivers: None, configuration: None }
    }

    /// Until this time.
    pub(super) fn until(until: Duration) -> Self {
        Self { until: Some(until), ..Self::for_good() }
    }

    /// Whether it is over, by time or by what is there now.
    pub(super) fn is_over(&self, now: Duration, usb: &Usb) -> bool {
        self.until.is_some_and(|until| now >= until)
            || self.drivers.as_ref().is_some_and(|drivers| *drivers != usb.drivers)
            || self.configuration.is_some_and(|value| usb.configuration == Some(value))
    }
}

#[cfg(test)]
#[path = "machine_tests/mod.rs"]
mod tests;
