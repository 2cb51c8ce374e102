//! One attached phone: its machine, and what its hops found.

use std::sync::Arc;
use std::time::{Duration, Instant};

use iosmux_tunnel::io::Meter;
use iosmux_xpc::rsd::Catalogue;

use super::runner::Runner;
use crate::model::{Device, HopTimes, Identity, Link, State, Tunnel, Unidentified};
use crate::phone::{Hop, Machine};

/// An address, and the phone there.
#[derive(Debug)]
pub(super) struct Attachment {
    pub(super) link: Link,
    pub(super) machine: Machine,
    pub(super) runner: Option<Runner>,
    /// How many runners there were.
    pub(super) runs: u64,
    pub(super) found: Found,
    /// Whether its UDID's generation counts this attachment.
    pub(super) counted: bool,
    /// The state that was last told, and since when it is.
    pub(super) shown: (State, Instant),
    sighted: Instant,
    began: Option<(Hop, Instant)>,
}

/// What the hops of the present run found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) identity: Option<Identity>,
    pub(super) tunnel: Option<(Tunnel, Meter)>,
    pub(super) catalogue: Option<Arc<Catalogue>>,
    pub(super) times: HopTimes,
    pub(super) newly_paired: bool,
}

impl Attachment {
    pub(super) fn new(link: Link, machine: Machine, now: Instant) -> Self {
        Self {
            link,
            machine,
            runner: None,
            runs: 0,
            found: Found::default(),
            counted: false,
            shown: (State::Announced, now),
            sighted: now,
            began: None,
        }
    }

    pub(super) fn udid(&self) -> Option<&str> {
        self.found.identity.as_ref().map(|identity| identity.udid.as_str())
    }

    /// Whether it has a tunnel or is on the way to one.
    pub(super) fn is_at_work(&self) -> bool {
        self.machine.is_under_way() || self.machine.state().is_usable()
    }

    /// A hop begins; the first one begins the way.
    pub(super) fn begin(&mut self, hop: Hop, now: Instant) {
        if hop == Hop::Rsd && self.found.times.total.is_some() {
            self.sighted = now;
        }
        if hop == Hop::Rsd {
            self.found.times = HopTimes::default();
        }
        self.began = Some((hop, now));
    }

    /// A hop is done.
    pub(super) fn done(&mut self, now: Instant) {
        let Some((hop, since)) = self.began.take() else { return };
        let took = Some(now.saturating_duration_since(since));
        let times = &mut self.found.times;
        match hop {
            Hop::Rsd => times.rsd = took,
            Hop::Pair { .. } => times.pair = took,
            Hop::Tunnel => times.tunnel = took,
            Hop::Catalogue => {
                times.catalogue = took;
                times.total = Some(now.saturating_duration_since(self.sighted));
            }
        }
    }

    /// Forgets what hops opened; who it is stays known.
    pub(super) fn reset(&mut self) {
        let identity = self.found.identity.take();
        self.found = Found { identity, times: self.found.times, ..Found::default() };
        (self.runner, self.began) = (None, None);
    }

    /// Attached again: the way begins anew.
    pub(super) fn moved(&mut self, link: Link, now: Instant) {
        (self.link, self.counted, self.sighted) = (link, false, now);
    }

    pub(super) fn device(&self, identity: &Identity, generation: u64, epoch: Instant) -> Device {
        Device {
            identity: identity.clone(),
            generation,
            state: self.machine.state(),
            since: self.shown.1,
            reason: self.machine.reason().cloned(),
            retry_at: self.retry_at(epoch),
            failures: self.machine.failures(),
            link: Some(self.link.clone()),
            tunnel: self.found.tunnel.as_ref().map(|(tunnel, _)| tunnel.clone()),
            catalogue: self.found.catalogue.clone(),
            times: self.found.times,
            newly_paired: self.found.newly_paired,
        }
    }

    pub(super) fn unidentified(&self, epoch: Instant) -> Unidentified {
        Unidentified {
            link: self.link.clone(),
            state: self.machine.state(),
            since: self.shown.1,
            reason: self.machine.reason().cloned(),
            retry_at: self.retry_at(epoch),
            failures: self.machine.failures(),
        }
    }

    fn retry_at(&self, epoch: Instant) -> Option<Instant> {
        self.machine.retry_at().and_then(|at: Duration| epoch.checked_add(at))
    }
}
