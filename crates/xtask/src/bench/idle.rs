//! Whether the machine does something else: then the figures mean little.

use anyhow::{Context as _, Result};
use std::time::Duration;

/// How long the processors are watched before the first transfer.
const WATCH: Duration = Duration::from_secs(3);
/// Busy share of all processors, and load of one minute, from which on the machine counts as busy.
const BUSY: f64 = 0.05;
pub(super) const LOAD: f64 = 0.5;

/// What the machine did before the first transfer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Idle {
    /// Load average of one minute, before this command built anything.
    pub(crate) load: f64,
    /// Busy share of all processors just before the first transfer, 0 to 1.
    pub(crate) busy: f64,
}

impl Idle {
    /// Watches for a moment.
    pub(crate) fn watch(load: f64) -> Result<Self> {
        let before = ticks()?;
        std::thread::sleep(WATCH);
        Ok(Self { load, busy: busy(before, ticks()?) })
    }

    /// The warning, when there is a reason for one.
    pub(crate) fn warning(&self) -> Option<String> {
        (self.load > LOAD || self.busy > BUSY).then(|| {
            format!(
                "WARNING: this machine is NOT IDLE: load average {:.2} at the start, processors {:.0} % busy just \
                 before the first transfer. Do not trust these figures.",
                self.load,
                self.busy * 100.0
            )
        })
    }
}

/// The load average of one minute.
pub(crate) fn load() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").context("/proc/loadavg")?;
    text.split(' ').next().and_then(|word| word.parse().ok()).context("/proc/loadavg has another form")
}

/// Idle ticks and all ticks of all processors since the start.
fn ticks() -> Result<(u64, u64)> {
    parse(&std::fs::read_to_string("/proc/stat").context("/proc/stat")?)
        .context("/proc/stat has another form")
}

fn parse(stat: &str) -> Option<(u64, u64)> {
    let words = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    // The two columns behind these eight are counted in `user` already.
    let columns: Vec<u64> = words.take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
    Some((columns.get(3)? + columns.get(4)?, columns.iter().sum()))
}

fn busy((idle, all): (u64, u64), (idle_after, all_after): (u64, u64)) -> f64 {
    let (idle, all) = (idle_after.saturating_sub(idle) as f64, all_after.saturating_sub(all) as f64);
    if all > 0.0 { (1.0 - idle / all).clamp(0.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busy_share_leaves_out_idle_and_waiting() {
        let before = parse("cpu  10 0 10 100 20 0 0 0 5 5\ncpu0 1 2 3\n").unwrap();
        let after = parse("cpu  30 0 10 150 50 0 0 0 9 9\n").unwrap();
        assert_eq!((before, after), ((120, 140), (200, 240)));
        assert!((busy(before, after) - 0.2).abs() < 1e-9);
        assert_eq!(busy(before, before), 0.0);
        assert_eq!(parse("intr 1 2 3"), None);
    }

    #[test]
    fn a_busy_machine_is_named_with_its_load() {
        assert_eq!(Idle { load: 0.3, busy: 0.01 }.warning(), None);
        let text = Idle { load: 2.5, busy: 0.0 }.warning().unwrap();
        assert!(text.contains("NOT IDLE") && text.contains("2.50"), "{text}");
        assert!(Idle { load: 0.0, busy: 0.5 }.warning().unwrap().contains("50 % busy"));
    }
}
