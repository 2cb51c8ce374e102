//! Addresses of a TUN device: its own, and the other end's as the only route.
//!
//! The /64 of the tunnel is not routed: there is nobody else in it, and what a phone says is no reason to route more.

use std::fmt;
use std::io;
use std::net::Ipv6Addr;

/// What this computer already does with an address that a phone named.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Clash {
    /// It answers to the address itself.
    Own {
        /// The interface that has the address, if the system says so.
        interface: Option<String>,
    },
    /// It knows a way there that isn't a default route.
    Route {
        /// The route's network.
        network: Ipv6Addr,
        /// The network's prefix in bits.
        prefix_len: u8,
        /// The interface it leads to, if the system names one.
        interface: Option<String>,
    },
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interface = match self {
            Self::Own { interface } => {
                f.write_str("is an address of this computer")?;
                interface
            }
            Self::Route { network, prefix_len, interface } => {
                write!(f, "is in {network}/{prefix_len}, to which this computer has a route")?;
                interface
            }
        };
        interface.as_ref().map_or(Ok(()), |name| write!(f, " ({name})"))
    }
}

/// The two ends of a link.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    /// This end.
    pub(crate) local: Ipv6Addr,
    /// The other.
    pub(crate) peer: Ipv6Addr,
}

/// What failed, and how.
type Failure = (&'static str, io::Error);

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod other;

#[cfg(target_os = "linux")]
pub(crate) use linux::{clash, configure};
#[cfg(not(target_os = "linux"))]
pub(crate) use other::{clash, configure};
