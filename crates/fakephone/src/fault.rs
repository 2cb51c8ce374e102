//! Faults that a phone can be asked to show, by name.

use std::str::FromStr;
use std::time::Duration;

mod editor;
mod stream;

pub use stream::{FaultStream, Lease, Transport};

/// One way to misbehave.
///
/// `silent` and `slow` hold for every connection, `close-after-pairing` for control channels, `no-announce` for none, `hang` for
/// those of its step, `locked` for RSD on the link, the others for RSD connections only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `silent`: connections are accepted and nothing is ever said.
    Silent,
    /// `reset-after-settings`: TCP RST as soon as the client's first frame, its SETTINGS, has arrived whole.
    ResetAfterSettings,
    /// `slow:MS`: this long before every write.
    Slow(Duration),
    /// `garbage-handshake`: the Handshake's DATA frames hold bytes that are no XPC message.
    GarbageHandshake,
    /// `oversize-frame`: the Handshake's first DATA frame claims more than any peer of ours allows.
    OversizeFrame,
    /// `zero-uuid`: the Handshake's UUID is 16 zero bytes.
    ZeroUuid,
    /// `close-after-pairing`: a control channel closes once a newly paired host has its remote unlock key, so that the
    /// host has to come back and verify. Source: protocol.md §5.5 (sources disagree on whether phones do).
    CloseAfterPairing,
    /// `no-announce`: it answers at the fixed RSD port, and nothing is announced by mDNS, nor for paired hosts.
    NoAnnounce,
    /// `hang:STEP`: everything goes well until that step, and then nothing is said any more.
    Hang(Step),
    /// `locked:N`: its first N Handshakes on the link do not say who it is; then its user unlocks it. Inferred: no capture of
    /// a locked phone is public (docs/research/gaps.md).
    Locked(u32),
}

/// A step of a host's way to a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// `rsd`: the Handshake on the link.
    Rsd,
    /// `pair`: the answer to the first message of the tunnel service.
    Pair,
    /// `listener`: the answer to createListener.
    Listener,
    /// `tunnel`: the TLS handshake of the listener.
    Tunnel,
    /// `catalogue`: the Handshake inside of the tunnel.
    Catalogue,
}

impl Step {
    const ALL: [(&str, Step); 5] = [
        ("rsd", Step::Rsd),
        ("pair", Step::Pair),
        ("listener", Step::Listener),
        ("tunnel", Step::Tunnel),
        ("catalogue", Step::Catalogue),
    ];

    fn from_name(name: &str) -> Option<Step> {
        Step::ALL.iter().find(|(known, _)| *known == name).map(|(_, step)| *step)
    }
}

impl Fault {
    /// Whether this fault applies to every connection instead of to RSD connections only.
    #[must_use]
    pub fn on_every_connection(self) -> bool {
        matches!(self, Fault::Silent | Fault::Slow(_))
    }
}

/// A text that names no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected one of silent, reset-after-settings, slow:MS, garbage-handshake, oversize-frame, zero-uuid, \
     close-after-pairing, no-announce, hang:rsd, hang:pair, hang:listener, hang:tunnel, hang:catalogue, locked:N; \
     found {0:?}"
)]
pub struct FaultError(String);

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "silent" => Ok(Fault::Silent),
            "reset-after-settings" => Ok(Fault::ResetAfterSettings),
            "garbage-handshake" => Ok(Fault::GarbageHandshake),
            "oversize-frame" => Ok(Fault::OversizeFrame),
            "zero-uuid" => Ok(Fault::ZeroUuid),
            "close-after-pairing" => Ok(Fault::CloseAfterPairing),
            "no-announce" => Ok(Fault::NoAnnounce),
            _ => with_argument(text).ok_or_else(|| FaultError(text.to_owned())),
        }
    }
}

fn with_argument(text: &str) -> Option<Fault> {
    match text.split_once(':')? {
        ("slow", number) => {
            number.parse::<u32>().ok().map(|number| Fault::Slow(Duration::from_millis(number.into())))
        }
        ("hang", step) => Step::from_name(step).map(Fault::Hang),
        ("locked", number) => number.parse().ok().map(Fault::Locked),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read() {
        for (text, fault) in [
            ("silent", Fault::Silent),
            ("reset-after-settings", Fault::ResetAfterSettings),
            ("slow:250", Fault::Slow(Duration::from_millis(250))),
            ("garbage-handshake", Fault::GarbageHandshake),
            ("oversize-frame", Fault::OversizeFrame),
            ("zero-uuid", Fault::ZeroUuid),
            ("close-after-pairing", Fault::CloseAfterPairing),
            ("no-announce", Fault::NoAnnounce),
            ("hang:catalogue", Fault::Hang(Step::Catalogue)),
            ("locked:2", Fault::Locked(2)),
        ] {
            assert_eq!(text.parse(), Ok(fault), "{text}");
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_list() {
        for text in
            ["", "slow", "slow:", "slow:-1", "hang", "hang:up", "slow:99999999999", "locked", "Silent"]
        {
            let error = text.parse::<Fault>().unwrap_err().to_string();
            assert!(error.contains("reset-after-settings"), "{error}");
        }
    }
}
