//! UDP sockets for one link.
//!
//! A socket on `[::]:5353` gets the group's messages from every link that any socket of the machine joined it on, and on
//! Linux IPV6_MULTICAST_ALL looks at the group only, not at the interface: the state machines drop what other links say
//! by the scope of the sender. Binding to the device instead would take unicast to 5353 away from the system's responder.

use std::{
    io,
    net::{Ipv6Addr, SocketAddrV6},
};

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use tokio::{net::UdpSocket, runtime::Handle};

use super::{Error, Result};
use crate::{GROUP, PORT, browser::Path};

/// Hop limit of every message. Source: RFC 6762 §11.
const HOPS: u32 = 255;
/// The same numbers on Linux and Darwin.
const ENXIO: i32 = 6;
const ENODEV: i32 = 19;

/// Opens the socket of a path on one interface. Must be called inside a tokio runtime.
pub(super) fn open(path: Path, interface_index: u32) -> Result<UdpSocket> {
    if interface_index == 0 {
        return Err(Error::NoInterface);
    }
    Handle::try_current().map_err(|_| Error::NoRuntime)?;
    let step = |step| move |source| Error::Socket { interface_index, step, source };
    let socket =
        Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP)).map_err(step("opening a socket"))?;
    configure(&socket, interface_index).map_err(step("choosing the interface for multicast"))?;
    let port = match path {
        Path::OneShot => 0,
        Path::Shared => {
            share(&socket).map_err(step("sharing port 5353"))?;
            socket.join_multicast_v6(&GROUP, interface_index).map_err(step("joining ff02::fb"))?;
            PORT
        }
    };
    let address = SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0);
    socket.bind(&SockAddr::from(address)).map_err(step("binding the port"))?;
    UdpSocket::from_std(socket.into()).map_err(step("handing the socket to tokio"))
}

fn configure(socket: &Socket, interface_index: u32) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    socket.set_only_v6(true)?;
    socket.set_multicast_if_v6(interface_index)?;
    socket.set_multicast_hops_v6(HOPS)?;
    socket.set_unicast_hops_v6(HOPS)?;
    // A responder on this machine hears us too.
    socket.set_multicast_loop_v6(true)
}

/// Lets any number of processes hold the port: Linux asks for the first, Darwin for the second, avahi sets both.
fn share(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)
}

/// The multicast group on this interface.
pub(super) fn group(interface_index: u32) -> SocketAddrV6 {
    SocketAddrV6::new(GROUP, PORT, 0, interface_index)
}

/// False when the interface index names nothing any more. A failed send doesn't tell: it is EADDRNOTAVAIL for a link that
/// is down, one without address and one that is gone; choosing the interface again is ENODEV (Linux) or ENXIO (Darwin)
/// only for the last.
pub(super) fn interface_exists(socket: &UdpSocket, interface_index: u32) -> bool {
    match SockRef::from(socket).set_multicast_if_v6(interface_index) {
        Err(error) => !matches!(error.raw_os_error(), Some(ENODEV | ENXIO)),
        Ok(()) => true,
    }
}
