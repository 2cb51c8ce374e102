//! Reading a block: everything in it is checked before a frame of it is given out. Places that can't be refuse the block;
//! frames of a length that is none, and NDPs of another kind, are passed over.

use std::ops::Range;

use thiserror::Error;

use super::{ETHERNET_HEADER, MAX_TAGGED, NDP16_HEAD, NDP16_SIGNATURE, NTH16_LENGTH, NTH16_SIGNATURE, PAIR};
use crate::bytes::u16_at;

/// NDPs of one block at most. The bound is our own: phones send one (protocol.md §1.6).
const MAX_NDPS: usize = 64;

/// Reads blocks one after the other.
#[derive(Debug, Clone)]
pub struct Decoder {
    max_size: usize,
    max_frame: usize,
    frames: Vec<Range<usize>>,
    sequence: Option<u16>,
    gaps: u64,
    skipped: u64,
}

/// Bytes that are no block, and where they went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NtbError {
    /// Longer than was agreed on.
    #[error("a block of {came} bytes came, at most {most} were agreed on; the block is dropped")]
    TooLong {
        /// What came.
        came: usize,
        /// dwNtbInMaxSize or dwNtbOutMaxSize.
        most: usize,
    },
    /// No NTH16 at its head.
    #[error("an NTH16 of 12 bytes was expected, {came:02x?} came; the block is dropped")]
    Header {
        /// The first bytes, as far as they came.
        came: [Option<u8>; 6],
    },
    /// wBlockLength is not what came.
    #[error("a block's length is {claimed}, {came} bytes came; the block is dropped")]
    BlockLength {
        /// wBlockLength.
        claimed: u16,
        /// Bytes of the transfer.
        came: usize,
    },
    /// An NDP16 that is not where it should be, or is none.
    #[error("at byte {at} an NDP16 within the block's {length} bytes was expected; the block is dropped")]
    Ndp {
        /// Where.
        at: usize,
        /// The block's length.
        length: usize,
    },
    /// Too many NDPs, or a circle of them.
    #[error("more than {MAX_NDPS} NDP16 came in one block; the block is dropped")]
    TooManyNdps,
    /// A frame outside of the block.
    #[error(
        "at byte {at} a frame of {length} bytes was named in a block of {block} bytes; the block is dropped"
    )]
    Frame {
        /// wDatagramIndex.
        at: usize,
        /// wDatagramLength.
        length: usize,
        /// The block's length.
        block: usize,
    },
    /// Frames that share bytes.
    #[error("frames of a block of {block} bytes share bytes, none were expected to; the block is dropped")]
    Overlap {
        /// The block's length.
        block: usize,
    },
}

impl Decoder {
    /// For blocks of `max_size` bytes at most.
    #[must_use]
    pub fn new(max_size: usize) -> Decoder {
        Decoder { max_size, max_frame: MAX_TAGGED, frames: Vec::new(), sequence: None, gaps: 0, skipped: 0 }
    }

    /// The same for a function whose frames are `max_segment` bytes at most, when that is more.
    #[must_use]
    pub fn with_max_segment(self, max_segment: u16) -> Decoder {
        Decoder { max_frame: usize::from(max_segment).max(MAX_TAGGED), ..self }
    }

    /// The frames of a block, which is all of a transfer.
    pub fn decode<'b>(&mut self, block: &'b [u8]) -> Result<impl Iterator<Item = &'b [u8]>, NtbError> {
        self.frames.clear();
        let (sequence, length) = self.header(block)?;
        // Behind the block there may be padding only; nothing points there.
        let block = block.get(..length).unwrap_or(block);
        self.walk(block)?;
        if self.sequence.is_some_and(|last| last.wrapping_add(1) != sequence) {
            self.gaps = self.gaps.saturating_add(1);
        }
        self.sequence = Some(sequence);
        Ok(self.frames.iter().filter_map(|frame| block.get(frame.clone())))
    }

    /// How often a block's sequence number was not the one after the last's.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.gaps
    }

    /// How many frames were too short or too long, and NDPs of another kind than frames', and so passed over.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The sequence number and the length. Source: NCM 1.0 table 3-1.
    fn header(&self, block: &[u8]) -> Result<(u16, usize), NtbError> {
        if block.len() > self.max_size {
            return Err(NtbError::TooLong { came: block.len(), most: self.max_size });
        }
        let header = || {
            let good = block.starts_with(&NTH16_SIGNATURE) && u16_at(block, 4)? == 12;
            good.then_some((u16_at(block, 6)?, u16_at(block, 8)?))
        };
        let Some((sequence, claimed)) = header().filter(|_| block.len() >= NTH16_LENGTH) else {
            let mut came = [None; 6];
            for (place, byte) in came.iter_mut().zip(block) {
                *place = Some(*byte);
            }
            return Err(NtbError::Header { came });
        };
        match usize::from(claimed) {
            // Ended by a short packet. Source: NCM 1.0 table 3-1.
            0 => Ok((sequence, block.len())),
            length if length > block.len() || length < NTH16_LENGTH => {
                Err(NtbError::BlockLength { claimed, came: block.len() })
            }
            length => Ok((sequence, length)),
        }
    }

    /// Walks the NDPs.
    fn walk(&mut self, block: &[u8]) -> Result<(), NtbError> {
        let mut at = u16_at(block, 10).map_or(0, usize::from);
        let mut room = block.len();
        let mut ndps = 0_usize;
        while at != 0 {
            ndps = ndps.saturating_add(1);
            if ndps > MAX_NDPS {
                return Err(NtbError::TooManyNdps);
            }
            at = self.ndp(block, at, &mut room)?;
        }
        if ndps == 0 {
            return Err(NtbError::Ndp { at: 0, length: block.len() });
        }
        if self.apart() { Ok(()) } else { Err(NtbError::Overlap { block: block.len() }) }
    }

    /// Whether no two frames share bytes.
    fn apart(&self) -> bool {
        let apart = |frames: &[Range<usize>]| frames.is_sorted_by(|one, next| one.end <= next.start);
        // All known senders put them in order; the room of a block bounds how many are to be sorted.
        apart(&self.frames) || {
            let mut sorted = self.frames.clone();
            sorted.sort_unstable_by_key(|frame| frame.start);
            apart(&sorted)
        }
    }

    /// Takes the frames of the NDP at `at`; gives where the next one is. Source: NCM 1.0 table 3-3.
    fn ndp(&mut self, block: &[u8], at: usize, room: &mut usize) -> Result<usize, NtbError> {
        let wrong = NtbError::Ndp { at, length: block.len() };
        let rest = block.get(at..).filter(|_| at >= NTH16_LENGTH && at.is_multiple_of(4)).ok_or(wrong)?;
        let length = u16_at(rest, 4).map(usize::from).ok_or(wrong)?;
        let next = u16_at(rest, 6).map(usize::from).ok_or(wrong)?;
        let pairs = rest.get(NDP16_HEAD..length).ok_or(wrong)?;
        if pairs.len() < PAIR.saturating_mul(2) {
            return Err(wrong);
        }
        // As Linux does: what another kind of NDP names is for others. Source: Linux, drivers/net/usb/cdc_ncm.c (rx_fixup).
        if !rest.starts_with(&NDP16_SIGNATURE) {
            self.skipped = self.skipped.saturating_add(1);
            return Ok(next);
        }
        for pair in pairs.chunks_exact(PAIR) {
            let (Some(index), Some(length)) = (u16_at(pair, 0), u16_at(pair, 2)) else { break };
            if index == 0 || length == 0 {
                break;
            }
            let (index, length) = (usize::from(index), usize::from(length));
            let end = index.saturating_add(length);
            if index < NTH16_LENGTH || end > block.len() {
                return Err(NtbError::Frame { at: index, length, block: block.len() });
            }
            *room = room.checked_sub(length).ok_or(NtbError::Overlap { block: block.len() })?;
            if (ETHERNET_HEADER..=self.max_frame).contains(&length) {
                self.frames.push(index..end);
            } else {
                self.skipped = self.skipped.saturating_add(1);
            }
        }
        Ok(next)
    }
}
