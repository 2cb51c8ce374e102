//! What is wanted of a phone, and how long things may take.

use std::time::Duration;

use iosmux_usb::Mode;

use super::reason::Reason;
use crate::ports::LONGEST;

/// From SET_MODE's answer to the phone's return.
pub const RE_ENUMERATION: Duration = Duration::from_secs(10);

/// Which NCM driver carries frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Driver {
    /// The kernel's where it can bind the function, else our own.
    #[default]
    Auto,
    /// The kernel's.
    Kernel,
    /// Our own.
    Userspace,
}

/// What is wanted of a phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Why it may not be touched at all.
    pub refusal: Option<Reason>,
    /// The bridge's name.
    pub bridge: String,
    /// The mode to ask for.
    pub mode: Mode,
    /// Which driver.
    pub driver: Driver,
    /// Whether its port talks only to ports that are not isolated.
    pub isolated: bool,
}

/// The deadlines and bounds of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// One piece of work; the runner's own bound is [`LONGEST`].
    pub work: Duration,
    /// See [`RE_ENUMERATION`].
    pub re_enumeration: Duration,
    /// How long udev may take to give the node of a phone that arrived to its group.
    pub node: Duration,
    /// How long the udev rule may take to choose the configuration before we do. Source: protocol.md §1.2 (frida waits as long).
    pub rule: Duration,
    /// Until a network interface appears, when none of the phone's has: modules may have to be loaded.
    pub netdev: Duration,
    /// Until a network interface appears, when the phone's other one has.
    pub second_netdev: Duration,
    /// Until udev has named it; later it joins under any name.
    pub naming: Duration,
    /// Until a port that joined has a carrier.
    pub carrier: Duration,
    /// The whole way back.
    pub restore: Duration,
    /// From mode 1's consent until the phone leaves the bus.
    pub departure: Duration,
    /// Attempts at a mode, a configuration or a bridge in a row, before it is held.
    pub attempts: u32,
    /// Failures of other work in a row, before it is held for [`Policy::retry`] each time.
    pub failures: u32,
    /// The pause of a phone that is held for failing.
    pub retry: Duration,
    /// The first pause after a failure; each one in a row doubles it, up to [`Policy::retry`].
    pub pause: Duration,
    /// Joined this long, failures are counted from zero again.
    pub settled: Duration,
    /// A mode that is lost within this time of joining was taken away, if a program that does so runs.
    pub quick: Duration,
    /// A mode that is lost within this time of joining was taken away or forgotten, whoever did it: nobody unplugs that fast.
    pub blink: Duration,
    /// Between two looks at the firewall of a phone that is joined: others change it at any time.
    pub firewall: Duration,
    /// What is remembered of a phone that is away.
    pub memory: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        let (seconds, milliseconds) = (Duration::from_secs, Duration::from_millis);
        Self {
            work: LONGEST.saturating_add(seconds(1)),
            re_enumeration: RE_ENUMERATION,
            node: seconds(2),
            rule: milliseconds(250),
            netdev: seconds(3),
            second_netdev: milliseconds(500),
            naming: seconds(5),
            carrier: seconds(5),
            restore: seconds(15),
            departure: seconds(2),
            attempts: 3,
            failures: 5,
            retry: seconds(30),
            pause: milliseconds(250),
            settled: seconds(10),
            quick: seconds(2),
            blink: milliseconds(300),
            firewall: seconds(60),
            memory: seconds(60),
        }
    }
}

impl Policy {
    /// The pause after so many failures in a row.
    pub(super) fn pause_after(&self, failures: u32) -> Duration {
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.pause.saturating_mul(doubled).min(self.retry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_half_a_minute() {
        let policy = Policy::default();
        let pauses = [1, 2, 3, 7, 8, 33, u32::MAX].map(|failures| policy.pause_after(failures).as_millis());
        assert_eq!(pauses, [250, 500, 1000, 16_000, 30_000, 30_000, 30_000]);
    }

    #[test]
    fn the_runner_gives_up_before_the_machine() {
        assert!(Policy::default().work > LONGEST);
    }
}
