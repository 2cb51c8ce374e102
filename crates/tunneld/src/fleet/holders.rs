//! Which attachment has a phone, when several say that they are it.

use std::time::Instant;

use super::actor::Actor;
use super::attachment::Attachment;
use super::verdict::verdict;
use crate::model::{Identity, State};
use crate::phone::Event;

impl Actor {
    /// An attachment says which phone it is, which anybody may: one that works, or is at work, is given up only once that is
    /// proven.
    pub(super) fn identified(&mut self, id: u64, identity: Identity, has_service: bool) {
        let Some(attachment) = self.attachments.get_mut(&id) else { return };
        attachment.done(Instant::now());
        let verdict = verdict(&self.config, &identity, has_service);
        let former = attachment.found.identity.replace(identity).map(|former| former.udid);
        if let Some(former) = former.filter(|former| attachment.udid() != Some(former)) {
            attachment.counted = false;
            self.let_go(id, &former);
        }
        let was_here = self.attachments.get(&id).is_some_and(|one| one.counted);
        let holder = self.holder(id).filter(|holder| *holder != id).and_then(|id| self.attachments.get(&id));
        match holder.is_some_and(Attachment::is_at_work) {
            false => self.claim(id),
            true if was_here => return self.step(id, Event::Superseded),
            true => {}
        }
        self.step(id, verdict.map_or(Event::Done, Event::Failed));
    }

    /// Takes a phone from an attachment; another one that leads to it inherits it.
    pub(super) fn let_go(&mut self, id: u64, udid: &str) {
        let Some(generation) = self.roster.release(udid, id, Instant::now()) else { return };
        if let Some(spare) = self.spare(udid) {
            return self.step(spare, Event::Promoted);
        }
        let heir = self.attachments.iter().find(|(other, one)| **other != id && one.udid() == Some(udid));
        match heir.map(|(heir, _)| *heir) {
            Some(heir) => self.claim(heir),
            None => self.gone.push((udid.to_owned(), generation)),
        }
    }

    fn spare(&self, udid: &str) -> Option<u64> {
        let spare = |one: &Attachment| one.udid() == Some(udid) && one.machine.state() == State::Spare;
        self.attachments.iter().find(|(_, one)| spare(one)).map(|(id, _)| *id)
    }

    /// Which attachment has the phone that this one says it is.
    pub(super) fn holder(&self, id: u64) -> Option<u64> {
        let udid = self.attachments.get(&id)?.udid()?;
        self.roster.find(udid)?.attachment
    }

    /// Gives an attachment the phone that it says it is; who had it before is its spare.
    pub(super) fn claim(&mut self, id: u64) {
        let Some(attachment) = self.attachments.get_mut(&id) else { return };
        let Some(identity) = &attachment.found.identity else { return };
        let first_time = !std::mem::replace(&mut attachment.counted, true);
        if let Some(before) = self.roster.claim(identity, id, first_time, Instant::now()) {
            self.step(before, Event::Superseded);
        }
    }

    /// The phone of an attachment that failed may be reached another way: one that is tried already, or one that waited.
    pub(super) fn fall_back(&mut self, id: u64) {
        let Some(udid) = self.attachments.get(&id).and_then(Attachment::udid) else { return };
        let at_work = |one: &Attachment| one.udid() == Some(udid) && one.is_at_work();
        let other = self.attachments.iter().find(|(other, one)| **other != id && at_work(one));
        match (other.map(|(other, _)| *other), self.spare(udid)) {
            (Some(other), _) => self.claim(other),
            (None, Some(spare)) => self.step(spare, Event::OtherFailed),
            (None, None) => {}
        }
    }
}

#[cfg(test)]
#[path = "holders_tests.rs"]
mod tests;
