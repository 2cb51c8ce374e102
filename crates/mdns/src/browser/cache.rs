//! What the neighbours said: instances of one type, and the addresses of their hosts.

use std::{collections::BTreeMap, net::Ipv6Addr, time::Duration};

use super::{Counters, Instance, Path, schedule::Schedule};
use crate::{
    lease::Lease,
    limits::Limits,
    message::{Data, Kind, Message, Question, Record, txt_len},
    name::Name,
    rng::Rng,
};

/// Questions for a missing TXT record; an instance is usable without one.
const TXT_ATTEMPTS: u32 = 3;

#[derive(Debug, Default)]
pub(super) struct Cache {
    pub(super) instances: BTreeMap<Name, Entry>,
    hosts: BTreeMap<Name, Vec<Address>>,
}

#[derive(Debug)]
pub(super) struct Entry {
    ptr: Lease,
    srv: Option<(Location, Lease)>,
    txt: Option<(Vec<Vec<u8>>, Lease)>,
    /// When the missing records are asked for.
    missing: Schedule,
    /// What the last event said.
    pub(super) reported: Option<Instance>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Location {
    host: Name,
    port: u16,
}

#[derive(Debug)]
struct Address {
    address: Ipv6Addr,
    lease: Lease,
}

/// What surrounds one received message.
pub(super) struct Context<'a> {
    pub(super) now: Duration,
    pub(super) path: Path,
    pub(super) limits: &'a Limits,
    pub(super) rng: &'a mut Rng,
    pub(super) counters: &'a mut Counters,
}

impl Context<'_> {
    fn lease(&mut self, ttl: u32) -> Lease {
        Lease::new(self.now, ttl.min(self.limits.ttl_seconds), self.rng.next())
    }

    /// Takes a repeated record's new life into `lease`. A unicast answer to a one-shot question carries at most ten
    /// seconds (RFC 6762 §6.7), so it never shortens what a multicast answer promised.
    fn renew(&mut self, lease: &mut Lease, ttl: u32) {
        let new = self.lease(ttl);
        let shortens = new.expires() < lease.expires() && !lease.is_ending();
        if self.path == Path::Shared || !shortens {
            *lease = new;
        }
    }

    /// Takes a record that has one value at a time.
    fn put<T: PartialEq>(&mut self, slot: &mut Option<(T, Lease)>, value: T, ttl: u32) {
        match slot {
            Some((old, lease)) if *old == value => match ttl {
                0 => lease.end(self.now),
                ttl => self.renew(lease, ttl),
            },
            _ if ttl > 0 => *slot = Some((value, self.lease(ttl))),
            _ => {}
        }
    }
}

impl Cache {
    /// Takes the records of one response: pointers first, addresses last, because only what is referred to is kept.
    pub(super) fn absorb(&mut self, service_type: &Name, message: &Message, context: &mut Context<'_>) {
        let records = || message.answers.iter().chain(&message.additionals);
        records().for_each(|record| self.pointer(service_type, record, context));
        records().for_each(|record| self.location_or_text(record, context));
        self.forget_unused_hosts();
        records().filter(|record| record.flush).for_each(|record| self.flush(record, context.now));
        records().for_each(|record| self.address(record, context));
    }

    fn pointer(&mut self, service_type: &Name, record: &Record, context: &mut Context<'_>) {
        let Data::Ptr(instance) = &record.data else { return };
        if record.name != *service_type || instance.label_under(service_type).is_none() {
            return;
        }
        if let Some(entry) = self.instances.get_mut(instance) {
            match record.ttl {
                0 => entry.ptr.end(context.now),
                ttl => context.renew(&mut entry.ptr, ttl),
            }
        } else if record.ttl > 0 && self.make_room(context) {
            let (ptr, missing) = (context.lease(record.ttl), Schedule::at(context.now));
            self.instances
                .insert(instance.clone(), Entry { ptr, srv: None, txt: None, missing, reported: None });
        } else if record.ttl > 0 {
            context.counters.over_limit = context.counters.over_limit.saturating_add(1);
        }
    }

    /// Gives up an instance that never became usable, when the place is needed.
    fn make_room(&mut self, context: &mut Context<'_>) -> bool {
        if self.instances.len() < context.limits.instances {
            return true;
        }
        let unusable =
            self.instances.iter().find(|(_, entry)| entry.reported.is_none()).map(|(name, _)| name.clone());
        unusable.and_then(|name| self.instances.remove(&name)).is_some()
    }

    fn location_or_text(&mut self, record: &Record, context: &mut Context<'_>) {
        let Some(entry) = self.instances.get_mut(&record.name) else { return };
        match &record.data {
            Data::Srv { port, target, .. } => {
                let location = Location { host: target.clone(), port: *port };
                context.put(&mut entry.srv, location, record.ttl);
            }
            Data::Txt(strings) if txt_len(strings) <= context.limits.txt_bytes => {
                context.put(&mut entry.txt, strings.clone(), record.ttl);
            }
            Data::Txt(_) => context.counters.over_limit = context.counters.over_limit.saturating_add(1),
            _ => {}
        }
    }

    fn forget_unused_hosts(&mut self) {
        let instances = &self.instances;
        let used = |host: &Name| instances.values().any(|entry| entry.host() == Some(host));
        self.hosts.retain(|host, addresses| used(host) && !addresses.is_empty());
    }

    /// Ends what was heard of this host more than a second ago. Source: RFC 6762 §10.2.
    fn flush(&mut self, record: &Record, now: Duration) {
        let Data::Aaaa(_) = record.data else { return };
        for known in self.hosts.get_mut(&record.name).into_iter().flatten() {
            if known.lease.since().saturating_add(Duration::from_secs(1)) < now {
                known.lease.end(now);
            }
        }
    }

    fn address(&mut self, record: &Record, context: &mut Context<'_>) {
        let Data::Aaaa(address) = record.data else { return };
        if !self.instances.values().any(|entry| entry.host() == Some(&record.name)) {
            return;
        }
        let mapped = address.to_ipv4_mapped().is_some();
        if address.is_multicast() || address.is_unspecified() || address.is_loopback() || mapped {
            context.counters.unusable_addresses = context.counters.unusable_addresses.saturating_add(1);
            return;
        }
        let addresses = self.hosts.entry(record.name.clone()).or_default();
        match addresses.iter_mut().find(|known| known.address == address) {
            Some(known) if record.ttl == 0 => known.lease.end(context.now),
            Some(known) => context.renew(&mut known.lease, record.ttl),
            None if record.ttl == 0 => {}
            None => {
                let lease = context.lease(record.ttl);
                addresses.push(Address { address, lease });
                addresses.sort_by_key(Address::rank);
                if addresses.len() > context.limits.addresses {
                    addresses.pop();
                    context.counters.over_limit = context.counters.over_limit.saturating_add(1);
                }
            }
        }
    }

    /// Drops what has expired; gives the instances that are gone and had been reported.
    pub(super) fn expire(&mut self, now: Duration) -> Vec<Instance> {
        for addresses in self.hosts.values_mut() {
            addresses.retain(|known| !known.lease.has_expired(now));
        }
        let mut gone = Vec::new();
        self.instances.retain(|_, entry| {
            entry.srv.take_if(|(_, lease)| lease.has_expired(now));
            entry.txt.take_if(|(_, lease)| lease.has_expired(now));
            let keep = !entry.ptr.has_expired(now);
            if !keep {
                gone.extend(entry.reported.take());
            }
            keep
        });
        self.forget_unused_hosts();
        gone
    }

    /// The usable addresses of an instance, best first: an address that is not ending, then a link-local one.
    pub(super) fn resolve(&self, entry: &Entry) -> Option<(Name, u16, Vec<Ipv6Addr>)> {
        let (location, _) = entry.srv.as_ref()?;
        let mut known: Vec<&Address> = self.hosts.get(&location.host)?.iter().collect();
        known.sort_by_key(|address| address.rank());
        let addresses: Vec<_> = known.into_iter().map(|known| known.address).collect();
        (!addresses.is_empty()).then(|| (location.host.clone(), location.port, addresses))
    }

    /// The next time something expires or should be asked for.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let hosts = &self.hosts;
        let asks = self.instances.values().filter_map(|entry| {
            let wants = entry.wants(hosts).next().is_some();
            wants.then(|| entry.missing.next())
        });
        self.leases()
            .flat_map(|lease| [Some(lease.expires()), lease.refresh_at()])
            .flatten()
            .chain(asks)
            .min()
    }

    fn leases(&self) -> impl Iterator<Item = &Lease> {
        let addresses = self.hosts.values().flatten().map(|known| &known.lease);
        self.instances.values().flat_map(Entry::leases).chain(addresses)
    }

    /// The questions that are due at `now`, without the one for the type itself; marks them as asked.
    pub(super) fn questions(&mut self, now: Duration, rng: &mut Rng) -> Vec<Question> {
        let mut questions = Vec::new();
        for (name, entry) in &mut self.instances {
            if entry.missing.is_due(now) {
                let wanted: Vec<_> =
                    entry.wants(&self.hosts).map(|kind| entry.question(name, kind)).collect();
                if !wanted.is_empty() {
                    entry.missing.ask(now, rng.millis(0, 20));
                }
                questions.extend(wanted);
            }
            let srv = entry.srv.as_mut().map(|(_, lease)| (Kind::Srv, lease));
            let txt = entry.txt.as_mut().map(|(_, lease)| (Kind::Txt, lease));
            for (kind, lease) in srv.into_iter().chain(txt) {
                if refresh_due(lease, now) {
                    questions.push(Question::new(name.clone(), kind));
                }
            }
        }
        for (host, addresses) in &mut self.hosts {
            // Every due address is marked, and one question refreshes them all.
            if addresses
                .iter_mut()
                .filter_map(|known| refresh_due(&mut known.lease, now).then_some(()))
                .count()
                > 0
            {
                questions.push(Question::new(host.clone(), Kind::Aaaa));
            }
        }
        questions.dedup();
        questions
    }

    /// True when a pointer should be refreshed; marks it as asked.
    pub(super) fn pointer_refresh_due(&mut self, now: Duration) -> bool {
        self.instances.values_mut().filter_map(|entry| refresh_due(&mut entry.ptr, now).then_some(())).count()
            > 0
    }

    /// The known answers to the question for the type. An instance that is not resolved is left out: its responder
    /// should answer again, with the records that are missing. Source: RFC 6762 §7.1.
    pub(super) fn known_answers(&self, service_type: &Name, now: Duration) -> Vec<Record> {
        let resolved = self.instances.iter().filter(|(_, entry)| entry.reported.is_some());
        resolved
            .filter_map(|(name, entry)| {
                let ttl = entry.ptr.known_answer_ttl(now)?;
                let data = Data::Ptr(name.clone());
                Some(Record { name: service_type.clone(), ttl, flush: false, data })
            })
            .collect()
    }

    /// Instances and addresses held, for bounds in tests and metrics.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.instances.len(), self.hosts.values().map(Vec::len).sum())
    }
}

/// True when this record should be asked for again; marks it as asked.
fn refresh_due(lease: &mut Lease, now: Duration) -> bool {
    let due = lease.refresh_at().is_some_and(|at| at <= now);
    if due {
        lease.asked(now);
    }
    due
}

impl Address {
    fn rank(&self) -> (bool, bool, Ipv6Addr) {
        (self.lease.is_ending(), !self.address.is_unicast_link_local(), self.address)
    }
}

impl Entry {
    fn host(&self) -> Option<&Name> {
        self.srv.as_ref().map(|(location, _)| &location.host)
    }

    pub(super) fn txt(&self) -> Vec<Vec<u8>> {
        self.txt.as_ref().map(|(strings, _)| strings.clone()).unwrap_or_default()
    }

    fn leases(&self) -> impl Iterator<Item = &Lease> {
        let srv = self.srv.as_ref().map(|(_, lease)| lease);
        let txt = self.txt.as_ref().map(|(_, lease)| lease);
        std::iter::once(&self.ptr).chain(srv).chain(txt)
    }

    /// The types of the records that are missing.
    fn wants(&self, hosts: &BTreeMap<Name, Vec<Address>>) -> impl Iterator<Item = Kind> + use<> {
        let known = |host: &Name| hosts.get(host).is_some_and(|addresses| !addresses.is_empty());
        let aaaa = self.host().is_some_and(|host| !known(host));
        let txt = self.txt.is_none() && self.missing.asked() < TXT_ATTEMPTS;
        [(self.srv.is_none(), Kind::Srv), (txt, Kind::Txt), (aaaa, Kind::Aaaa)]
            .into_iter()
            .filter_map(|(wanted, kind)| wanted.then_some(kind))
    }

    fn question(&self, name: &Name, kind: Kind) -> Question {
        let owner = match (kind, self.host()) {
            (Kind::Aaaa, Some(host)) => host,
            _ => name,
        };
        Question::new(owner.clone(), kind)
    }
}
