//! The socket for echoes on one interface.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::echo::{self, Token};

/// All nodes of a link. Source: RFC 4291 §2.7.1.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// More than any reply of ours has.
const BUFFER: usize = 64;

/// Why no echo can be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum PingError {
    #[error(
        "phones that do not announce themselves are not found: an echo needs CAP_NET_RAW or net.ipv4.ping_group_range"
    )]
    Forbidden,
    #[error("phones that do not announce themselves are not found: no echo could be sent: {0}")]
    Io(#[from] io::Error),
}

/// Sends echoes to all neighbours and hears who answers.
pub(super) struct Ping {
    socket: UdpSocket,
    interface: u32,
    token: Token,
    sequence: u16,
}

impl Ping {
    /// A ping socket, else a raw one. Must be called inside a tokio runtime.
    pub(super) fn open(interface: u32, token: Token) -> Result<Self, PingError> {
        let open = |kind| Socket::new(Domain::IPV6, kind, Some(Protocol::ICMPV6));
        let socket = open(Type::DGRAM).or_else(|_| open(Type::RAW)).map_err(refused)?;
        socket.set_nonblocking(true)?;
        socket.set_multicast_if_v6(interface)?;
        socket.set_multicast_loop_v6(false)?;
        Ok(Self { socket: UdpSocket::from_std(socket.into())?, interface, token, sequence: 0 })
    }

    /// One echo to all nodes.
    pub(super) async fn send(&mut self) -> Result<(), PingError> {
        self.sequence = self.sequence.wrapping_add(1);
        let to = SocketAddrV6::new(ALL_NODES, 0, 0, self.interface);
        self.socket.send_to(&echo::request(self.sequence, self.token), to).await?;
        Ok(())
    }

    /// The next neighbour that answers. Cancelling loses nothing.
    pub(super) async fn answered(&self) -> io::Result<Ipv6Addr> {
        loop {
            let mut buffer = [0; BUFFER];
            let (length, from) = self.socket.recv_from(&mut buffer).await?;
            if let SocketAddr::V6(from) = from
                && from.scope_id() == self.interface
                && echo::is_reply(&buffer[..length], self.token)
            {
                return Ok(*from.ip());
            }
        }
    }
}

fn refused(error: io::Error) -> PingError {
    match error.kind() {
        io::ErrorKind::PermissionDenied => PingError::Forbidden,
        _ => PingError::Io(error),
    }
}
