//! Addresses of a TUN device: its own, and the other end's as the only route.
//!
//! The /64 of the tunnel is not routed: there is nobody else in it, and what a phone says is no reason to route more.

use std::io;
use std::net::Ipv6Addr;

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
pub(crate) use linux::configure;
#[cfg(not(target_os = "linux"))]
pub(crate) use other::configure;
