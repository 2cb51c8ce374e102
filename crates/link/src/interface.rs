//! One interface, as far as a search for neighbours needs it.

use std::net::Ipv6Addr;

/// What sort of interface it is, as far as the kernel tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A link with neighbours: Ethernet, Wi-Fi, a bridge.
    Shared,
    /// This computer itself.
    Loopback,
    /// One peer and no link layer: tun, utun, WireGuard, PPP.
    PointToPoint,
    /// A port of a bridge or bond: what arrives there belongs to that, so nothing can be asked here.
    Port,
}

/// An interface at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its index: the scope of link-local addresses.
    pub index: u32,
    /// Switched on.
    pub up: bool,
    /// On, and with a carrier.
    pub running: bool,
    /// What sort it is.
    pub kind: Kind,
    /// Its link-local addresses that may be used; tentative ones are left out where the kernel tells.
    pub addresses: Vec<Ipv6Addr>,
}

impl Interface {
    /// Whether neighbours can be talked to: running, with an address of its own, and no part of another interface.
    pub fn is_usable(&self) -> bool {
        self.up && self.running && self.kind != Kind::Port && !self.addresses.is_empty()
    }

    /// What is missing, in words; none when it [is usable](Self::is_usable).
    pub fn missing(&self) -> Option<&'static str> {
        match self {
            Self { kind: Kind::Port, .. } => Some("it is a port of a bridge or bond: choose that instead"),
            Self { up: false, .. } => Some("it is down"),
            Self { running: false, .. } => Some("it has no carrier"),
            Self { addresses, .. } if addresses.is_empty() => Some("it has no usable link-local address yet"),
            _ => None,
        }
    }
}
