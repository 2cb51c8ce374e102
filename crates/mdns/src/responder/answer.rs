//! Which records answer a query, by which way, and when.

use std::{collections::BTreeSet, net::SocketAddrV6, time::Duration};

use super::{
    Action, Destination, Responder,
    records::{self, Own},
};
use crate::message::{Message, Question, Record};

/// Longest life in an answer to a one-shot query, in seconds. Source: RFC 6762 §6.7.
const LEGACY_TTL: u32 = 10;

impl Responder {
    pub(super) fn answer(&mut self, now: Duration, from: SocketAddrV6, query: &Message) -> Vec<Action> {
        self.forget_known(from, query);
        let legacy = from.port() != crate::PORT;
        let (mut unicast, mut multicast) = (BTreeSet::new(), BTreeSet::new());
        for question in &query.questions {
            for (index, own) in self.own.iter().enumerate() {
                if !own.answers(question) || own.is_known(&query.answers) {
                    continue;
                }
                if legacy || question.unicast {
                    unicast.insert(index);
                }
                let unicast_is_enough = legacy || (question.unicast && own.heard_lately(now));
                if !unicast_is_enough {
                    multicast.insert(index);
                }
            }
        }
        let mut actions = Vec::new();
        if !unicast.is_empty() {
            if self.unicast.take(now) {
                actions.extend(self.unicast_answer(from, query, &unicast, legacy));
            } else {
                // A full QU question is still answered by multicast, which has its own limit.
                self.counters.rate_limited = self.counters.rate_limited.saturating_add(1);
                multicast.extend(unicast.iter().filter(|_| !legacy));
            }
        }
        self.plan(now, from, &multicast, query.truncated);
        actions
    }

    /// Cancels planned answers that the only asker turns out to know. Source: RFC 6762 §7.2.
    fn forget_known(&mut self, from: SocketAddrV6, query: &Message) {
        if self.asker == Some(from) {
            self.own.iter_mut().filter(|own| own.is_known(&query.answers)).for_each(|own| own.due = None);
        }
    }

    /// Plans multicast answers: at once for unique records, 20–120 ms later for shared ones, 400–500 ms later when more
    /// known answers follow. Source: RFC 6762 §6 and §7.2.
    fn plan(&mut self, now: Duration, from: SocketAddrV6, indexes: &BTreeSet<usize>, more_follows: bool) {
        if indexes.is_empty() {
            return;
        }
        let idle = self.own.iter().all(|own| own.due.is_none());
        self.asker = (idle || self.asker == Some(from)).then_some(from);
        let (shared, later) = (self.rng.millis(20, 120), self.rng.millis(400, 500));
        for index in indexes {
            let Some(own) = self.own.get_mut(*index) else { continue };
            let delay = match (more_follows, own.is_unique()) {
                (true, _) => later,
                (false, true) => Duration::ZERO,
                (false, false) => shared,
            };
            own.plan(now, delay);
        }
    }

    fn unicast_answer(
        &self,
        to: SocketAddrV6,
        query: &Message,
        indexes: &BTreeSet<usize>,
        legacy: bool,
    ) -> Option<Action> {
        let mut message = self.response(indexes, &query.answers);
        // Source: RFC 6762 §18.1 (a unicast answer repeats the id).
        message.id = query.id;
        if legacy {
            make_legacy(&mut message, query, |question| self.own.iter().any(|own| own.answers(question)));
        }
        self.send(Destination::Unicast(to), &message)
    }

    /// A response with these records, and those that go along with them unless known.
    fn response(&self, indexes: &BTreeSet<usize>, known: &[Record]) -> Message {
        let picked: Vec<&Own> = indexes.iter().filter_map(|index| self.own.get(*index)).collect();
        let along = self.own.iter().enumerate().filter(|(index, other)| {
            let wanted = picked.iter().any(|own| records::accompanies(own.role, other.role));
            wanted && !indexes.contains(index) && !other.is_known(known)
        });
        Message {
            response: true,
            answers: picked.iter().map(|own| own.record.clone()).collect(),
            additionals: along.map(|(_, own)| own.record.clone()).collect(),
            ..Message::default()
        }
    }

    /// Sends the planned answers that are due, in one message.
    pub(super) fn planned(&mut self, now: Duration) -> Option<Action> {
        let due = |own: &Own| own.due.is_some_and(|at| at <= now);
        let indexes: BTreeSet<_> =
            self.own.iter().enumerate().filter(|(_, own)| due(own)).map(|(index, _)| index).collect();
        if indexes.is_empty() {
            return None;
        }
        let message = self.response(&indexes, &[]);
        for own in &mut self.own {
            if message.answers.iter().chain(&message.additionals).any(|record| *record == own.record) {
                own.mark_multicast(now);
            }
        }
        self.send(Destination::Group, &message)
    }
}

/// Turns a response into one for a plain DNS client. Source: RFC 6762 §6.7.
fn make_legacy(message: &mut Message, query: &Message, answered: impl Fn(&Question) -> bool) {
    // The question is repeated, each once and only those answered: the answer's size depends on us, not on the asker.
    for question in query.questions.iter().filter(|question| answered(question)) {
        let asked = |known: &Question| known.name == question.name && known.kind == question.kind;
        if !message.questions.iter().any(asked) {
            message.questions.push(Question { unicast: false, ..question.clone() });
        }
    }
    for record in message.answers.iter_mut().chain(&mut message.additionals) {
        record.ttl = record.ttl.min(LEGACY_TTL);
        record.flush = false;
    }
}
