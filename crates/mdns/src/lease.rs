//! How long a cached record lives and when it is asked for again.

use std::time::Duration;

/// A refresh is asked for at these percentages of the life. Source: RFC 6762 §5.2.
const REFRESH_PERCENT: [u32; 4] = [80, 85, 90, 95];
/// What a goodbye or a cache flush leaves. Source: RFC 6762 §10.1 and §10.2.
const GRACE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    since: Duration,
    life: Duration,
    expires: Duration,
    refreshes: u8,
    /// Added to each refresh time, 0 to 20 thousandths of the life. Source: RFC 6762 §5.2.
    jitter: Duration,
}

impl Lease {
    /// A life of `ttl` seconds from `now`; `random` spreads the refresh times.
    pub(crate) fn new(now: Duration, ttl: u32, random: u64) -> Self {
        let life = Duration::from_secs(u64::from(ttl));
        let thousandths = u32::try_from(random.checked_rem(21).unwrap_or(0)).unwrap_or(0);
        Self {
            since: now,
            life,
            expires: now.saturating_add(life),
            refreshes: 0,
            jitter: part(life, thousandths, 1000),
        }
    }

    pub(crate) fn since(&self) -> Duration {
        self.since
    }

    pub(crate) fn expires(&self) -> Duration {
        self.expires
    }

    pub(crate) fn has_expired(&self, now: Duration) -> bool {
        self.expires <= now
    }

    /// True after a goodbye or a cache flush.
    pub(crate) fn is_ending(&self) -> bool {
        self.expires < self.since.saturating_add(self.life)
    }

    /// Leaves one second at most.
    pub(crate) fn end(&mut self, now: Duration) {
        self.expires = self.expires.min(now.saturating_add(GRACE));
    }

    /// When to ask again, unless four questions went without answer or the record is ending.
    pub(crate) fn refresh_at(&self) -> Option<Duration> {
        if self.is_ending() {
            return None;
        }
        let percent = REFRESH_PERCENT.get(usize::from(self.refreshes))?;
        Some(self.since.saturating_add(part(self.life, *percent, 100)).saturating_add(self.jitter))
    }

    /// True when the record should be asked for at `now`; notes that it is.
    pub(crate) fn take_refresh(&mut self, now: Duration) -> bool {
        let before = self.refreshes;
        while self.refresh_at().is_some_and(|at| at <= now) {
            self.refreshes = self.refreshes.saturating_add(1);
        }
        self.refreshes > before
    }
}

fn part(whole: Duration, numerator: u32, denominator: u32) -> Duration {
    whole.saturating_mul(numerator).checked_div(denominator).unwrap_or(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn refreshes_at_80_85_90_95_percent_and_then_no_more() {
        let mut lease = Lease::new(s(100), 100, 0);
        for at in [180, 185, 190, 195] {
            assert_eq!(lease.refresh_at(), Some(s(at)));
            assert!(!lease.take_refresh(s(at - 1)) && lease.take_refresh(s(at)));
        }
        assert_eq!(lease.refresh_at(), None);
        assert!(!lease.has_expired(s(199)) && lease.has_expired(s(200)));
    }

    #[test]
    fn a_goodbye_leaves_one_second() {
        let mut lease = Lease::new(s(0), 120, 5);
        lease.end(s(10));
        assert_eq!((lease.expires(), lease.refresh_at(), lease.is_ending()), (s(11), None, true));
    }
}
