//! The records of one service, and when each was or will be multicast.

use std::{net::Ipv6Addr, time::Duration};

use crate::{
    message::{Data, Kind, Question, Record},
    name::Name,
    service::{Names, Service},
};

/// Life of records that name a host, in seconds. Source: RFC 6762 §10.
const HOST_TTL: u32 = 120;
/// Life of the other records, in seconds. Source: RFC 6762 §10.
const OTHER_TTL: u32 = 4500;
/// A record is multicast once in this time. Source: RFC 6762 §6.
const MULTICAST_PAUSE: Duration = Duration::from_secs(1);

/// What a record is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// `_services._dns-sd._udp.local` → type. Source: RFC 6763 §9.
    Enumeration,
    /// Type → instance.
    Pointer,
    Location,
    Text,
    Address,
}

#[derive(Debug)]
pub(super) struct Own {
    pub(super) record: Record,
    pub(super) role: Role,
    last_multicast: Option<Duration>,
    pub(super) due: Option<Duration>,
}

impl Own {
    fn new(name: &Name, role: Role, data: Data) -> Self {
        let unique = !matches!(role, Role::Enumeration | Role::Pointer);
        let ttl = if matches!(role, Role::Location | Role::Address) { HOST_TTL } else { OTHER_TTL };
        let record = Record { name: name.clone(), ttl, flush: unique, data };
        Self { record, role, last_multicast: None, due: None }
    }

    /// Records of one owner only are answered without delay. Source: RFC 6762 §6.
    pub(super) fn is_unique(&self) -> bool {
        self.record.flush
    }

    pub(super) fn answers(&self, question: &Question) -> bool {
        question.kind.covers(self.record.data.kind()) && question.name == self.record.name
    }

    /// True when a known answer makes this one needless: the same content with at least half of the life left.
    /// Source: RFC 6762 §7.1.
    pub(super) fn is_known(&self, known: &[Record]) -> bool {
        let half = self.record.ttl.div_euclid(2);
        known.iter().any(|record| record.ttl >= half && record.says_the_same(&self.record))
    }

    /// True when the link heard it within a quarter of its life. Source: RFC 6762 §5.4.
    pub(super) fn heard_lately(&self, now: Duration) -> bool {
        let quarter = Duration::from_secs(u64::from(self.record.ttl.div_euclid(4)));
        self.last_multicast.is_some_and(|last| now < last.saturating_add(quarter))
    }

    /// Plans a multicast after `delay`, but not within a second of the last one.
    pub(super) fn plan(&mut self, now: Duration, delay: Duration) {
        let allowed = self.last_multicast.map_or(Duration::ZERO, |last| last.saturating_add(MULTICAST_PAUSE));
        let at = now.saturating_add(delay).max(allowed);
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    pub(super) fn mark_multicast(&mut self, now: Duration) {
        self.last_multicast = Some(now);
        self.due = None;
    }

    /// A record of someone else with our unique name and type but other content. Source: RFC 6762 §9.
    pub(super) fn conflicts_with(&self, other: &Record) -> bool {
        let same_set = other.data.kind() == self.record.data.kind() && other.name == self.record.name;
        self.is_unique() && same_set && other.ttl > 0
    }
}

/// Every record of `service`.
pub(super) fn all(service: &Service, names: &Names) -> Vec<Own> {
    let location = Data::Srv { priority: 0, weight: 0, port: service.port, target: names.host.clone() };
    let mut own = vec![
        Own::new(&names.service_type, Role::Pointer, Data::Ptr(names.instance.clone())),
        Own::new(&names.instance, Role::Location, location),
        Own::new(&names.instance, Role::Text, Data::Txt(service.txt.clone())),
    ];
    // The name is made of short labels: it always parses.
    if let Ok(enumeration) = Name::parse("_services._dns-sd._udp.local") {
        own.push(Own::new(&enumeration, Role::Enumeration, Data::Ptr(names.service_type.clone())));
    }
    own.extend(service.addresses.iter().map(|address| self::address(names, *address)));
    own
}

pub(super) fn address(names: &Names, address: Ipv6Addr) -> Own {
    Own::new(&names.host, Role::Address, Data::Aaaa(address))
}

/// What goes along with an answer. Source: RFC 6763 §12.
pub(super) fn accompanies(answer: Role, other: Role) -> bool {
    match answer {
        Role::Pointer => matches!(other, Role::Location | Role::Text | Role::Address),
        Role::Location => other == Role::Address,
        Role::Enumeration | Role::Text | Role::Address => false,
    }
}

/// True for the address record type, which a changed link replaces.
pub(super) fn is_address(own: &Own) -> bool {
    own.record.data.kind() == Kind::Aaaa
}
