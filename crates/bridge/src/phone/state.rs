//! Where a phone is.

use serde::Serialize;

/// Where a phone is on its way to the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// On USB; its descriptors are read.
    Seen,
    /// It told its mode, which has no NCM.
    ModeQueried,
    /// It was asked for the mode with NCM and leaves the bus for it.
    Switching,
    /// It is on USB with an NCM configuration, which is not chosen yet.
    ReEnumerated,
    /// The NCM configuration is chosen; its network interface is awaited.
    Configured,
    /// The network interface is there; it joins the bridge.
    NetdevUp,
    /// A port of the bridge: frames pass.
    Joined,
    /// It waits for what its reason names.
    Held,
    /// On the way back: out of the bridge, then mode 1.
    Restoring,
    /// Not there any more, or given back.
    Gone,
}

impl State {
    /// The name in JSON, e.g. `mode-queried`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::ModeQueried => "mode-queried",
            Self::Switching => "switching",
            Self::ReEnumerated => "re-enumerated",
            Self::Configured => "configured",
            Self::NetdevUp => "netdev-up",
            Self::Joined => "joined",
            Self::Held => "held",
            Self::Restoring => "restoring",
            Self::Gone => "gone",
        }
    }

    /// In words, after a phone's name.
    pub fn words(self) -> &'static str {
        match self {
            Self::Seen => "is on USB",
            Self::ModeQueried => "told its mode",
            Self::Switching => "changes its mode and leaves USB for a moment",
            Self::ReEnumerated => "is on USB with NCM",
            Self::Configured => "is configured, its network interface is awaited",
            Self::NetdevUp => "has its network interface",
            Self::Joined => "is on the bridge",
            Self::Held => "waits",
            Self::Restoring => "is given back",
            Self::Gone => "is gone",
        }
    }
}
