//! What Linux tells about interfaces and their addresses (rtnetlink).

use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;

use futures_util::{FutureExt, Stream, StreamExt, TryStreamExt};
use rtnetlink::packet_core::NetlinkMessage;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use rtnetlink::packet_route::link::{
    InfoPortKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage,
};
use rtnetlink::{Handle, MulticastGroup};
use tokio::task::JoinHandle;

use crate::interface::{Interface, Kind};

/// A message of the kernel's about links or addresses.
pub(crate) type News = NetlinkMessage<RouteNetlinkMessage>;

/// A netlink socket that hears of changes; it belongs to the network namespace of the thread that opened it.
pub(crate) struct Netlink {
    handle: Handle,
    // Shared as well as sent: who asks holds on to all of this.
    news: Pin<Box<dyn Stream<Item = News> + Send + Sync>>,
    connection: JoinHandle<()>,
}

impl Drop for Netlink {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Netlink {
    /// Subscribes to changes; what is asked afterwards misses none.
    pub(crate) fn open() -> io::Result<Self> {
        let groups = [MulticastGroup::Link, MulticastGroup::Ipv6Ifaddr];
        let (connection, handle, news) = rtnetlink::new_multicast_connection(&groups)?;
        let connection = tokio::spawn(connection);
        Ok(Self { handle, news: Box::pin(news.map(|(message, _)| message)), connection })
    }

    /// The next message; none once the socket has ended. Cancelling loses nothing.
    pub(crate) async fn next(&mut self) -> Option<News> {
        self.news.next().await
    }

    /// Drops the messages that are here already; false once the socket has ended.
    pub(crate) fn drain(&mut self) -> bool {
        loop {
            match self.news.next().now_or_never() {
                Some(Some(_)) => {}
                Some(None) => return false,
                None => return true,
            }
        }
    }

    /// Every link.
    pub(crate) async fn links(&mut self) -> Result<Vec<LinkMessage>, rtnetlink::Error> {
        self.handle.link().get().execute().try_collect().await
    }

    /// The addresses of one link, or of all.
    pub(crate) async fn addresses(
        &mut self,
        index: Option<u32>,
    ) -> Result<Vec<AddressMessage>, rtnetlink::Error> {
        let request = self.handle.address().get();
        let request = match index {
            Some(index) => request.set_link_index_filter(index),
            None => request,
        };
        request.execute().try_collect().await
    }

    /// Every interface with its usable link-local addresses, by index.
    pub(crate) async fn interfaces(&mut self) -> Result<Vec<Interface>, rtnetlink::Error> {
        let (links, addresses) = (self.links().await?, self.addresses(None).await?);
        let mut interfaces: Vec<_> = links.iter().filter_map(interface).collect();
        for message in &addresses {
            let owner = interfaces.iter_mut().find(|interface| interface.index == message.header.index);
            if let Some((interface, address)) = owner.zip(usable_link_local(message)) {
                interface.addresses.push(address);
            }
        }
        interfaces.sort_by_key(|interface| interface.index);
        Ok(interfaces)
    }
}

/// The name of a link.
pub(crate) fn name_of(link: &LinkMessage) -> Option<&str> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.as_str()),
        _ => None,
    })
}

/// The address in a message about addresses.
pub(crate) fn address_of(message: &AddressMessage) -> Option<Ipv6Addr> {
    message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Address(IpAddr::V6(address)) => Some(*address),
        _ => None,
    })
}

/// The link-local address in a message, if it may be used.
pub(crate) fn usable_link_local(message: &AddressMessage) -> Option<Ipv6Addr> {
    // An optimistic address is tentative as well, and may be used. Source: RFC 4429 §3.
    let flags = message.header.flags;
    let tentative =
        flags.contains(AddressHeaderFlags::Tentative) && !flags.contains(AddressHeaderFlags::Optimistic);
    if tentative || flags.contains(AddressHeaderFlags::Dadfailed) {
        return None;
    }
    address_of(message).filter(Ipv6Addr::is_unicast_link_local)
}

fn interface(link: &LinkMessage) -> Option<Interface> {
    let flags = link.header.flags;
    Some(Interface {
        name: name_of(link)?.to_owned(),
        index: link.header.index,
        up: flags.contains(LinkFlags::Up),
        running: flags.contains(LinkFlags::Up | LinkFlags::Running),
        kind: kind(link),
        addresses: Vec::new(),
    })
}

/// A tap is Ethernet; a tun, WireGuard and the like have no link layer.
fn kind(link: &LinkMessage) -> Kind {
    let (flags, layer) = (link.header.flags, link.header.link_layer_type);
    if flags.contains(LinkFlags::Loopback) {
        Kind::Loopback
    } else if flags.contains(LinkFlags::Pointopoint) || layer != LinkLayerType::Ether {
        Kind::PointToPoint
    } else if is_port(link) {
        Kind::Port
    } else {
        Kind::Shared
    }
}

fn is_port(link: &LinkMessage) -> bool {
    let infos = link.attributes.iter().filter_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => Some(infos),
        _ => None,
    });
    let port = LinkInfo::PortKind;
    let takers = [port(InfoPortKind::Bridge), port(InfoPortKind::Bond), port(InfoPortKind::Team)];
    infos.flatten().any(|info| takers.contains(info))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(flags: LinkFlags, layer: LinkLayerType) -> LinkMessage {
        let mut link = LinkMessage::default();
        link.header.index = 7;
        link.header.flags = flags;
        link.header.link_layer_type = layer;
        link.attributes.push(LinkAttribute::IfName("x0".into()));
        link
    }

    #[test]
    fn links_are_told_apart() {
        let (up, ether) = (LinkFlags::Up | LinkFlags::Running, LinkLayerType::Ether);
        let of = |flags, layer| interface(&link(flags, layer)).unwrap();
        let one = of(up, ether);
        assert_eq!(
            (one.name.as_str(), one.index, one.up, one.running, one.kind),
            ("x0", 7, true, true, Kind::Shared)
        );
        assert_eq!(of(LinkFlags::Loopback, LinkLayerType::Loopback).kind, Kind::Loopback);
        assert_eq!(of(LinkFlags::Pointopoint, LinkLayerType::None).kind, Kind::PointToPoint);
        assert_eq!(of(up, LinkLayerType::None).kind, Kind::PointToPoint);
        let without_carrier = of(LinkFlags::Up, ether);
        assert!(without_carrier.up && !without_carrier.running);
        assert!(!of(LinkFlags::Running, ether).running, "nothing runs that is down");
    }

    #[test]
    fn a_port_of_a_bridge_is_one_and_that_of_a_vrf_is_not() {
        let of = |kind| {
            let mut link = link(LinkFlags::Up, LinkLayerType::Ether);
            link.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::PortKind(kind)]));
            interface(&link).unwrap().kind
        };
        assert_eq!(of(InfoPortKind::Bridge), Kind::Port);
        assert_eq!(of(InfoPortKind::Bond), Kind::Port);
        assert_eq!(of(InfoPortKind::Vrf), Kind::Shared);
    }
}
