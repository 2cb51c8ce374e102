//! The error item that takes the place of a step.
//!
//! Source: protocol.md §5.3.

use std::time::Duration;

use super::{Tlv8, tag};

/// The error codes of pairing. Source: protocol.md §5.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PeerErrorCode {
    /// 1: no more is said.
    Unknown,
    /// 2: a proof, a PIN or a signature is wrong.
    Authentication,
    /// 3: too many attempts lately; comes with a delay.
    BackOff,
    /// 4: the peer has no record of us.
    UnknownPeer,
    /// 5: the peer has no room for another pairing.
    MaxPeers,
    /// 6: the peer stopped pair-setup after too many attempts.
    MaxTries,
    /// 7: the peer doesn't permit it.
    Permission,
    /// 8: ownership could not be shown.
    Ownership,
    /// 9: no access.
    Access,
    /// 0xA: not supported there.
    Unsupported,
    /// Any other code.
    Other(u8),
}

impl PeerErrorCode {
    /// The code of a byte on the wire.
    pub fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Unknown,
            2 => Self::Authentication,
            3 => Self::BackOff,
            4 => Self::UnknownPeer,
            5 => Self::MaxPeers,
            6 => Self::MaxTries,
            7 => Self::Permission,
            8 => Self::Ownership,
            9 => Self::Access,
            0x0a => Self::Unsupported,
            other => Self::Other(other),
        }
    }

    /// The byte of this code on the wire.
    pub fn to_byte(self) -> u8 {
        match self {
            Self::Unknown => 1,
            Self::Authentication => 2,
            Self::BackOff => 3,
            Self::UnknownPeer => 4,
            Self::MaxPeers => 5,
            Self::MaxTries => 6,
            Self::Permission => 7,
            Self::Ownership => 8,
            Self::Access => 9,
            Self::Unsupported => 0x0a,
            Self::Other(byte) => byte,
        }
    }
}

impl std::fmt::Display for PeerErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = match self {
            Self::Unknown => "1, unknown error",
            Self::Authentication => "2, authentication failed",
            Self::BackOff => "3, back off",
            Self::UnknownPeer => "4, unknown peer",
            Self::MaxPeers => "5, no room for another pairing",
            Self::MaxTries => "6, too many attempts",
            Self::Permission => "7, not permitted",
            Self::Ownership => "8, ownership failure",
            Self::Access => "9, no access",
            Self::Unsupported => "10, unsupported",
            Self::Other(byte) => return write!(f, "{byte}, not a code that is known"),
        };
        f.write_str(text)
    }
}

/// An error item with the delay that may come with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerError {
    /// What the peer says is wrong.
    pub code: PeerErrorCode,
    /// How long the peer wants to be left alone.
    pub retry_delay: Option<Duration>,
}

/// The reply that names an error, with a delay for [`PeerErrorCode::BackOff`].
///
/// The order error, delay, state is the one of the captured back-off reply (fixture `m2_backoff_issue879.bin`).
pub fn error_reply(state: u8, error: PeerError) -> Tlv8 {
    let reply = Tlv8::new().with(tag::ERROR, [error.code.to_byte()]);
    let reply = match error.retry_delay.map(|delay| delay.as_secs()) {
        None => reply,
        // Two bytes in the capture, and the only width that every client reads.
        Some(seconds) => {
            reply.with(tag::RETRY_DELAY, u16::try_from(seconds).unwrap_or(u16::MAX).to_le_bytes())
        }
    };
    reply.with_state(state)
}
