//! Limits on what a peer may do too often, with the time passed in.

use std::time::Duration;

use super::error::SessionError;
use crate::limits::Limits;

/// Counts events in windows of fixed length.
#[derive(Debug)]
struct Rate {
    what: &'static str,
    limit: u32,
    per: Duration,
    since: Duration,
    count: u32,
}

impl Rate {
    fn new(what: &'static str, limit: u32, per: Duration) -> Self {
        Self { what, limit, per, since: Duration::ZERO, count: 0 }
    }

    fn hit(&mut self, now: Duration) -> Result<(), SessionError> {
        if now.saturating_sub(self.since) >= self.per {
            self.since = now;
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        if self.count > self.limit {
            return Err(SessionError::Flood { what: self.what, limit: self.limit, per: self.per });
        }
        Ok(())
    }
}

/// The floods a session watches for.
#[derive(Debug)]
pub(super) struct Guard {
    resets: Rate,
    control: Rate,
    empty_data: Rate,
    stray: Rate,
}

impl Guard {
    pub(super) fn new(limits: &Limits) -> Self {
        let second = Duration::from_secs(1);
        Self {
            resets: Rate::new("RST_STREAM frames", limits.resets, limits.resets_window),
            control: Rate::new(
                "SETTINGS, PING, HEADERS or PRIORITY frames",
                limits.control_frames_per_second,
                second,
            ),
            empty_data: Rate::new("empty DATA frames", limits.empty_data_frames_per_second, second),
            stray: Rate::new("DATA frames on closed streams", limits.empty_data_frames_per_second, second),
        }
    }

    pub(super) fn reset(&mut self, now: Duration) -> Result<(), SessionError> {
        self.resets.hit(now)
    }

    pub(super) fn control(&mut self, now: Duration) -> Result<(), SessionError> {
        self.control.hit(now)
    }

    pub(super) fn empty_data(&mut self, now: Duration) -> Result<(), SessionError> {
        self.empty_data.hit(now)
    }

    pub(super) fn stray(&mut self, now: Duration) -> Result<(), SessionError> {
        self.stray.hit(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_allows_its_limit_and_no_more_in_each_window() {
        let mut rate = Rate::new("things", 2, Duration::from_secs(1));
        for start in [0, 1, 2] {
            let now = Duration::from_secs(start);
            assert!(rate.hit(now).is_ok());
            assert!(rate.hit(now).is_ok());
            assert!(matches!(rate.hit(now), Err(SessionError::Flood { what: "things", limit: 2, .. })));
        }
    }
}
