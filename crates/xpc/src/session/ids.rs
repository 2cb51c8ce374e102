//! Message ids and which messages still want a reply.

use std::collections::BTreeSet;

use super::{Role, error::SessionError};

/// Numbers of our messages, and requests without a reply, both ways.
///
/// Source: protocol.md §3.2: the initiator counts 1, 3, 5…, the listener 2, 4, 6…; the opening is 0.
#[derive(Debug)]
pub(super) struct MessageIds {
    next: u64,
    ours: BTreeSet<u64>,
    theirs: BTreeSet<u64>,
    limit: usize,
}

impl MessageIds {
    pub(super) fn new(role: Role, limit: usize) -> Self {
        let next = match role {
            Role::Client => 1,
            Role::Server => 2,
        };
        Self { next, ours: BTreeSet::new(), theirs: BTreeSet::new(), limit }
    }

    /// The id of our next message.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Takes the id of our next message; one that wants a reply is remembered.
    pub(super) fn allot(&mut self, wants_reply: bool) -> Result<u64, SessionError> {
        if wants_reply && self.ours.len() >= self.limit {
            return Err(SessionError::TooManyRequests { limit: self.limit });
        }
        let id = self.next;
        self.next = self.next.wrapping_add(2);
        if wants_reply {
            self.ours.insert(id);
        }
        Ok(id)
    }

    /// Whether a reply of this id answers a request of ours.
    pub(super) fn answered(&mut self, id: u64) -> bool {
        self.ours.remove(&id)
    }

    /// Notes that the peer wants a reply.
    pub(super) fn asked(&mut self, id: u64) -> Result<(), SessionError> {
        if self.theirs.len() >= self.limit {
            return Err(SessionError::TooManyRequests { limit: self.limit });
        }
        self.theirs.insert(id);
        Ok(())
    }

    /// Notes that we reply to `id`.
    pub(super) fn answer(&mut self, id: u64) -> Result<(), SessionError> {
        if self.theirs.remove(&id) { Ok(()) } else { Err(SessionError::NotAsked { id }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_counts_in_its_own_parity() {
        let mut client = MessageIds::new(Role::Client, 4);
        let mut server = MessageIds::new(Role::Server, 4);
        assert_eq!([client.allot(false), client.allot(true), client.allot(false)], [Ok(1), Ok(3), Ok(5)]);
        assert_eq!([server.allot(false), server.allot(false)], [Ok(2), Ok(4)]);
    }

    #[test]
    fn a_reply_counts_once() {
        let mut ids = MessageIds::new(Role::Client, 4);
        let id = ids.allot(true).unwrap();
        assert!(ids.answered(id));
        assert!(!ids.answered(id));
    }

    #[test]
    fn nobody_is_answered_who_did_not_ask() {
        let mut ids = MessageIds::new(Role::Server, 1);
        assert_eq!(ids.answer(1), Err(SessionError::NotAsked { id: 1 }));
        ids.asked(1).unwrap();
        assert_eq!(ids.asked(3), Err(SessionError::TooManyRequests { limit: 1 }));
        assert_eq!(ids.answer(1), Ok(()));
        assert_eq!(ids.answer(1), Err(SessionError::NotAsked { id: 1 }));
    }
}
