//! When a question is asked again.

use std::time::Duration;

/// The pause after the first, second, … question; afterwards the last. A phone's link comes up within seconds of the
/// cable, so the first pauses are short. Source: RFC 6762 §5.2 (growing pauses); protocol.md §2 (a probe each 250 ms).
const PAUSES: [Duration; 6] = [
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(9),
    Duration::from_secs(27),
    Duration::from_secs(60),
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Schedule {
    asked: u32,
    next: Duration,
}

impl Schedule {
    /// The first question is due at once.
    pub(super) fn at(now: Duration) -> Self {
        Self { asked: 0, next: now }
    }

    pub(super) fn next(&self) -> Duration {
        self.next
    }

    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.next <= now
    }

    /// How often the question was asked.
    pub(super) fn asked(&self) -> u32 {
        self.asked
    }

    /// Notes that the question was asked at `now`; `jitter` is added to the pause.
    pub(super) fn ask(&mut self, now: Duration, jitter: Duration) {
        let index = usize::try_from(self.asked).unwrap_or(usize::MAX);
        let pause = PAUSES.get(index).or(PAUSES.last()).copied().unwrap_or_default();
        self.next = now.saturating_add(pause).saturating_add(jitter);
        self.asked = self.asked.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_minute() {
        let mut schedule = Schedule::at(Duration::ZERO);
        let mut at = Vec::new();
        for _ in 0..9 {
            let now = schedule.next();
            at.push(now.as_millis());
            schedule.ask(now, Duration::ZERO);
        }
        assert_eq!(at, [0, 250, 1250, 4250, 13_250, 40_250, 100_250, 160_250, 220_250]);
    }
}
