//! What each neighbour said about its instances of one type.
//!
//! All phones announce the same instance, so what one sender says holds for itself only.
//! Source: protocol.md §2 (`ncm`, auto-rename disabled).

use std::{collections::BTreeMap, net::Ipv6Addr, time::Duration};

use super::entry::{Context, Entry, View};
use crate::{
    message::{Data, Message, Question, Record, txt_len},
    name::Name,
    rng::Rng,
};

/// The instances of each sender; a sender without any has no place.
#[derive(Debug, Default)]
pub(super) struct Cache {
    senders: BTreeMap<Ipv6Addr, Instances>,
}

type Instances = BTreeMap<Name, Entry>;

/// An instance whose view isn't what the last event said.
pub(super) struct Change {
    pub(super) sender: Ipv6Addr,
    pub(super) name: Name,
    pub(super) before: Option<View>,
    pub(super) after: Option<View>,
}

impl Cache {
    /// Takes the records of one response: pointers first, addresses last, because only what is referred to is kept. False
    /// when its sender has no instance then either.
    pub(super) fn absorb(
        &mut self,
        service_type: &Name,
        message: &Message,
        context: &mut Context<'_>,
    ) -> bool {
        let records = || message.answers.iter().chain(&message.additionals);
        records().for_each(|record| self.pointer(service_type, record, context));
        let Some(instances) = self.senders.get_mut(&context.sender) else { return false };
        records().for_each(|record| location_or_text(instances, record, context));
        // All flushes before all addresses: the addresses of one message are of one burst.
        records().for_each(|record| flush(instances, record, context.now));
        records().for_each(|record| address(instances, record, context));
        true
    }

    fn pointer(&mut self, service_type: &Name, record: &Record, context: &mut Context<'_>) {
        let Data::Ptr(instance) = &record.data else { return };
        if record.name != *service_type || instance.label_under(service_type).is_none() {
            return;
        }
        let own = self.senders.get_mut(&context.sender);
        if let Some(entry) = own.and_then(|instances| instances.get_mut(instance)) {
            context.renew(&mut entry.ptr, record.ttl);
        } else if record.ttl > 0 && self.make_room(context) {
            let entry = Entry::new(context.lease(record.ttl), context.now);
            self.senders.entry(context.sender).or_default().insert(instance.clone(), entry);
        } else if record.ttl > 0 {
            context.over_limit();
        }
    }

    /// Whether there is a place for one more instance of this sender. An instance that never became usable is given up
    /// when its place is needed: one of the same sender when that has too many, else the one that is known for longest.
    fn make_room(&mut self, context: &Context<'_>) -> bool {
        let own = self.senders.get(&context.sender).map_or(0, BTreeMap::len);
        if own >= context.limits.instances_of_sender {
            return self.give_up_one(|sender| sender == context.sender);
        }
        self.instances() < context.limits.instances || self.give_up_one(|_| true)
    }

    fn give_up_one(&mut self, of: impl Fn(Ipv6Addr) -> bool) -> bool {
        let unusable = self.entries().filter(|(sender, _, entry)| of(*sender) && entry.reported.is_none());
        let oldest = unusable.min_by_key(|(_, _, entry)| entry.since);
        let Some((sender, name)) = oldest.map(|(sender, name, _)| (sender, name.clone())) else {
            return false;
        };
        if let Some(instances) = self.senders.get_mut(&sender) {
            instances.remove(&name);
        }
        self.forget_empty();
        true
    }

    fn forget_empty(&mut self) {
        self.senders.retain(|_, instances| !instances.is_empty());
    }

    fn entries(&self) -> impl Iterator<Item = (Ipv6Addr, &Name, &Entry)> {
        let of = |(sender, instances): (&Ipv6Addr, _)| (*sender, instances);
        let senders = self.senders.iter().map(of);
        senders.flat_map(|(sender, instances): (_, &Instances)| {
            instances.iter().map(move |(name, entry)| (sender, name, entry))
        })
    }

    fn entries_mut(&mut self) -> impl Iterator<Item = (Ipv6Addr, &Name, &mut Entry)> {
        self.senders.iter_mut().flat_map(|(sender, instances)| {
            instances.iter_mut().map(move |(name, entry)| (*sender, name, entry))
        })
    }

    /// Drops what has expired; gives the instances that are gone and had been reported.
    pub(super) fn expire(&mut self, now: Duration) -> Vec<(Ipv6Addr, Name)> {
        let mut gone = Vec::new();
        for (sender, instances) in &mut self.senders {
            instances.retain(|name, entry| {
                let keep = entry.expire(now);
                if !keep && entry.reported.is_some() {
                    gone.push((*sender, name.clone()));
                }
                keep
            });
        }
        self.forget_empty();
        gone
    }

    /// The instances whose view isn't what the last event said; notes the view as said.
    pub(super) fn changes(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (sender, name, entry) in self.entries_mut() {
            if !std::mem::take(&mut entry.touched) {
                continue;
            }
            let after = entry.view();
            if entry.reported != after {
                let before = std::mem::replace(&mut entry.reported, after.clone());
                changes.push(Change { sender, name: name.clone(), before, after });
            }
        }
        changes
    }

    /// The next time something expires or should be asked for.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.entries().filter_map(|(_, _, entry)| entry.deadline()).min()
    }

    /// The questions that are due at `now`, without the one for the type itself, each once; marks them as asked. One
    /// question serves all senders that use the name.
    pub(super) fn questions(&mut self, now: Duration, rng: &mut Rng) -> Vec<Question> {
        let mut questions = Vec::new();
        for (_, name, entry) in self.entries_mut() {
            for question in entry.questions(name, now, rng) {
                if !questions.contains(&question) {
                    questions.push(question);
                }
            }
        }
        questions
    }

    /// True when a pointer should be refreshed; marks it as asked.
    pub(super) fn pointer_refresh_due(&mut self, now: Duration) -> bool {
        let mut due = false;
        for (_, _, entry) in self.entries_mut() {
            // Every due pointer is marked, and one question refreshes them all.
            due |= entry.ptr.take_refresh(now);
        }
        due
    }

    fn instances(&self) -> usize {
        self.senders.values().map(BTreeMap::len).fold(0, usize::saturating_add)
    }

    /// Instances and addresses held, for bounds in tests and metrics.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (
            self.instances(),
            self.entries().map(|(_, _, entry)| entry.addresses()).fold(0, usize::saturating_add),
        )
    }
}

fn location_or_text(instances: &mut Instances, record: &Record, context: &mut Context<'_>) {
    let (Data::Srv { .. } | Data::Txt(_)) = &record.data else { return };
    let Some(entry) = instances.get_mut(&record.name) else { return };
    match &record.data {
        Data::Srv { port, target, .. } => entry.locate(target, *port, record.ttl, context),
        Data::Txt(strings) if txt_len(strings) <= context.limits.txt_bytes => {
            entry.describe(strings, record.ttl, context);
        }
        _ => context.over_limit(),
    }
}

/// The entries at this host.
fn at<'a>(instances: &'a mut Instances, host: &'a Name) -> impl Iterator<Item = &'a mut Entry> {
    instances.values_mut().filter(move |entry| entry.host() == Some(host))
}

fn flush(instances: &mut Instances, record: &Record, now: Duration) {
    if matches!(record.data, Data::Aaaa(_)) && record.flush && record.ttl > 0 {
        at(instances, &record.name).for_each(|entry| entry.flush_addresses(now));
    }
}

fn address(instances: &mut Instances, record: &Record, context: &mut Context<'_>) {
    let Data::Aaaa(address) = record.data else { return };
    if !is_usable(address) {
        context.counters.unusable_addresses = context.counters.unusable_addresses.saturating_add(1);
        return;
    }
    at(instances, &record.name).for_each(|entry| entry.address(address, record.ttl, context));
}

/// False for addresses that no neighbour can have.
fn is_usable(address: Ipv6Addr) -> bool {
    let mapped = address.to_ipv4_mapped().is_some();
    !(address.is_multicast() || address.is_unspecified() || address.is_loopback() || mapped)
}
