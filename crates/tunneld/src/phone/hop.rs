//! The steps on the way to the tunnel.

use std::fmt;

use crate::model::State;

/// A step on the way to the tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hop {
    /// Read who the phone is, on the link.
    Rsd,
    /// Verify trust, or make it.
    Pair {
        /// Whether the phone may be asked to trust this host.
        may_ask: bool,
    },
    /// Open the tunnel.
    Tunnel,
    /// Read what the phone offers inside of it.
    Catalogue,
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rsd => "reading RSD on the link",
            Self::Pair { .. } => "pairing",
            Self::Tunnel => "opening the tunnel",
            Self::Catalogue => "reading RSD inside of the tunnel",
        })
    }
}

impl Hop {
    /// The state while it runs.
    pub(super) fn state(self) -> State {
        match self {
            Self::Rsd => State::RsdUntrusted,
            Self::Pair { .. } => State::Pairing,
            Self::Tunnel => State::Listening,
            Self::Catalogue => State::TunnelUp,
        }
    }
}
