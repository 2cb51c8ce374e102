//! A token bucket: bounds what a spoofed or noisy neighbour can make us send.

use std::time::Duration;

#[derive(Debug)]
pub(super) struct Bucket {
    burst: u32,
    per_second: u32,
    tokens: u32,
    /// Time up to which tokens were added.
    filled: Duration,
}

impl Bucket {
    pub(super) fn new(burst: u32, per_second: u32) -> Self {
        Self { burst, per_second, tokens: burst, filled: Duration::ZERO }
    }

    /// Takes one token, if there is one.
    pub(super) fn take(&mut self, now: Duration) -> bool {
        let interval = Duration::from_secs(1).checked_div(self.per_second).unwrap_or(Duration::MAX);
        let passed = now.saturating_sub(self.filled).as_nanos();
        let new =
            passed.checked_div(interval.as_nanos()).and_then(|n| u32::try_from(n).ok()).unwrap_or(u32::MAX);
        if new > 0 {
            self.tokens = self.tokens.saturating_add(new).min(self.burst);
            // The rest of an interval is kept unless the bucket is full.
            let whole = interval.saturating_mul(new);
            self.filled = if self.tokens == self.burst { now } else { self.filled.saturating_add(whole) };
        }
        let taken = self.tokens.checked_sub(1);
        self.tokens = taken.unwrap_or(0);
        taken.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut bucket = Bucket::new(3, 10);
        let now = Duration::from_secs(5);
        assert_eq!((0..9).filter(|_| bucket.take(now)).count(), 3);
        let later = (1..=20).filter(|n| bucket.take(now + Duration::from_millis(50 * n))).count();
        assert_eq!(later, 10);
        assert_eq!((0..9).filter(|_| bucket.take(Duration::from_secs(3600))).count(), 3);
    }
}
