//! A stream of bytes, cut into IPv6 packets.
//!
//! On a stream transport packets follow each other without framing; each says its own length.
//! Source: protocol.md §5.10.

use crate::packet::{HEADER_LEN, Header};
use std::ops::Range;
use thiserror::Error;

/// Packets in a row that aren't IPv6 after which the stream counts as out of step: no peer sends so many by mistake,
/// and where one packet ends at the wrong byte nothing after it can be read.
pub const MAX_STRANGERS: u32 = 32;

/// The stream can't be followed any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "IPv6 packets back to back were expected, {MAX_STRANGERS} in a row were not; the stream is out of step: close it \
     and open a new tunnel"
)]
pub struct OutOfStep;

/// What the stream held next.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A packet, as long as its header says. It is not judged otherwise.
    Packet(&'a [u8]),
    /// A packet longer than the bound; its bytes are passed over and not kept.
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
}

/// What the stream held next, and where; see [`Frame`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A packet, for [`Framer::bytes`].
    Packet(Range<usize>),
    /// A packet longer than the bound.
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
}

/// Cuts the stream. Bytes go in through [`Self::space`] and [`Self::filled`], packets come out of [`Self::next`], without
/// a copy unless a packet is torn.
#[derive(Debug)]
pub struct Framer {
    buffer: Box<[u8]>,
    /// What is unread: `start..end` of the buffer.
    start: usize,
    end: usize,
    /// Bytes of a packet too long that are still to come.
    skip: usize,
    max_packet: usize,
    strangers: u32,
}

impl Framer {
    /// A framer for packets of up to `max_packet` bytes, that reads at least `read_len` bytes at once.
    pub fn new(max_packet: usize, read_len: usize) -> Self {
        let max_packet = max_packet.max(HEADER_LEN);
        let capacity = max_packet.saturating_add(read_len.max(1));
        let buffer = vec![0; capacity].into_boxed_slice();
        Self { buffer, start: 0, end: 0, skip: 0, max_packet, strangers: 0 }
    }

    /// Where the stream's next bytes belong; never empty after [`Self::next`] returned `None`.
    pub fn space(&mut self) -> &mut [u8] {
        if self.start > 0 {
            // After a whole packet this moves nothing; a torn one is moved once per read, not once per packet.
            self.buffer.copy_within(self.start..self.end, 0);
            self.end = self.end.saturating_sub(self.start);
            self.start = 0;
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// Says that `count` bytes were written to the start of [`Self::space`].
    pub fn filled(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(self.buffer.len());
        let skipped = self.skip.min(self.end.saturating_sub(self.start));
        self.consume(skipped);
        self.skip = self.skip.saturating_sub(skipped);
    }

    /// Whether [`Self::space`] has room for a whole packet, without a look at what is already there.
    pub fn has_room(&self) -> bool {
        self.buffer.len().saturating_sub(self.end) >= self.max_packet
    }

    /// The next packet, or `None` until more bytes are there.
    #[expect(clippy::should_implement_trait, reason = "what it returns borrows from it")]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, OutOfStep> {
        Ok(self.next_place()?.map(|place| match place {
            Place::Packet(range) => Frame::Packet(self.bytes(&range)),
            Place::TooLong { length } => Frame::TooLong { length },
        }))
    }

    /// The bytes of a packet that [`Self::next_place`] gave, until the next call of [`Self::space`].
    pub fn bytes(&self, place: &Range<usize>) -> &[u8] {
        self.buffer.get(place.clone()).unwrap_or_default()
    }

    /// As [`Self::next`], but says where the packet is: so several can be looked at together.
    pub fn next_place(&mut self) -> Result<Option<Place>, OutOfStep> {
        let (start, unread) = (self.start, self.end.saturating_sub(self.start));
        let Some(header) = self.buffer.get(start..self.end).and_then(Header::of) else { return Ok(None) };
        let (length, stranger) = (header.packet_len(), header.version() != 6);
        if length > self.max_packet {
            self.count_stranger(stranger)?;
            let here = length.min(unread);
            self.consume(here);
            self.skip = length.saturating_sub(here);
            return Ok(Some(Place::TooLong { length }));
        }
        if length > unread {
            return Ok(None);
        }
        self.count_stranger(stranger)?;
        self.consume(length);
        Ok(Some(Place::Packet(start..start.saturating_add(length))))
    }

    /// Bytes of a packet whose end has not come.
    pub fn torn(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
    }

    fn count_stranger(&mut self, stranger: bool) -> Result<(), OutOfStep> {
        self.strangers = if stranger { self.strangers.saturating_add(1) } else { 0 };
        if self.strangers >= MAX_STRANGERS { Err(OutOfStep) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60; HEADER_LEN];
        packet[4..6].copy_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
        packet.extend(payload);
        packet
    }

    /// Feeds `stream` in pieces of the given lengths (repeated) and gives what came out.
    fn cut(framer: &mut Framer, stream: &[u8], pieces: &[usize]) -> Result<Vec<Vec<u8>>, OutOfStep> {
        let (mut packets, mut rest) = (Vec::new(), stream);
        for piece in pieces.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let space = framer.space();
            assert!(!space.is_empty());
            let count = rest.len().min(space.len()).min(*piece);
            space[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            framer.filled(count);
            while let Some(frame) = framer.next()? {
                packets.push(match frame {
                    Frame::Packet(packet) => packet.to_vec(),
                    Frame::TooLong { length } => length.to_string().into_bytes(),
                });
            }
        }
        Ok(packets)
    }

    #[test]
    fn a_packet_too_long_is_passed_over_whole() {
        let stream = [packet(b"before"), packet(&[7; 65_535]), packet(&[8; 1241]), packet(b"after")].concat();
        for piece in [1, 39, 1000, 4096, 1 << 20] {
            let packets = cut(&mut Framer::new(1280, 4096), &stream, &[piece]).unwrap();
            let expected = [packet(b"before"), b"65575".to_vec(), b"1281".to_vec(), packet(b"after")];
            assert_eq!(packets, expected, "{piece}");
        }
    }

    #[test]
    fn a_stream_out_of_step_ends() {
        let stranger_of = |count: u32| {
            let mut one = [0x45; HEADER_LEN];
            one[4..6].fill(0);
            one.repeat(count as usize)
        };
        let few = [stranger_of(MAX_STRANGERS - 1), packet(b""), stranger_of(MAX_STRANGERS - 1)].concat();
        assert_eq!(cut(&mut Framer::new(1280, 100), &few, &[64]).unwrap().len(), 63);
        let many = stranger_of(MAX_STRANGERS);
        assert_eq!(cut(&mut Framer::new(1280, 100), &many, &[64]), Err(OutOfStep));
    }

    proptest! {
        #[test]
        fn packets_come_out_as_they_went_in(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1240), 0..20),
            pieces in prop::collection::vec(1_usize..3000, 1..20),
            read_len in 1_usize..5000,
        ) {
            let packets: Vec<_> = payloads.iter().map(|payload| packet(payload)).collect();
            let mut framer = Framer::new(1280, read_len);
            prop_assert_eq!(cut(&mut framer, &packets.concat(), &pieces).unwrap(), packets);
            prop_assert_eq!(framer.torn(), 0);
        }

        #[test]
        fn any_bytes_are_bounded(
            bytes in prop::collection::vec(any::<u8>(), 0..5000),
            pieces in prop::collection::vec(1_usize..3000, 1..20),
            max in 0_usize..2000,
        ) {
            let mut framer = Framer::new(max, 100);
            if let Ok(packets) = cut(&mut framer, &bytes, &pieces) {
                prop_assert!(packets.iter().all(|packet| packet.len() <= max.max(HEADER_LEN)));
                prop_assert!(framer.torn() < max.max(HEADER_LEN));
            }
        }
    }
}
