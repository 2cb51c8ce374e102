//! The packets that would have carried a connection's bytes. No I/O and no clock.
//!
//! TCP segments of at most 16 KiB with the sequence numbers, acknowledgements and checksums that a dissector expects, between a
//! handshake and a FIN or RST. Retransmissions, windows and options of the real connection aren't known here and are not
//! imitated.

use std::net::{IpAddr, SocketAddr};

use etherparse::{IpHeaders, PacketBuilder, PacketBuilderStep, TcpOptionElement};

use crate::pcapng::Direction;

/// The most payload that one segment carries, in bytes.
pub const MAX_SEGMENT: usize = 16 * 1024;

/// Unacknowledged bytes after which the receiver sends an empty acknowledgement.
const ACKNOWLEDGE_EVERY: u32 = 512 * 1024;
const WINDOW: u16 = u16::MAX;
/// With this the window is 1 GiB, so that no dissector takes it for full. Source: RFC 7323 §2.3 (14 is the maximum).
const WINDOW_SCALE: u8 = 14;
/// What a sender on the link uses. Source: RFC 6762 §11.
const HOP_LIMIT: u8 = 255;

/// An IP packet and the way it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpPacket {
    /// Which way it went.
    pub direction: Direction,
    /// The packet, from the IP header on.
    pub bytes: Vec<u8>,
}

/// Who opened a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opener {
    /// This side.
    Local,
    /// The other side.
    Peer,
}

/// One TCP connection.
#[derive(Debug)]
pub struct Flow {
    local: Endpoint,
    peer: Endpoint,
}

#[derive(Debug)]
struct Endpoint {
    address: SocketAddr,
    /// The next sequence number.
    next: u32,
    /// The last number of the other side's that it acknowledged.
    acknowledged: u32,
    closed: bool,
}

/// What a segment is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Syn,
    SynAck,
    Data,
    Ack,
    Fin,
    Rst,
}

impl Flow {
    /// A connection between two addresses. Scope ids aren't part of a packet.
    pub fn new(local: SocketAddr, peer: SocketAddr) -> Self {
        let end = |address| Endpoint { address, next: 0, acknowledged: 0, closed: false };
        Self { local: end(local), peer: end(peer) }
    }

    /// SYN, SYN-ACK and ACK.
    pub fn open(&mut self, opener: Opener) -> Vec<IpPacket> {
        let first = match opener {
            Opener::Local => Direction::Outbound,
            Opener::Peer => Direction::Inbound,
        };
        let mut packets = Vec::with_capacity(3);
        packets.extend(self.segment(first, Kind::Syn, &[]));
        packets.extend(self.segment(first.reverse(), Kind::SynAck, &[]));
        packets.extend(self.segment(first, Kind::Ack, &[]));
        packets
    }

    /// The segments for bytes that were read or written.
    pub fn data(&mut self, direction: Direction, bytes: &[u8]) -> Vec<IpPacket> {
        let mut packets = Vec::with_capacity(bytes.len().div_ceil(MAX_SEGMENT));
        for payload in bytes.chunks(MAX_SEGMENT) {
            packets.extend(self.segment(direction, Kind::Data, payload));
            let (sender, receiver) = self.ends(direction);
            if sender.next.wrapping_sub(receiver.acknowledged) >= ACKNOWLEDGE_EVERY {
                packets.extend(self.segment(direction.reverse(), Kind::Ack, &[]));
            }
        }
        packets
    }

    /// A FIN of one side, acknowledged by the other. Nothing when that side has closed already.
    pub fn finish(&mut self, direction: Direction) -> Vec<IpPacket> {
        if std::mem::replace(&mut self.ends(direction).0.closed, true) {
            return Vec::new();
        }
        let mut packets = Vec::with_capacity(2);
        packets.extend(self.segment(direction, Kind::Fin, &[]));
        packets.extend(self.segment(direction.reverse(), Kind::Ack, &[]));
        packets
    }

    /// A RST of one side, which closes both. Nothing when that side has closed already.
    pub fn reset(&mut self, direction: Direction) -> Vec<IpPacket> {
        let (sender, receiver) = self.ends(direction);
        receiver.closed = true;
        if std::mem::replace(&mut sender.closed, true) {
            return Vec::new();
        }
        self.segment(direction, Kind::Rst, &[]).into_iter().collect()
    }

    /// The sender and the receiver of a direction.
    fn ends(&mut self, direction: Direction) -> (&mut Endpoint, &mut Endpoint) {
        match direction {
            Direction::Outbound => (&mut self.local, &mut self.peer),
            Direction::Inbound => (&mut self.peer, &mut self.local),
        }
    }

    /// One segment; moves both sides' numbers on. `payload` is at most [`MAX_SEGMENT`] long, so there always is one.
    fn segment(&mut self, direction: Direction, kind: Kind, payload: &[u8]) -> Option<IpPacket> {
        let (sender, receiver) = self.ends(direction);
        let ip = ip_header(sender.address, receiver.address);
        let tcp = ip.tcp(sender.address.port(), receiver.address.port(), sender.next, WINDOW);
        let tcp = match kind {
            Kind::Syn => tcp.syn(),
            Kind::SynAck => tcp.syn().ack(receiver.next),
            Kind::Data => tcp.psh().ack(receiver.next),
            Kind::Ack => tcp.ack(receiver.next),
            Kind::Fin => tcp.fin().ack(receiver.next),
            Kind::Rst => tcp.rst().ack(receiver.next),
        };
        let tcp = match kind {
            Kind::Syn | Kind::SynAck => tcp.options(&[TcpOptionElement::WindowScale(WINDOW_SCALE)]).ok()?,
            _ => tcp,
        };
        let mut bytes = Vec::with_capacity(tcp.size(payload.len()));
        tcp.write_to_vec(&mut bytes, payload).ok()?;
        let counted = match kind {
            Kind::Syn | Kind::SynAck | Kind::Fin => 1,
            _ => u32::try_from(payload.len()).ok()?,
        };
        sender.next = sender.next.wrapping_add(counted);
        if kind != Kind::Syn {
            sender.acknowledged = receiver.next;
        }
        Some(IpPacket { direction, bytes })
    }
}

/// The packet of one UDP datagram, or nothing when the payload is longer than a datagram can be.
pub fn datagram(source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> Option<Vec<u8>> {
    let udp = ip_header(source, destination).udp(source.port(), destination.port());
    let mut bytes = Vec::with_capacity(udp.size(payload.len()));
    udp.write_to_vec(&mut bytes, payload).ok()?;
    Some(bytes)
}

fn ip_header(source: SocketAddr, destination: SocketAddr) -> PacketBuilderStep<IpHeaders> {
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            PacketBuilder::ipv4(source.octets(), destination.octets(), HOP_LIMIT)
        }
        (source, destination) => PacketBuilder::ipv6(ipv6(source), ipv6(destination), HOP_LIMIT),
    }
}

/// A socket can name one side of a connection as IPv4 and the other as IPv4-mapped.
fn ipv6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}
