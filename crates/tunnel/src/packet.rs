//! Which packets may pass through a tunnel, and what happened to those that may not.
//!
//! A tunnel joins exactly two addresses, so a packet with any other is a mistake (the host's multicast chatter on its
//! TUN device) or an attack (a phone that speaks as somebody else). Both are dropped and counted.

use std::fmt;
use std::net::Ipv6Addr;

/// Length of the fixed IPv6 header in bytes. Source: RFC 8200 §3.
pub const HEADER_LEN: usize = 40;

/// The longest packet whose length the fixed header can say, in bytes.
pub const MAX_PACKET: usize = HEADER_LEN + u16::MAX as usize;

/// The version that every packet has. Source: RFC 8200 §3.
const VERSION: u8 = 6;

/// "No next header": a packet that ends with its header. Source: RFC 8200 §4.7.
const NO_NEXT_HEADER: u8 = 59;

/// The hop limit of packets that this crate makes. Any value reaches the other end of a tunnel.
const HOP_LIMIT: u8 = 64;

/// A checked view of a fixed IPv6 header. Source: RFC 8200 §3.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a>(&'a [u8; HEADER_LEN]);

impl<'a> Header<'a> {
    /// The header at the start of `bytes`, if they are long enough; its fields are not judged.
    pub fn of(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    /// The IP version: 6 in a real header.
    pub fn version(&self) -> u8 {
        self.0[0] >> 4
    }

    /// The length that the header states for the whole packet, in bytes.
    pub fn packet_len(&self) -> usize {
        HEADER_LEN.saturating_add(usize::from(u16::from_be_bytes([self.0[4], self.0[5]])))
    }

    /// The protocol after this header.
    pub fn next_header(&self) -> u8 {
        self.0[6]
    }

    /// Who sent the packet, by its own account.
    pub fn source(&self) -> Ipv6Addr {
        self.address::<8>()
    }

    /// Whom it is for.
    pub fn destination(&self) -> Ipv6Addr {
        self.address::<24>()
    }

    fn address<const AT: usize>(&self) -> Ipv6Addr {
        let bytes = self.0.get(AT..).and_then(|rest| rest.first_chunk::<16>());
        bytes.map_or(Ipv6Addr::UNSPECIFIED, |bytes| Ipv6Addr::from(*bytes))
    }
}

/// Why a packet was not let through. The checks are made in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// Shorter than a header.
    Short,
    /// Not version 6.
    Version,
    /// The header's length is not the packet's.
    Length,
    /// Longer than the tunnel's MTU.
    TooLong,
    /// The source is not the sending end's address.
    Source,
    /// The destination is not the receiving end's address.
    Destination,
}

impl Drop {
    /// Every reason.
    pub const ALL: [Self; 6] =
        [Self::Short, Self::Version, Self::Length, Self::TooLong, Self::Source, Self::Destination];

    /// The name under which it is counted.
    pub fn name(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Version => "version",
            Self::Length => "length",
            Self::TooLong => "too_long",
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }
}

impl fmt::Display for Drop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The rule for one direction of one tunnel.
#[derive(Debug, Clone, Copy)]
pub struct PacketFilter {
    /// Both addresses as a packet has them, one after the other.
    addresses: [u8; 32],
    max: usize,
}

impl PacketFilter {
    /// Lets packets of up to `mtu` bytes pass from `source` to `destination`.
    pub fn new(source: Ipv6Addr, destination: Ipv6Addr, mtu: u16) -> Self {
        let mut addresses = [0; 32];
        let (first, second) = addresses.split_at_mut(16);
        first.copy_from_slice(&source.octets());
        second.copy_from_slice(&destination.octets());
        Self { addresses, max: usize::from(mtu) }
    }

    /// The longest packet that passes, in bytes.
    pub fn max_packet(&self) -> usize {
        self.max
    }

    /// Judges one whole packet.
    pub fn judge(&self, packet: &[u8]) -> Result<(), Drop> {
        let Some(header) = Header::of(packet) else { return Err(Drop::Short) };
        if header.version() != VERSION {
            return Err(Drop::Version);
        }
        if header.packet_len() != packet.len() {
            return Err(Drop::Length);
        }
        if packet.len() > self.max {
            return Err(Drop::TooLong);
        }
        match header.0.last_chunk::<32>() {
            Some(addresses) if *addresses == self.addresses => Ok(()),
            Some(addresses) if addresses.get(..16) == self.addresses.get(..16) => Err(Drop::Destination),
            _ => Err(Drop::Source),
        }
    }

    /// A packet of this direction that carries nothing, 40 bytes long.
    /// Source: protocol.md §5.10 (what frida ends a burst with); RFC 8200 §4.7.
    pub fn empty_packet(&self) -> [u8; HEADER_LEN] {
        let mut packet = [0; HEADER_LEN];
        packet[0] = VERSION << 4;
        packet[6] = NO_NEXT_HEADER;
        packet[7] = HOP_LIMIT;
        if let Some(addresses) = packet.last_chunk_mut::<32>() {
            *addresses = self.addresses;
        }
        packet
    }
}

/// What went one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Packets that passed.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets that passed, but that the device or the transport would not take: an interface that is down, a full
    /// datagram queue.
    pub refused: u64,
    dropped: [u64; Drop::ALL.len()],
}

impl Counters {
    /// Judges a packet with `filter` and counts it; true when it may pass.
    pub fn admit(&mut self, filter: &PacketFilter, packet: &[u8]) -> bool {
        match filter.judge(packet) {
            Ok(()) => {
                self.packets = self.packets.wrapping_add(1);
                self.bytes = self.bytes.wrapping_add(u64::try_from(packet.len()).unwrap_or(0));
                true
            }
            Err(reason) => {
                self.count_drop(reason);
                false
            }
        }
    }

    /// Counts a packet that was dropped without a look at all of it.
    pub fn count_drop(&mut self, reason: Drop) {
        if let Some(count) = self.dropped.get_mut(reason as usize) {
            *count = count.wrapping_add(1);
        }
    }

    /// Counts a packet that passed, but was not taken.
    pub fn count_refused(&mut self) {
        self.count_refusals(1);
    }

    /// Counts packets that passed, but were not taken.
    pub fn count_refusals(&mut self, packets: u64) {
        self.refused = self.refused.wrapping_add(packets);
    }

    /// Packets dropped for `reason`.
    pub fn dropped(&self, reason: Drop) -> u64 {
        self.dropped.get(reason as usize).copied().unwrap_or(0)
    }

    /// Packets dropped for any reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().fold(0, |sum, count| sum.wrapping_add(*count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter() -> PacketFilter {
        PacketFilter::new("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap(), 1280)
    }

    fn packet(payload: usize) -> Vec<u8> {
        let mut packet = filter().empty_packet().to_vec();
        packet.resize(HEADER_LEN + payload, 0xab);
        packet[4..6].copy_from_slice(&u16::try_from(payload).unwrap().to_be_bytes());
        packet
    }

    #[test]
    fn the_two_ends_may_talk() {
        for payload in [0, 1, 1240] {
            assert_eq!(filter().judge(&packet(payload)), Ok(()), "{payload}");
        }
    }

    #[test]
    fn the_header_is_read() {
        let packet = packet(7);
        let header = Header::of(&packet).unwrap();
        assert_eq!((header.version(), header.packet_len(), header.next_header()), (6, 47, 59));
        assert_eq!(header.source().to_string(), "fd00::1");
        assert_eq!(header.destination().to_string(), "fd00::2");
        assert!(Header::of(&packet[..39]).is_none());
    }

    #[test]
    fn every_bad_packet_is_dropped_for_its_reason() {
        let edited = |edit: fn(&mut Vec<u8>)| {
            let mut packet = packet(100);
            edit(&mut packet);
            filter().judge(&packet)
        };
        assert_eq!(edited(Vec::clear), Err(Drop::Short));
        assert_eq!(edited(|p| p.truncate(39)), Err(Drop::Short));
        assert_eq!(edited(|p| p[0] = 0x45), Err(Drop::Version));
        assert_eq!(edited(|p| p.truncate(139)), Err(Drop::Length));
        assert_eq!(edited(|p| p.push(0)), Err(Drop::Length));
        assert_eq!(edited(|p| p[4] = 0xff), Err(Drop::Length));
        assert_eq!(filter().judge(&packet(1241)), Err(Drop::TooLong));
        assert_eq!(edited(|p| p[23] = 7), Err(Drop::Source));
        assert_eq!(edited(|p| p[8] = 0xfe), Err(Drop::Source));
        assert_eq!(edited(|p| p[39] = 7), Err(Drop::Destination));
        assert_eq!(edited(|p| p[24] = 0xff), Err(Drop::Destination), "multicast");
        let there_and_back = |p: &mut Vec<u8>| {
            let (source, destination) = p[8..40].split_at_mut(16);
            source.swap_with_slice(destination);
        };
        assert_eq!(edited(there_and_back), Err(Drop::Source), "the other direction's packet");
    }

    #[test]
    fn each_reason_has_its_counter() {
        let mut counters = Counters::default();
        for (index, reason) in Drop::ALL.into_iter().enumerate() {
            for _ in 0..=index {
                counters.count_drop(reason);
            }
        }
        for (index, reason) in Drop::ALL.into_iter().enumerate() {
            assert_eq!(counters.dropped(reason), u64::try_from(index).unwrap() + 1, "{reason}");
        }
        assert_eq!(counters.dropped_total(), 21);
        assert!(counters.admit(&filter(), &packet(60)) && !counters.admit(&filter(), &[]));
        assert_eq!((counters.packets, counters.bytes, counters.dropped(Drop::Short)), (1, 100, 2));
    }
}
