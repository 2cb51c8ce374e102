//! Which UDIDs there are, and which attachment is whose.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::model::{Device, Identity, same_udid};

/// UDIDs that are remembered; the one that is gone the longest makes room.
const DEVICES: usize = 256;

/// A phone that was identified at least once.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) identity: Identity,
    pub(super) generation: u64,
    /// The attachment in use.
    pub(super) attachment: Option<u64>,
    gone_since: Instant,
}

/// All of them, by UDID.
#[derive(Debug, Default)]
pub(super) struct Roster(BTreeMap<String, Record>);

impl Roster {
    /// Gives a phone to an attachment; returns the one that had it. `attached_again` counts a new generation.
    pub(super) fn claim(
        &mut self,
        identity: &Identity,
        attachment: u64,
        attached_again: bool,
        now: Instant,
    ) -> Option<u64> {
        if !self.0.contains_key(&identity.udid) && self.0.len() >= DEVICES {
            self.make_room();
        }
        let record = self.0.entry(identity.udid.clone()).or_insert_with(|| Record {
            identity: identity.clone(),
            generation: 0,
            attachment: None,
            gone_since: now,
        });
        record.identity = identity.clone();
        record.generation = record.generation.saturating_add(u64::from(attached_again));
        record.attachment.replace(attachment).filter(|before| *before != attachment)
    }

    /// Takes a phone from an attachment that is over, if it had it; returns the phone's generation.
    pub(super) fn release(&mut self, udid: &str, attachment: u64, now: Instant) -> Option<u64> {
        let record = self.0.get_mut(udid).filter(|record| record.attachment == Some(attachment))?;
        (record.attachment, record.gone_since) = (None, now);
        Some(record.generation)
    }

    /// A phone by its UDID, with or without dash.
    pub(super) fn find(&self, udid: &str) -> Option<&Record> {
        self.0.values().find(|record| same_udid(&record.identity.udid, udid))
    }

    /// A phone, if this attachment has it.
    pub(super) fn held(&self, udid: &str, attachment: u64) -> Option<&Record> {
        self.0.get(udid).filter(|record| record.attachment == Some(attachment))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Record> {
        self.0.values()
    }

    fn make_room(&mut self) {
        let gone = self.0.values().filter(|record| record.attachment.is_none());
        let oldest = gone.min_by_key(|record| record.gone_since).map(|record| record.identity.udid.clone());
        if let Some(udid) = oldest {
            self.0.remove(&udid);
        }
    }
}

impl Record {
    /// The phone while it is not here.
    pub(super) fn gone(&self) -> Device {
        Device::gone(self.identity.clone(), self.generation, self.gone_since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::State;

    fn identity(udid: &str) -> Identity {
        Identity { udid: udid.to_owned(), product_type: None, os_version: None, build: None }
    }

    #[test]
    fn the_newcomer_takes_the_phone_and_counts() {
        let (mut roster, now) = (Roster::default(), Instant::now());
        let phone = identity("00008020-0000000000001234");
        assert_eq!(roster.claim(&phone, 1, true, now), None);
        assert_eq!(roster.claim(&phone, 1, false, now), None, "a retry is no attachment");
        assert_eq!(roster.claim(&phone, 2, true, now), Some(1));
        assert_eq!(roster.release(&phone.udid, 1, now), None, "it was taken from it before");
        let record = roster.find("000080200000000000001234").unwrap();
        assert_eq!((record.generation, record.attachment), (2, Some(2)));
        assert_eq!(roster.release(&phone.udid, 2, now), Some(2));
        assert_eq!(roster.iter().next().unwrap().gone().state, State::Gone);
    }

    #[test]
    fn phones_that_are_gone_make_room_and_those_here_do_not() {
        let (mut roster, now) = (Roster::default(), Instant::now());
        for number in 0..DEVICES as u64 {
            roster.claim(&identity(&format!("{number:025}")), number, true, now);
        }
        roster.release(&format!("{:025}", 7), 7, now);
        roster.claim(&identity("new"), 9999, true, now);
        assert!(roster.find(&format!("{:025}", 7)).is_none());
        assert_eq!(roster.iter().count(), DEVICES);
    }
}
