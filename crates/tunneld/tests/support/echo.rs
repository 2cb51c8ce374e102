//! Round trips through a tunnel: an echo that the kernel at its other end answers.

use std::io;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

/// Source: RFC 4443 §4.1, §4.2.
const REQUEST: u8 = 128;
const REPLY: u8 = 129;

/// A socket that hears one address only.
pub struct Echo {
    socket: Socket,
    identifier: [u8; 2],
    sequence: u16,
}

impl Echo {
    /// In the network namespace of the calling thread.
    pub fn open(to: Ipv6Addr) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
        socket.connect(&SocketAddrV6::new(to, 0, 0, 0).into())?;
        Ok(Self { socket, identifier: fastrand::u16(..).to_be_bytes(), sequence: 0 })
    }

    /// How long an answer took. The kernel makes the checksum.
    pub fn round_trip(&mut self, patience: Duration) -> io::Result<Duration> {
        self.sequence = self.sequence.wrapping_add(1);
        let [[a, b], [c, d]] = [self.identifier, self.sequence.to_be_bytes()];
        let began = Instant::now();
        self.socket.send(&[REQUEST, 0, 0, 0, a, b, c, d])?;
        loop {
            let left = patience.checked_sub(began.elapsed()).filter(|left| !left.is_zero());
            self.socket.set_read_timeout(Some(left.ok_or(io::ErrorKind::TimedOut)?))?;
            let mut answer = [0; 64];
            let length = io::Read::read(&mut &self.socket, &mut answer)?;
            if answer[..length] == [REPLY, 0, answer[2], answer[3], a, b, c, d] {
                return Ok(began.elapsed());
            }
        }
    }
}
