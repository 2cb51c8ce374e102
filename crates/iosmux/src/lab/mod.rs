//! The lab: a phone, a host and a VM on one machine.
//!
//! ```text
//!  namespace phone        namespace host             namespace vm
//!      ncm0 ────────── phone ─┐
//!  namespace phone2           ├─ iosmux0 ─ vm ────────── eth0
//!      ncm0 ───────── phone2 ─┘  (bridge)
//! ```
//!
//! The cables are veth pairs. The host forwards frames and has no address, as a bridge host should.

mod address;
mod isolation;
mod link;
mod namespace;
mod requirement;
mod settle;

use std::net::Ipv6Addr;
use std::time::Duration;

use anyhow::Result;
use futures_util::future::{try_join, try_join_all};
use rtnetlink::packet_route::link::In6AddrGenMode;

use address::Detected;
pub(crate) use isolation::Isolation;
use link::{FarEnd, Mac, Netlink};
pub(crate) use namespace::Namespace;
pub(crate) use requirement::{Unsupported, preflight};

/// The host's bridge.
pub(crate) const BRIDGE: &str = "iosmux0";
const BRIDGE_MAC: Mac = [0x02, b'i', b'o', 0, 0, 0];
const VM_PORT_MAC: Mac = [0x02, b'i', b'o', 0xff, 0, 0];
/// The vendor part that QEMU gives to its NICs.
const VM_MAC: Mac = [0x52, 0x54, 0x00, b'i', b'o', b's'];

/// The phone's or the VM's place on the link.
pub(crate) struct Station {
    pub(crate) namespace: Namespace,
    /// The name of its interface on the link.
    pub(crate) interface: &'static str,
    /// The index of that interface: the scope of link-local addresses.
    pub(crate) index: u32,
}

/// What bringing the link up gave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkUp {
    /// The VM's link-local address.
    pub(crate) vm: Ipv6Addr,
    /// The longest time that duplicate-address detection took.
    pub(crate) detection: Duration,
}

/// The namespaces. Dropping it removes them and everything in them.
pub(crate) struct Lab {
    pub(crate) phones: Vec<Station>,
    pub(crate) vm: Station,
    pub(crate) host: Namespace,
}

impl Lab {
    /// Builds the namespaces and the cables between them. The ends in the phones and the VM stay down.
    pub(crate) async fn build(phones: u16) -> Result<Self> {
        let host = Namespace::new("host").await?;
        host.run(|| async {
            let netlink = Netlink::open()?;
            netlink.loopback_up().await?;
            netlink.add_bridge(BRIDGE, BRIDGE_MAC).await?;
            let bridge = link::index(BRIDGE)?;
            netlink.address_generation(bridge, In6AddrGenMode::None).await?;
            netlink.up(bridge).await
        })
        .await?;
        let vm = connect(&host, "vm".to_owned(), "eth0", VM_PORT_MAC, VM_MAC).await?;
        let mut stations = Vec::with_capacity(usize::from(phones));
        for number in 1..=phones {
            let name = if number == 1 { "phone".to_owned() } else { format!("phone{number}") };
            let port = phone_port_mac(number);
            stations.push(connect(&host, name, "ncm0", port, phone_mac(port)).await?);
        }
        Ok(Self { phones: stations, vm, host })
    }

    /// Brings the link up everywhere at once and waits for the kernel's duplicate-address detection.
    pub(crate) async fn bring_up(&self) -> Result<LinkUp> {
        let (vm, phones) =
            try_join(self.vm.bring_up(), try_join_all(self.phones.iter().map(Station::bring_up))).await?;
        let longest = phones.iter().map(|phone| phone.took).fold(vm.took, Duration::max);
        Ok(LinkUp { vm: vm.address, detection: longest })
    }

    /// Waits until no connection is left in the lab, for a second at most: the kernel keeps a namespace for as long as a
    /// connection in it retries, and without the bridge each of them would for minutes.
    pub(crate) async fn settle(&self) {
        let waits = self.namespaces().map(|namespace| namespace.run(settle::connections));
        if let Err(error) = try_join_all(waits).await {
            tracing::debug!(%error, "the lab is taken down with open connections");
        }
    }

    /// Every namespace with its name, the host's first.
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = &Namespace> {
        let stations = std::iter::once(&self.vm).chain(&self.phones);
        std::iter::once(&self.host).chain(stations.map(|station| &station.namespace))
    }
}

impl Station {
    async fn bring_up(&self) -> Result<Detected> {
        let index = self.index;
        self.namespace.run(move || address::bring_up(index)).await
    }
}

/// A new namespace with one interface, cabled to a port of the host's bridge that bears the namespace's name.
async fn connect(
    host: &Namespace,
    name: String,
    interface: &'static str,
    port_mac: Mac,
    mac: Mac,
) -> Result<Station> {
    let namespace = Namespace::new(name.as_str()).await?;
    let far_namespace = namespace.raw_fd();
    host.run(move || async move {
        let netlink = Netlink::open()?;
        netlink.add_cable(&name, port_mac, FarEnd { name: interface, mac, namespace: far_namespace }).await?;
        let port = link::index(&name)?;
        netlink.attach(port, link::index(BRIDGE)?).await?;
        netlink.address_generation(port, In6AddrGenMode::None).await?;
        netlink.up(port).await
    })
    .await?;
    let index = namespace
        .run(move || async move {
            let netlink = Netlink::open()?;
            netlink.loopback_up().await?;
            let index = link::index(interface)?;
            // Whatever the machine's default is: a phone's address is made from its MAC (protocol.md §1.7).
            netlink.address_generation(index, In6AddrGenMode::Eui64).await?;
            Ok(index)
        })
        .await?;
    Ok(Station { namespace, interface, index })
}

/// The MAC of the host's port towards a phone. A phone names it in its USB descriptors (protocol.md §1.5).
fn phone_port_mac(number: u16) -> Mac {
    let [high, low] = number.to_be_bytes();
    [0x02, b'i', b'o', 0x01, high, low]
}

/// A phone's own MAC: the host's with the last byte inverted.
///
/// Source: protocol.md §1.7 (the device's link-local address).
fn phone_mac(port: Mac) -> Mac {
    let [a, b, c, d, e, last] = port;
    [a, b, c, d, e, last ^ 0xff]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phones_mac_is_the_ports_with_the_last_byte_inverted() {
        assert_eq!(phone_mac(phone_port_mac(1)), [0x02, b'i', b'o', 1, 0, 0xfe]);
        assert_ne!(phone_port_mac(1), phone_port_mac(256));
    }
}
