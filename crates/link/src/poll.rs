//! The interfaces by looking at them (getifaddrs): where the kernel tells no news.
//!
//! Whether an address is tentative or an interface is a port of a bridge is not told this way.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv6Addr;

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::{InterfaceFlags, if_nametoindex};

use crate::interface::{Interface, Kind};

/// Every interface with its link-local addresses, by index.
///
/// # Errors
/// What the kernel said.
pub(crate) fn interfaces() -> io::Result<Vec<Interface>> {
    let mut by_name = BTreeMap::new();
    for entry in getifaddrs()? {
        // One that vanishes in between has no index any more.
        let Ok(index) = if_nametoindex(entry.interface_name.as_str()) else { continue };
        let name = entry.interface_name.clone();
        let interface = by_name.entry(name).or_insert_with(|| interface(index, &entry));
        interface.addresses.extend(link_local(&entry));
    }
    let mut interfaces: Vec<_> = by_name.into_values().collect();
    interfaces.sort_by_key(|interface| interface.index);
    Ok(interfaces)
}

fn interface(index: u32, entry: &InterfaceAddress) -> Interface {
    let flags = entry.flags;
    let kind = if flags.contains(InterfaceFlags::IFF_LOOPBACK) {
        Kind::Loopback
    } else if flags.contains(InterfaceFlags::IFF_POINTOPOINT) {
        Kind::PointToPoint
    } else {
        Kind::Shared
    };
    Interface {
        name: entry.interface_name.clone(),
        index,
        up: flags.contains(InterfaceFlags::IFF_UP),
        running: flags.contains(InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING),
        kind,
        addresses: Vec::new(),
    }
}

fn link_local(entry: &InterfaceAddress) -> Option<Ipv6Addr> {
    let address = entry.address.as_ref()?.as_sockaddr_in6()?.ip();
    address.is_unicast_link_local().then(|| without_scope(address))
}

/// BSD kernels keep the interface's index in the second pair of bytes, which is zero in any real link-local address.
/// Source: RFC 4291 §2.5.6.
fn without_scope(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & !(0xffff << 96))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_computer_has_a_loopback() {
        let interfaces = interfaces().unwrap();
        let loopback = interfaces.iter().find(|interface| interface.kind == Kind::Loopback).unwrap();
        assert!(loopback.name.starts_with("lo") && loopback.index > 0, "{loopback:?}");
    }

    #[test]
    fn an_embedded_scope_is_no_part_of_the_address() {
        let address = |text: &str| text.parse::<Ipv6Addr>().unwrap();
        assert_eq!(without_scope(address("fe80:4::1:2")), address("fe80::1:2"));
        assert_eq!(without_scope(address("fe80::1:2")), address("fe80::1:2"));
    }
}
