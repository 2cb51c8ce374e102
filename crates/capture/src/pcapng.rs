//! The three blocks of a pcapng file that the recorder writes. No I/O and no clock.
//!
//! Written here and not taken from a crate: the writers on the registry bring second versions of syn and thiserror,
//! and these are three fixed layouts. The tests read the result with a parser that isn't ours.
//!
//! Source: draft-ietf-opsawg-pcapng §3 (block and option layout), §4.1 to §4.3 (the blocks).

use std::time::{Duration, SystemTime};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// Raw IPv4 or IPv6, told apart by the version nibble. Source: LINKTYPE_RAW of the tcpdump link-type registry.
const LINKTYPE_RAW: u16 = 101;
/// A section whose length isn't known when its header is written.
const UNKNOWN_SECTION_LENGTH: u64 = u64::MAX;

const OPT_COMMENT: u16 = 1;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_DESCRIPTION: u16 = 3;
const IF_TSRESOL: u16 = 9;
const EPB_FLAGS: u16 = 2;
const EPB_DROPCOUNT: u16 = 4;
/// Nanoseconds: the number of decimal places.
const NANOSECONDS: u8 = 9;

/// Which way a packet went, seen from the recording side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the peer.
    Inbound,
    /// To the peer.
    Outbound,
}

impl Direction {
    /// The other way.
    pub fn reverse(self) -> Self {
        match self {
            Self::Inbound => Self::Outbound,
            Self::Outbound => Self::Inbound,
        }
    }
}

/// A packet to be written.
#[derive(Debug)]
pub struct Packet<'a> {
    /// The interface block that it belongs to, counted from 0 in the order in which they were written.
    pub interface: u32,
    /// Wall clock time at which it was seen. Times before 1970 are written as 1970.
    pub time: SystemTime,
    /// Which way it went.
    pub direction: Direction,
    /// The IP packet.
    pub bytes: &'a [u8],
    /// How many packets before this one are missing.
    pub dropped: u64,
}

/// The block that starts a file.
pub fn section_header(application: &str) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(BYTE_ORDER_MAGIC.to_le_bytes());
    body.extend(1_u16.to_le_bytes());
    body.extend(0_u16.to_le_bytes());
    body.extend(UNKNOWN_SECTION_LENGTH.to_le_bytes());
    option(&mut body, SHB_USERAPPL, application.as_bytes());
    end_of_options(&mut body);
    block(SECTION_HEADER, &body)
}

/// The block that describes an interface of raw IP packets with times in nanoseconds.
pub fn interface_description(name: &str, description: &str) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(LINKTYPE_RAW.to_le_bytes());
    body.extend(0_u16.to_le_bytes());
    // No limit on the length of a packet.
    body.extend(0_u32.to_le_bytes());
    option(&mut body, IF_NAME, name.as_bytes());
    option(&mut body, IF_DESCRIPTION, description.as_bytes());
    option(&mut body, IF_TSRESOL, &[NANOSECONDS]);
    end_of_options(&mut body);
    block(INTERFACE_DESCRIPTION, &body)
}

/// The block that holds a packet.
pub fn enhanced_packet(packet: &Packet<'_>) -> Vec<u8> {
    let since_epoch = packet.time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    // 64 bits of nanoseconds last until the year 2554.
    let nanoseconds = u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX);
    let [a, b, c, d, e, f, g, h] = nanoseconds.to_be_bytes();
    let length = length(packet.bytes.len());
    let mut body = Vec::with_capacity(packet.bytes.len().saturating_add(96));
    body.extend(packet.interface.to_le_bytes());
    body.extend(u32::from_be_bytes([a, b, c, d]).to_le_bytes());
    body.extend(u32::from_be_bytes([e, f, g, h]).to_le_bytes());
    body.extend(length.to_le_bytes());
    body.extend(length.to_le_bytes());
    padded(&mut body, packet.bytes);
    let flags: u32 = match packet.direction {
        Direction::Inbound => 1,
        Direction::Outbound => 2,
    };
    option(&mut body, EPB_FLAGS, &flags.to_le_bytes());
    if packet.dropped > 0 {
        option(&mut body, EPB_DROPCOUNT, &packet.dropped.to_le_bytes());
        let comment =
            format!("iosmux dropped {} packets before this one: the disk was too slow", packet.dropped);
        option(&mut body, OPT_COMMENT, comment.as_bytes());
    }
    end_of_options(&mut body);
    block(ENHANCED_PACKET, &body)
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let total = length(body.len().saturating_add(12));
    let mut block = Vec::with_capacity(body.len().saturating_add(12));
    block.extend(kind.to_le_bytes());
    block.extend(total.to_le_bytes());
    block.extend(body);
    block.extend(total.to_le_bytes());
    block
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    // Names and descriptions are ours; one that doesn't fit is cut.
    let value = value.get(..usize::from(u16::MAX)).unwrap_or(value);
    body.extend(code.to_le_bytes());
    body.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    padded(body, value);
}

fn end_of_options(body: &mut Vec<u8>) {
    body.extend([0; 4]);
}

fn padded(body: &mut Vec<u8>, bytes: &[u8]) {
    body.extend(bytes);
    body.resize(body.len().next_multiple_of(4), 0);
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
