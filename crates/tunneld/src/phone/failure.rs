//! What went wrong with a phone, and what that means for the next attempt.

use std::time::Duration;

use super::hop::Hop;
use crate::model::{Concern, Reason};

/// What a failure asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Try again after a pause.
    Retry,
    /// Nobody answers there: the same, and after a few of these in a row the phone has left.
    Unreachable,
    /// The phone said when.
    RetryAfter(Duration),
    /// Only a person can change it: wait for one, or for the phone to be attached again.
    Hold,
    /// The phone hides its identity until it is unlocked: look again every few seconds.
    Locked,
    /// Never with this phone.
    Unsupported,
}

/// A failure in words and in consequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What to do.
    pub kind: Kind,
    /// For people.
    pub reason: Reason,
}

impl Failure {
    /// A failure that goes away by itself, perhaps.
    pub fn retry(text: impl Into<String>) -> Self {
        Self { kind: Kind::Retry, reason: Reason::new(printable(&text.into()), None) }
    }

    /// Nobody answers at its address.
    pub(crate) fn unreachable(text: impl Into<String>) -> Self {
        Self { kind: Kind::Unreachable, ..Self::retry(text) }
    }

    /// A failure of another kind, with what a person should do.
    pub fn new(kind: Kind, text: impl Into<String>, next_step: &str) -> Self {
        Self { kind, reason: Reason::new(printable(&text.into()), Some(next_step)) }
    }

    /// Says what on this computer has to change.
    #[must_use]
    pub fn about(mut self, concern: Concern) -> Self {
        self.reason.concern = Some(concern);
        self
    }

    /// A hop that took too long.
    pub(super) fn late(hop: Hop, after: Duration) -> Self {
        Self::retry(format!("{hop} was not done within {} s", after.as_secs()))
    }

    /// Nobody tapped Trust.
    pub(crate) fn untrusted(after: Duration) -> Self {
        Self::new(
            Kind::Hold,
            format!("nobody tapped Trust on the phone for {} s", after.as_secs()),
            "unlock the phone, ask it again with `pair` (or attach it again), and tap Trust on it",
        )
    }
}

/// What a peer said, as terminals and logs can bear it: it may hold their control characters.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_says_controls_no_terminal() {
        let failure = Failure::retry("the phone says: \u{1b}]0;x\u{7}\nok");
        assert_eq!(failure.reason.text, "the phone says: \u{fffd}]0;x\u{fffd}\u{fffd}ok");
    }
}
