//! What the neighbours said about the instances of one type.

use std::{collections::BTreeMap, net::Ipv6Addr, time::Duration};

use super::entry::{Context, Entry, View};
use crate::{
    message::{Data, Message, Question, Record, txt_len},
    name::Name,
    rng::Rng,
};

#[derive(Debug, Default)]
pub(super) struct Cache {
    instances: BTreeMap<Name, Entry>,
}

/// An instance whose view isn't what the last event said.
pub(super) struct Change {
    pub(super) name: Name,
    pub(super) before: Option<View>,
    pub(super) after: Option<View>,
}

impl Cache {
    /// Takes the records of one response: pointers first, addresses last, because only what is referred to is kept.
    pub(super) fn absorb(&mut self, service_type: &Name, message: &Message, context: &mut Context<'_>) {
        let records = || message.answers.iter().chain(&message.additionals);
        records().for_each(|record| self.pointer(service_type, record, context));
        records().for_each(|record| self.location_or_text(record, context));
        // All flushes before all addresses: the addresses of one message are of one burst.
        records().for_each(|record| self.flush(record, context.now));
        records().for_each(|record| self.address(record, context));
    }

    fn pointer(&mut self, service_type: &Name, record: &Record, context: &mut Context<'_>) {
        let Data::Ptr(instance) = &record.data else { return };
        if record.name != *service_type || instance.label_under(service_type).is_none() {
            return;
        }
        if let Some(entry) = self.instances.get_mut(instance) {
            context.renew(&mut entry.ptr, record.ttl);
        } else if record.ttl > 0 && self.make_room(context.limits.instances) {
            let entry = Entry::new(context.lease(record.ttl), context.now);
            self.instances.insert(instance.clone(), entry);
        } else if record.ttl > 0 {
            context.over_limit();
        }
    }

    /// Gives up an instance that never became usable, when the place is needed.
    fn make_room(&mut self, limit: usize) -> bool {
        if self.instances.len() < limit {
            return true;
        }
        let unusable = self.instances.iter().find(|(_, entry)| entry.reported.is_none());
        let name = unusable.map(|(name, _)| name.clone());
        name.and_then(|name| self.instances.remove(&name)).is_some()
    }

    fn location_or_text(&mut self, record: &Record, context: &mut Context<'_>) {
        let (Data::Srv { .. } | Data::Txt(_)) = &record.data else { return };
        let Some(entry) = self.instances.get_mut(&record.name) else { return };
        match &record.data {
            Data::Srv { port, target, .. } => entry.locate(target, *port, record.ttl, context),
            Data::Txt(strings) if txt_len(strings) <= context.limits.txt_bytes => {
                entry.describe(strings, record.ttl, context);
            }
            _ => context.over_limit(),
        }
    }

    /// The entries at this host.
    fn at<'a>(&'a mut self, host: &'a Name) -> impl Iterator<Item = &'a mut Entry> {
        self.instances.values_mut().filter(move |entry| entry.host() == Some(host))
    }

    fn flush(&mut self, record: &Record, now: Duration) {
        if matches!(record.data, Data::Aaaa(_)) && record.flush && record.ttl > 0 {
            self.at(&record.name).for_each(|entry| entry.flush_addresses(now));
        }
    }

    fn address(&mut self, record: &Record, context: &mut Context<'_>) {
        let Data::Aaaa(address) = record.data else { return };
        if !is_usable(address) {
            context.counters.unusable_addresses = context.counters.unusable_addresses.saturating_add(1);
            return;
        }
        self.at(&record.name).for_each(|entry| entry.address(address, record.ttl, context));
    }

    /// Drops what has expired; gives the instances that are gone and had been reported.
    pub(super) fn expire(&mut self, now: Duration) -> Vec<Name> {
        let mut gone = Vec::new();
        self.instances.retain(|name, entry| {
            let keep = entry.expire(now);
            if !keep && entry.reported.is_some() {
                gone.push(name.clone());
            }
            keep
        });
        gone
    }

    /// The instances whose view isn't what the last event said; notes the view as said.
    pub(super) fn changes(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (name, entry) in &mut self.instances {
            if !std::mem::take(&mut entry.touched) {
                continue;
            }
            let after = entry.view();
            if entry.reported != after {
                let before = std::mem::replace(&mut entry.reported, after.clone());
                changes.push(Change { name: name.clone(), before, after });
            }
        }
        changes
    }

    /// The next time something expires or should be asked for.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.instances.values().filter_map(Entry::deadline).min()
    }

    /// The questions that are due at `now`, without the one for the type itself, each once; marks them as asked.
    pub(super) fn questions(&mut self, now: Duration, rng: &mut Rng) -> Vec<Question> {
        let mut questions = Vec::new();
        for (name, entry) in &mut self.instances {
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
        for entry in self.instances.values_mut() {
            // Every due pointer is marked, and one question refreshes them all.
            due |= entry.ptr.take_refresh(now);
        }
        due
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
        (self.instances.len(), self.instances.values().map(Entry::addresses).fold(0, usize::saturating_add))
    }
}

/// False for addresses that no neighbour can have.
fn is_usable(address: Ipv6Addr) -> bool {
    let mapped = address.to_ipv4_mapped().is_some();
    !(address.is_multicast() || address.is_unspecified() || address.is_loopback() || mapped)
}
