//! What is remembered of a phone while it is away, so that a mode that is taken away again and again ends in a state.

use std::time::Duration;

use super::policy::Policy;
use crate::ports::Holder;

/// What is remembered of a phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// How often the mode with NCM was lost, one time after the other, and not by unplugging as far as can be told.
    strikes: u32,
    /// When it was last lost.
    lost: Option<Lost>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lost {
    at: Duration,
    /// How long it was joined, or waited for what has a name; none when it never did.
    shown: Option<Duration>,
}

impl Memory {
    /// The phone left while it had NCM, after it was joined for some time or never.
    pub(super) fn lose(&mut self, policy: &Policy, now: Duration, shown: Option<Duration>) {
        if shown.is_some_and(|shown| shown >= policy.settled) {
            self.strikes = 0;
        }
        self.lost = Some(Lost { at: now, shown });
    }

    /// Forgets everything: a person had a hand in it.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether it is old enough to be dropped.
    pub fn is_old(&self, policy: &Policy, now: Duration) -> bool {
        self.lost.is_none_or(|lost| now.saturating_sub(lost.at) > policy.memory)
    }

    /// Whether a phone that comes without NCM now lost it in a way that asks who did that.
    pub(super) fn is_suspicious(&self, policy: &Policy, now: Duration) -> bool {
        let quick = |lost: Lost| lost.shown.is_none_or(|shown| shown < policy.quick);
        !self.is_old(policy, now) && self.lost.is_some_and(quick)
    }

    /// Judges the loss by who is there: unplugging looks the same on the wire, so a phone that was joined for a moment counts
    /// only when a program that switches phones runs. Returns the strikes in a row.
    pub(super) fn judge(&mut self, policy: &Policy, by: &[Holder]) -> u32 {
        let Some(lost) = self.lost.take() else { return self.strikes };
        let program = by.iter().any(|holder| matches!(holder, Holder::Process { .. }));
        if program || lost.shown.is_none_or(|shown| shown < policy.blink) {
            self.strikes = self.strikes.saturating_add(1);
        }
        self.strikes
    }
}
