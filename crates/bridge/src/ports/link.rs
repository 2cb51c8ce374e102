//! Links: bridges and their ports.

use std::future::Future;
use std::io;
use std::time::Duration;

use super::Changes;

/// A bridge as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// The interface's index: another one when it was deleted and made again.
    pub index: u32,
    /// Its MAC address.
    pub mac: [u8; 6],
    /// Whether it is up.
    pub up: bool,
    /// Whether the spanning tree protocol is on.
    pub stp: bool,
    /// How long a port is silent before it forwards while STP is on.
    pub forward_delay: Duration,
}

/// What a port of a bridge does with frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortState {
    /// The link is down or the bridge has not taken it up yet.
    Disabled,
    /// Silent: the forward delay runs.
    Listening,
    /// Silent: the forward delay runs.
    Learning,
    /// Frames pass.
    Forwarding,
    /// The spanning tree leaves it out.
    Blocking,
}

/// A network interface that can be, or is, a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its MAC address.
    pub mac: [u8; 6],
    /// Whether it is up.
    pub up: bool,
    /// The index of the bridge (or other master) that it belongs to.
    pub master: Option<u32>,
    /// What the bridge does with its frames; none without one.
    pub state: Option<PortState>,
    /// Whether it talks only to ports that are not isolated.
    pub isolated: bool,
    /// Whether the kernel makes no IPv6 address on it (address generation none).
    pub no_addresses: bool,
}

/// What keeps frames between ports of a bridge from passing, though the bridge is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// In words: which chain of which table drops, e.g. `ip6 filter FORWARD has policy drop`.
    pub chain: String,
}

/// Why the kernel refused something about links.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The interface is not there (any more).
    #[error("the interface is not there any more")]
    Gone,
    /// The name is that of another kind of interface.
    #[error("the interface is no bridge")]
    NoBridge,
    /// CAP_NET_ADMIN is missing.
    #[error("{action} needs CAP_NET_ADMIN")]
    Denied {
        /// What was tried, e.g. `joining the bridge`.
        action: &'static str,
    },
    /// The system's words.
    #[error("{action}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// The links of this network namespace.
pub trait LinkControl: Send + Sync + 'static {
    /// Bridges and ports that come, go or change.
    type Changes: Changes;

    /// Follows changes.
    ///
    /// # Errors
    /// When nothing can be followed.
    fn changes(&self) -> io::Result<Self::Changes>;

    /// The bridge of this name; none when there is none, [`LinkError::NoBridge`] when the name is something else's.
    ///
    /// # Errors
    /// [`LinkError`].
    fn bridge(&self, name: &str) -> impl Future<Output = Result<Option<Bridge>, LinkError>> + Send;

    /// The interface with this index.
    ///
    /// # Errors
    /// [`LinkError`].
    fn port(&self, index: u32) -> impl Future<Output = Result<Option<Port>, LinkError>> + Send;

    /// Makes it a port: IPv6 address generation none first, then the bridge, isolation, up. The bridge's MAC address is as
    /// before. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`LinkError`]; [`LinkError::Gone`] for either.
    fn attach(
        &self,
        port: u32,
        bridge: u32,
        isolated: bool,
    ) -> impl Future<Output = Result<(), LinkError>> + Send;

    /// Takes it out of its bridge and down. One that is gone or in none is fine.
    ///
    /// # Errors
    /// [`LinkError`].
    fn detach(&self, port: u32) -> impl Future<Output = Result<(), LinkError>> + Send;

    /// Whether br_netfilter is in the way of link-local traffic between ports, as far as can be seen.
    fn dropped(&self) -> impl Future<Output = Option<Dropped>> + Send;
}
