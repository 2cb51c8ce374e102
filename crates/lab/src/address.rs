//! Waiting for a link-local address, and measuring how long the kernel's duplicate-address detection takes.

use std::io;
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use rtnetlink::packet_route::link::In6AddrGenMode;
use tokio::task::JoinHandle;

use crate::error::LabError;
use crate::link::Netlink;

/// The kernel waits up to 1 s before it asks and 1 s for an answer; the rest is for a busy machine.
const DEADLINE: Duration = Duration::from_secs(10);

/// An address that can be used.
#[derive(Debug, Clone, Copy)]
pub struct Detected {
    /// The link-local address.
    pub address: Ipv6Addr,
    /// From the interface coming up to the address being usable.
    pub took: Duration,
}

/// Brings an interface up and waits until its link-local address is usable.
///
/// Fails when the kernel finds the address in use by somebody else, or after 10 s.
pub(crate) async fn bring_up(index: u32) -> Result<Detected, LabError> {
    // Joined before the interface is up, so that no event is missed.
    let (connection, handle, mut events) =
        rtnetlink::new_multicast_connection(&[MulticastGroup::Ipv6Ifaddr]).map_err(LabError::Socket)?;
    let driver = AbortOnDrop(tokio::task::spawn_local(connection));
    let start = Instant::now();
    Netlink::over(handle).up(index).await?;
    let wait = async {
        while let Ok((message, _)) = events.recv().await {
            let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(message)) = message.payload
            else {
                continue;
            };
            if let Some(address) = usable(index, &message)? {
                return Ok(Detected { address, took: start.elapsed() });
            }
        }
        Err(LabError::Socket(io::Error::other("it closed while an address was waited for")))
    };
    let detected = tokio::time::timeout(DEADLINE, wait).await;
    // Further events, of tunnels for instance, interest nobody.
    drop(driver);
    detected.unwrap_or(Err(LabError::NoAddress { index, after: DEADLINE }))
}

/// Brings an interface up with an address that is used at once.
pub(crate) async fn bring_up_at_once(index: u32, address: Ipv6Addr) -> Result<Detected, LabError> {
    let (netlink, start) = (Netlink::open()?, Instant::now());
    netlink.address_generation(index, In6AddrGenMode::None).await?;
    netlink.up(index).await?;
    netlink.add_undetected(index, address).await?;
    Ok(Detected { address, took: start.elapsed() })
}

/// A task that ends when this is dropped.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn usable(index: u32, message: &AddressMessage) -> Result<Option<Ipv6Addr>, LabError> {
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Address(std::net::IpAddr::V6(address)) => Some(*address),
        _ => None,
    });
    let Some(address) =
        address.filter(|address| message.header.index == index && address.is_unicast_link_local())
    else {
        return Ok(None);
    };
    if message.header.flags.contains(AddressHeaderFlags::Dadfailed) {
        return Err(LabError::Duplicate(address));
    }
    Ok((!message.header.flags.contains(AddressHeaderFlags::Tentative)).then_some(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(index: u32, address: &str, flags: AddressHeaderFlags) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.index = index;
        message.header.flags = flags;
        message.attributes.push(AddressAttribute::Address(address.parse().unwrap()));
        message
    }

    #[test]
    fn a_tentative_address_is_waited_for() {
        assert_eq!(usable(2, &event(2, "fe80::1", AddressHeaderFlags::Tentative)).unwrap(), None);
        let usable_address = usable(2, &event(2, "fe80::1", AddressHeaderFlags::Permanent)).unwrap();
        assert_eq!(usable_address, Some("fe80::1".parse().unwrap()));
    }

    #[test]
    fn another_interface_or_scope_does_not_count() {
        assert_eq!(usable(2, &event(3, "fe80::1", AddressHeaderFlags::Permanent)).unwrap(), None);
        assert_eq!(usable(2, &event(2, "fd00::1", AddressHeaderFlags::Permanent)).unwrap(), None);
    }

    #[test]
    fn a_duplicate_is_an_error_that_names_the_address() {
        let flags = AddressHeaderFlags::Tentative | AddressHeaderFlags::Dadfailed;
        let error = usable(2, &event(2, "fe80::1", flags)).unwrap_err();
        assert!(error.to_string().contains("fe80::1 is in use"));
    }
}
