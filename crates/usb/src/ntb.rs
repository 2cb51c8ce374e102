//! NTB16: Ethernet frames in blocks, one block per USB transfer. Source: NCM 1.0 §3; protocol.md §1.6.

mod decode;
mod encode;

pub use decode::{Decoder, NtbError};
pub use encode::{Encoder, Layout, Ntb, PushError};

/// Bytes of an NTH16. Source: NCM 1.0 table 3-1.
pub const NTH16_LENGTH: usize = 12;
/// An NTH16's signature. Source: NCM 1.0 table 3-1.
pub const NTH16_SIGNATURE: [u8; 4] = *b"NCMH";
/// An NDP16's signature, when its datagrams have no CRC. Source: NCM 1.0 table 3-3.
pub const NDP16_SIGNATURE: [u8; 4] = *b"NCM0";
/// Bytes of an NDP16 before its pairs. Source: NCM 1.0 table 3-3.
pub const NDP16_HEAD: usize = 8;
/// Bytes of an index and a length. Source: NCM 1.0 table 3-3.
pub const PAIR: usize = 4;
/// Bytes of an Ethernet header. Source: IEEE 802.3 §3.1.1.
pub const ETHERNET_HEADER: usize = 14;
/// Bytes of an Ethernet frame at most. Source: protocol.md §1.6 (SET_MAX_DATAGRAM_SIZE 1514).
pub const MAX_DATAGRAM: usize = 1514;

/// Bytes of an Ethernet frame at most that is taken whatever the other side says of its frames: one with an 802.1Q tag.
/// Source: IEEE 802.1Q (a tag of four bytes).
pub const MAX_TAGGED: usize = MAX_DATAGRAM + 4;

/// Whether a transfer of `length` bytes must be ended by a packet of no bytes: it fills its packets, and is shorter than a
/// block can be by dwNtbInMaxSize or dwNtbOutMaxSize, `full`. Source: NCM 1.0 §3.2.1 (wBlockLength).
#[must_use]
pub fn needs_zero_length_packet(length: usize, max_packet: usize, full: usize) -> bool {
    length < full && length.checked_rem(max_packet) == Some(0)
}
