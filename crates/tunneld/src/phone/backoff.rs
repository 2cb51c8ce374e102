//! How long to wait before the next attempt.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(30);

/// The pause after `failures` in a row: doubling, at most half a minute, and spread by a quarter either way so that many
/// phones that failed together don't come back together. `spread` is any number.
pub(super) fn pause(failures: u32, spread: u64) -> Duration {
    let doubled = FIRST.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    let pause = doubled.min(LONGEST);
    // 75 % to 125 %, in thousandths.
    let thousandths = 750 + u32::try_from(spread % 501).unwrap_or(0);
    pause.saturating_mul(thousandths) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_half_a_minute() {
        let middle = |failures| pause(failures, 250);
        assert_eq!(middle(1), Duration::from_millis(250));
        assert_eq!(middle(2), Duration::from_millis(500));
        assert_eq!(middle(7), Duration::from_secs(16));
        for failures in [8, 31, 32, 33, u32::MAX] {
            assert_eq!(middle(failures), Duration::from_secs(30), "{failures}");
        }
    }

    #[test]
    fn the_spread_is_a_quarter_either_way() {
        assert_eq!(pause(3, 0), Duration::from_millis(750));
        assert_eq!(pause(3, 500), Duration::from_millis(1250));
        assert_eq!(pause(3, u64::MAX - 1), pause(3, (u64::MAX - 1) % 501));
    }
}
