//! Announcing one service on one link and answering questions about it: datagrams and time in, messages out.
//!
//! A reduced form of RFC 6762: the instance name is fixed (`ncm`, with auto-rename off), so there is no probing and no
//! renaming. Another host with our name is reported and we carry on. Source: protocol.md §2.

mod answer;
mod bucket;
mod records;

use std::{
    net::{Ipv6Addr, SocketAddrV6},
    time::Duration,
};

use crate::{
    codec,
    error::ServiceError,
    is_on_link,
    limits::Limits,
    message::{Message, Record},
    name::Name,
    rng::Rng,
    service::{Names, Service, check_addresses},
};
use bucket::Bucket;
use records::{Own, Role};

/// Announcements after each start or change. Source: RFC 6762 §8.3.
const ANNOUNCEMENTS: u8 = 2;
/// The pause between them. Source: RFC 6762 §8.3.
const ANNOUNCE_PAUSE: Duration = Duration::from_secs(1);
/// The pause after an announcement that could not be sent. Source: protocol.md §2 (retry every 200 ms).
const RETRY: Duration = Duration::from_millis(200);
/// A conflict is reported once in this time.
const CONFLICT_PAUSE: Duration = Duration::from_secs(60);

/// What happens to a responder.
#[derive(Debug, Clone)]
pub enum Input<'a> {
    /// A datagram came in.
    Datagram {
        /// The sender, with the scope that the kernel filled in.
        from: SocketAddrV6,
        /// The payload.
        bytes: &'a [u8],
    },
    /// The deadline has come, or time should be looked at.
    Timer,
    /// A multicast message could not be sent.
    SendFailed,
    /// The link changed; these are the host's addresses on it now, none while it has none.
    LinkChanged(Vec<Ipv6Addr>),
    /// Say goodbye and stay silent from now on.
    Shutdown,
}

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// The multicast group.
    Group,
    /// One neighbour.
    Unicast(SocketAddrV6),
}

/// What a responder wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send this from port 5353.
    Send {
        /// Where to.
        to: Destination,
        /// The payload.
        bytes: Vec<u8>,
    },
    /// Another host claims one of our names; at most once a minute.
    Conflict {
        /// Who.
        from: SocketAddrV6,
        /// The record.
        record: Record,
    },
}

/// What a responder dropped and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Datagrams that are not mDNS messages.
    pub malformed: u64,
    /// Datagrams from another link or from a sender that is not link-local.
    pub foreign: u64,
    /// Unicast answers not given because there were too many.
    pub rate_limited: u64,
    /// Records of others that contradict ours.
    pub conflicts: u64,
}

/// The responder for one service on one link.
#[derive(Debug)]
pub struct Responder {
    names: Names,
    interface_index: u32,
    limits: Limits,
    rng: Rng,
    own: Vec<Own>,
    /// How many announcements remain, and when the next is due.
    announce: Option<(u8, Duration)>,
    /// The only host that the planned answers are for: its further known answers may cancel them.
    asker: Option<SocketAddrV6>,
    unicast: Bucket,
    next_conflict_report: Duration,
    closed: bool,
    counters: Counters,
}

impl Responder {
    /// A responder that announces at its first input. `seed` spreads its answers in time.
    ///
    /// # Errors
    /// A service that can't be announced, by field.
    pub fn new(
        service: &Service,
        interface_index: u32,
        limits: Limits,
        seed: u64,
    ) -> Result<Self, ServiceError> {
        let names = service.names(&limits)?;
        Ok(Self {
            own: records::all(service, &names),
            names,
            interface_index,
            limits,
            rng: Rng::new(seed),
            announce: Some((ANNOUNCEMENTS, Duration::ZERO)),
            asker: None,
            unicast: Bucket::new(limits.unicast_burst, limits.unicast_per_second),
            next_conflict_report: Duration::ZERO,
            closed: false,
            counters: Counters::default(),
        })
    }

    /// The instance's full name, e.g. `ncm._remoted._tcp.local`.
    pub fn instance(&self) -> &Name {
        &self.names.instance
    }

    /// What was dropped so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Number of records held.
    pub fn records(&self) -> usize {
        self.own.len()
    }

    /// When [`Input::Timer`] is wanted next; `None` while there is nothing to do.
    pub fn deadline(&self) -> Option<Duration> {
        if !self.is_speaking() {
            return None;
        }
        let announce = self.announce.map(|(_, at)| at);
        self.own.iter().filter_map(|own| own.due).chain(announce).min()
    }

    /// Takes one input at time `now`, measured from any fixed moment.
    pub fn on(&mut self, now: Duration, input: Input<'_>) -> Vec<Action> {
        let mut actions = match input {
            Input::Datagram { from, bytes } => self.receive(now, from, bytes),
            Input::LinkChanged(addresses) => self.change(now, &addresses).into_iter().collect(),
            Input::Shutdown => return self.shut_down(),
            Input::SendFailed => {
                self.announce = Some((ANNOUNCEMENTS, now.saturating_add(RETRY)));
                Vec::new()
            }
            Input::Timer => Vec::new(),
        };
        if self.is_speaking() {
            actions.extend(self.announcement(now));
            actions.extend(self.planned(now));
        }
        actions
    }

    /// A host without addresses has nothing to say.
    fn is_speaking(&self) -> bool {
        !self.closed && self.own.iter().any(records::is_address)
    }

    fn receive(&mut self, now: Duration, from: SocketAddrV6, bytes: &[u8]) -> Vec<Action> {
        if !is_on_link(&from, self.interface_index) {
            self.counters.foreign = self.counters.foreign.saturating_add(1);
            return Vec::new();
        }
        match codec::decode(bytes, &self.limits) {
            Ok(message) if message.response => self.compare(now, from, &message),
            Ok(query) if self.is_speaking() => self.answer(now, from, &query),
            Ok(_) => Vec::new(),
            Err(error) => {
                self.counters.malformed = self.counters.malformed.saturating_add(1);
                tracing::debug!(%from, %error, "not an mDNS message");
                Vec::new()
            }
        }
    }

    /// Looks for our names in someone's response; our own messages come back too and say the same as we do.
    fn compare(&mut self, now: Duration, from: SocketAddrV6, message: &Message) -> Vec<Action> {
        let mut actions = Vec::new();
        if from.port() != crate::PORT {
            self.counters.foreign = self.counters.foreign.saturating_add(1);
            return actions;
        }
        for record in message.answers.iter().chain(&message.additionals) {
            let claimed = self.own.iter().any(|own| own.conflicts_with(record));
            if !claimed || self.own.iter().any(|own| own.record.says_the_same(record)) {
                continue;
            }
            self.counters.conflicts = self.counters.conflicts.saturating_add(1);
            if now >= self.next_conflict_report {
                self.next_conflict_report = now.saturating_add(CONFLICT_PAUSE);
                actions.push(Action::Conflict { from, record: record.clone() });
            }
        }
        actions
    }

    fn announcement(&mut self, now: Duration) -> Option<Action> {
        let (left, _) = self.announce.filter(|(_, at)| *at <= now)?;
        let left = left.saturating_sub(1);
        self.announce = (left > 0).then(|| (left, now.saturating_add(ANNOUNCE_PAUSE)));
        self.own.iter_mut().for_each(|own| own.mark_multicast(now));
        let answers = self.own.iter().map(|own| own.record.clone()).collect();
        self.send(Destination::Group, &Message { response: true, answers, ..Message::default() })
    }

    /// Takes new addresses: says goodbye to those that are gone and announces again, even when nothing changed, because
    /// the neighbours may be others now.
    fn change(&mut self, now: Duration, addresses: &[Ipv6Addr]) -> Option<Action> {
        if let Err(error) = check_addresses(addresses, &self.limits) {
            tracing::warn!(%error, "the first addresses are announced");
        }
        let fresh: Vec<Own> = addresses
            .iter()
            .take(self.limits.addresses)
            .map(|ip| records::address(&self.names, *ip))
            .collect();
        let (old, mut own): (Vec<_>, Vec<_>) = self.own.drain(..).partition(records::is_address);
        let gone = old.into_iter().filter(|old| !fresh.iter().any(|new| new.record == old.record));
        let answers = goodbyes(gone.map(|own| own.record));
        own.extend(fresh);
        self.own = own;
        self.announce = Some((ANNOUNCEMENTS, now));
        let quiet = self.closed || answers.is_empty();
        if quiet {
            return None;
        }
        self.send(Destination::Group, &Message { response: true, answers, ..Message::default() })
    }

    /// Says goodbye to everything but the enumeration, which other hosts may share. Source: RFC 6762 §10.1.
    fn shut_down(&mut self) -> Vec<Action> {
        let speaking = self.is_speaking();
        self.closed = true;
        if !speaking {
            return Vec::new();
        }
        let ours = self.own.iter().filter(|own| own.role != Role::Enumeration).map(|own| own.record.clone());
        let answers = goodbyes(ours);
        self.send(Destination::Group, &Message { response: true, answers, ..Message::default() })
            .into_iter()
            .collect()
    }

    fn send(&self, to: Destination, message: &Message) -> Option<Action> {
        match codec::encode(message, &self.limits) {
            Ok(bytes) => Some(Action::Send { to, bytes }),
            Err(error) => {
                tracing::warn!(%error, "a response could not be encoded");
                None
            }
        }
    }
}

fn goodbyes(records: impl Iterator<Item = Record>) -> Vec<Record> {
    records.map(|record| Record { ttl: 0, ..record }).collect()
}

#[cfg(test)]
mod tests;
