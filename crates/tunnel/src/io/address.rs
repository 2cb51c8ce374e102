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
pub(crate) use linux::configure;
#[cfg(not(target_os = "linux"))]
pub(crate) use other::configure;

#[cfg(target_os = "linux")]
mod linux {
    use super::{Ends, Failure};
    use netlink_packet_core::{
        NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
    };
    use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
    use netlink_packet_route::link::{
        AfSpecInet6, AfSpecUnspec, In6AddrGenMode, LinkAttribute, LinkFlags, LinkMessage,
    };
    use netlink_packet_route::route::{
        RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteType,
    };
    use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
    use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
    use std::io;

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
        // The kernel makes the same one a moment later, and packets before that would find none.
        let route = RouteNetlinkMessage::NewRoute(route(index, ends));
        ask(&mut socket, route, NLM_F_CREATE | NLM_F_REPLACE).map_err(|error| ("route", error))
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

    fn route(index: u32, ends: Ends) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet6;
        message.header.destination_prefix_length = 128;
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Kernel;
        message.header.kind = RouteType::Unicast;
        message.attributes =
            vec![RouteAttribute::Destination(RouteAddress::Inet6(ends.peer)), RouteAttribute::Oif(index)];
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
}

#[cfg(not(target_os = "linux"))]
mod other {
    use super::{Ends, Failure};
    use std::io;
    use std::process::Command;

    /// The system's own tool: the ioctl's structure isn't in any crate that is kept. It is given checked values only, and
    /// no shell is between.
    pub(crate) fn configure(name: &str, ends: Ends) -> Result<(), Failure> {
        let mut command = Command::new("/sbin/ifconfig");
        command.args([name, "inet6", &ends.local.to_string(), &ends.peer.to_string()]);
        command.args(["prefixlen", "128", "up"]);
        let output = command.output().map_err(|error| ("address", error))?;
        if output.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(("address", io::Error::other(format!("ifconfig: {text}"))))
    }
}
