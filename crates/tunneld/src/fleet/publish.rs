//! What others see: the picture of all phones, and what happens to each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::actor::Actor;
use super::attachment::Attachment;
use super::handle::Inbox;
use super::roster::Record;
use crate::model::{Device, Happening, Snapshot, State};

impl Actor {
    /// Tells what changed.
    pub(super) fn publish(&mut self, inbox: &Inbox) {
        while self.tasks.try_join_next().is_some() {}
        if std::mem::take(&mut self.changed) {
            self.tell(inbox);
            self.revision = self.revision.saturating_add(1);
            inbox.snapshot.send_replace(Arc::new(self.snapshot()));
        }
        let (roster, attachments, epoch) = (&self.roster, &self.attachments, self.epoch);
        self.waiters
            .settle(Instant::now(), |udid| roster.find(udid).map(|record| shown(record, attachments, epoch)));
    }

    fn tell(&mut self, inbox: &Inbox) {
        let now = Instant::now();
        let mut news = Vec::new();
        for (device, generation) in std::mem::take(&mut self.gone) {
            news.push((device, generation, State::Gone, None));
        }
        for (id, attachment) in &mut self.attachments {
            let state = attachment.machine.state();
            if state == attachment.shown.0 {
                continue;
            }
            attachment.shown = (state, now);
            let held = attachment.udid().and_then(|udid| self.roster.held(udid, *id));
            let (device, generation) = match held {
                Some(record) => (record.identity.udid.clone(), record.generation),
                None => (attachment.link.scoped(), 0),
            };
            news.push((device, generation, state, attachment.machine.reason().cloned()));
        }
        for (device, generation, state, reason) in news {
            self.happened = self.happened.saturating_add(1);
            let why = reason.as_ref().map_or("", |reason| reason.text.as_str());
            tracing::info!(%device, state = state.name(), why, "phone");
            // Nobody may listen.
            let _ =
                inbox.happenings.send(Happening { number: self.happened, device, generation, state, reason });
        }
    }

    fn snapshot(&self) -> Snapshot {
        // What says that it is a phone which is reached elsewhere has still to prove it.
        let unproven = |id: u64, one: &Attachment| {
            one.machine.state() != State::Spare
                && one.udid().is_none_or(|udid| self.roster.held(udid, id).is_none())
        };
        let unidentified =
            self.attachments.iter().filter(|(id, one)| unproven(**id, one)).map(|(_, one)| one);
        Snapshot {
            revision: self.revision,
            devices: self.roster.iter().map(|record| shown(record, &self.attachments, self.epoch)).collect(),
            unidentified: unidentified.map(|one| one.unidentified(self.epoch)).collect(),
            searches: self.searches.clone(),
        }
    }
}

fn shown(record: &Record, attachments: &BTreeMap<u64, Attachment>, epoch: Instant) -> Device {
    match record.attachment.and_then(|id| attachments.get(&id)) {
        Some(attachment) => attachment.device(&record.identity, record.generation, epoch),
        None => record.gone(),
    }
}
