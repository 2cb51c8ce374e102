//! By netlink.

use super::{Clash, Ends, Failure};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, LinkAttribute, LinkFlags, LinkMessage,
};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use std::io;
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

/// Bits of the longest route that names no network: a VPN's for all of fc00::/7; for everything it has ::/0, or ::/1 and 8000::/1.
const ELSEWHERE: u8 = 7;
/// The longest that the routes of a new address may take.
const ROUTES_TIMEOUT: Duration = Duration::from_secs(5);

/// What a tunnel with `address` at one of its ends would take from this computer.
///
/// Every route counts that is longer than those which lead everything, or all unique local addresses, elsewhere: who has it knows
/// the network behind it.
pub(crate) fn clash(address: Ipv6Addr) -> io::Result<Option<Clash>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    let Some(found) = route(&mut socket, address)? else { return Ok(None) };
    let prefix_len = found.header.destination_prefix_length;
    // Which interface only explains the rest: it may be gone by now.
    let interface = interface(&found).and_then(|index| name_of(&mut socket, index).ok());
    Ok(match found.header.kind {
        // Anycast: a router answers to the first address of each of its networks.
        RouteType::Local | RouteType::Anycast => Some(Clash::Own { interface }),
        // They take packets to nowhere, so nobody misses them.
        RouteType::BlackHole | RouteType::Unreachable | RouteType::Prohibit | RouteType::Throw => None,
        _ if prefix_len <= ELSEWHERE => None,
        _ => Some(Clash::Route { network: network(&found, address), prefix_len, interface }),
    })
}

/// The network that a route leads to.
fn network(route: &RouteMessage, otherwise: Ipv6Addr) -> Ipv6Addr {
    let network = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet6(network)) => Some(*network),
        _ => None,
    });
    network.unwrap_or(otherwise)
}

/// The interface that a route leads to; one with several ways has none.
fn interface(route: &RouteMessage) -> Option<u32> {
    route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    })
}

/// Gives the interface its address and route and brings it up, with no other address on it: packets of a link-local
/// one could not pass anyway.
pub(crate) fn configure(name: &str, ends: Ends) -> Result<(), Failure> {
    let index = index_of(name).map_err(|error| ("index", error))?;
    let mut socket = Socket::new(NETLINK_ROUTE).map_err(|error| ("netlink socket", error))?;
    let quiet = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
    let quiet = link(index, LinkFlags::empty(), vec![LinkAttribute::AfSpecUnspec(vec![quiet])]);
    ask(&mut socket, quiet, 0).map_err(|error| ("address generation mode", error))?;
    // Up first: an address that waits for its interface to come up gets a route to itself, none to the other end.
    let up = link(index, LinkFlags::Up, Vec::new());
    ask(&mut socket, up, 0).map_err(|error| ("state \"up\"", error))?;
    let address = RouteNetlinkMessage::NewAddress(address(index, ends));
    ask(&mut socket, address, NLM_F_CREATE | NLM_F_EXCL).map_err(|error| ("address", error))?;
    wait_for_routes(&mut socket, index, ends).map_err(|error| ("routes", error))
}

/// The kernel makes the routes of an address, to itself and to the other end, a moment after it has the address:
/// packets before that would find none.
fn wait_for_routes(socket: &mut Socket, index: u32, ends: Ends) -> io::Result<()> {
    let start = Instant::now();
    while start.elapsed() < ROUTES_TIMEOUT {
        let local = route(socket, ends.local)?.is_some_and(|route| route.header.kind == RouteType::Local);
        let peer = route(socket, ends.peer)?.is_some_and(|route| {
            // Both ends may be in one namespace.
            route.header.kind == RouteType::Local || route.attributes.contains(&RouteAttribute::Oif(index))
        });
        if local && peer {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// The route that a packet to `address` would take, as it is in the routing table.
fn route(socket: &mut Socket, address: Ipv6Addr) -> io::Result<Option<RouteMessage>> {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet6;
    message.header.destination_prefix_length = 128;
    // Otherwise the answer is about this one address. Source: linux/rtnetlink.h, since Linux 4.13.
    message.header.flags = RouteFlags::FibMatch;
    message.attributes = vec![RouteAttribute::Destination(RouteAddress::Inet6(address))];
    match exchange(socket, RouteNetlinkMessage::GetRoute(message), NLM_F_REQUEST)? {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route)) => Ok(Some(route)),
        // Unreachable, so far: no route, or one that refuses.
        NetlinkPayload::Error(_) => Ok(None),
        other => Err(io::Error::other(format!("the kernel answered {other:?}"))),
    }
}

/// A point-to-point address needs no duplicate address detection: both ends were agreed on.
fn address(index: u32, ends: Ends) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet6;
    message.header.prefix_len = 128;
    message.header.index = index;
    message.attributes = vec![
        AddressAttribute::Local(ends.local.into()),
        AddressAttribute::Address(ends.peer.into()),
        AddressAttribute::Flags(AddressFlags::Nodad | AddressFlags::Permanent),
    ];
    message
}

fn link(index: u32, flags: LinkFlags, attributes: Vec<LinkAttribute>) -> RouteNetlinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.flags = flags;
    message.header.change_mask = flags;
    message.attributes = attributes;
    RouteNetlinkMessage::SetLink(message)
}

/// The kernel's number of an interface; /sys may be another namespace's, so it is asked by netlink.
fn index_of(name: &str) -> io::Result<u32> {
    let mut message = LinkMessage::default();
    message.attributes = vec![LinkAttribute::IfName(name.to_owned())];
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    match exchange(&mut socket, RouteNetlinkMessage::GetLink(message), NLM_F_REQUEST)? {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => Ok(link.header.index),
        NetlinkPayload::Error(error) => Err(error.to_io()),
        other => Err(io::Error::other(format!("the kernel answered {other:?}"))),
    }
}

/// The name of an interface.
fn name_of(socket: &mut Socket, index: u32) -> io::Result<String> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    match exchange(socket, RouteNetlinkMessage::GetLink(message), NLM_F_REQUEST)? {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => {
            let name = link.attributes.into_iter().find_map(|attribute| match attribute {
                LinkAttribute::IfName(name) => Some(name),
                _ => None,
            });
            name.ok_or_else(|| io::ErrorKind::NotFound.into())
        }
        NetlinkPayload::Error(error) => Err(error.to_io()),
        other => Err(io::Error::other(format!("the kernel answered {other:?}"))),
    }
}

fn ask(socket: &mut Socket, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
    match exchange(socket, message, NLM_F_REQUEST | NLM_F_ACK | flags)? {
        NetlinkPayload::Error(error) => error.code.map_or(Ok(()), |_| Err(error.to_io())),
        other => Err(io::Error::other(format!("the kernel answered {other:?}"))),
    }
}

fn exchange(
    socket: &mut Socket,
    message: RouteNetlinkMessage,
    flags: u16,
) -> io::Result<NetlinkPayload<RouteNetlinkMessage>> {
    let mut message = NetlinkMessage::from(message);
    message.header.flags = flags;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).map_err(io::Error::other)?;
    Ok(answer.payload)
}
