//! Making a block: the NDP comes right behind the header, as working hosts send it, then the frames.

use thiserror::Error;

use super::{
    ETHERNET_HEADER, MAX_DATAGRAM, NDP16_HEAD, NDP16_SIGNATURE, NTH16_LENGTH, NTH16_SIGNATURE, PAIR,
    needs_zero_length_packet,
};
use crate::ncm::{Alignment, MAX_NTB16_SIZE, NtbParameters};

/// Frames of one block at most, where the device gives no limit. The bound is our own.
const MAX_FRAMES: u16 = 40;

/// How blocks in one direction must look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of a block at most.
    pub max_size: usize,
    /// Bytes of a block of full length, which no packet of no bytes follows: the reader's own number, at least `max_size`.
    pub full: usize,
    /// Frames of a block at most.
    pub max_frames: u16,
    /// Where its parts are: what was asked for, if that can be kept to.
    pub alignment: Alignment,
    /// wMaxPacketSize of the endpoint, in bytes.
    pub max_packet: u16,
}

impl Layout {
    /// For blocks to the device.
    #[must_use]
    pub fn to_device(parameters: &NtbParameters, max_packet: u16) -> Layout {
        let most = match parameters.out_max_datagrams {
            0 => MAX_FRAMES,
            limit => limit.min(MAX_FRAMES),
        };
        Layout::new(parameters.out_max_size, most, parameters.out_alignment, max_packet)
    }

    /// For blocks to the host, which are `input_size` bytes at most.
    #[must_use]
    pub fn to_host(parameters: &NtbParameters, input_size: u32, max_packet: u16) -> Layout {
        Layout::new(input_size.min(parameters.in_max_size), MAX_FRAMES, parameters.in_alignment, max_packet)
    }

    fn new(max_size: u32, max_frames: u16, alignment: Alignment, max_packet: u16) -> Layout {
        let full = usize::try_from(max_size).unwrap_or(usize::MAX);
        let most = usize::try_from(MAX_NTB16_SIZE).unwrap_or_default();
        let alignment = alignment.kept();
        Layout { max_size: full, full, max_frames, alignment, max_packet }.at_most(most)
    }

    /// The same with blocks of `most` bytes at most; what is a full length to the reader stays so.
    #[must_use]
    pub fn at_most(self, most: usize) -> Layout {
        let mut layout = Layout { max_size: self.max_size.min(most), ..self };
        // The longest frame comes first: in small blocks it takes the room of pairs that it leaves no frames for.
        while layout.max_frames > 1 && !layout.holds_longest() {
            layout.max_frames /= 2;
        }
        layout
    }

    /// Whether the longest frame fits into an empty block.
    fn holds_longest(&self) -> bool {
        self.place(self.frames()).saturating_add(MAX_DATAGRAM) <= self.max_size
    }

    /// Where the NDP is. Source: NCM 1.0 §3.3.4.
    fn ndp(&self) -> usize {
        NTH16_LENGTH.next_multiple_of(usize::from(self.alignment.ndp).max(1))
    }

    /// Where the first frame can be: behind an NDP that has room for all of them and the pair of zeroes.
    fn frames(&self) -> usize {
        let pairs = usize::from(self.max_frames).saturating_add(1).saturating_mul(PAIR);
        self.ndp().saturating_add(NDP16_HEAD).saturating_add(pairs)
    }

    /// The first place from `at` on where a frame may begin: its payload is aligned, not its header.
    /// Source: NCM 1.0 §3.3.4.
    fn place(&self, at: usize) -> usize {
        let divisor = usize::from(self.alignment.divisor).max(1);
        let remainder = usize::from(self.alignment.remainder);
        let payload = at.saturating_add(ETHERNET_HEADER);
        let aligned = payload.saturating_sub(remainder).next_multiple_of(divisor).saturating_add(remainder);
        aligned.saturating_sub(ETHERNET_HEADER)
    }
}

/// A whole block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ntb<'a> {
    /// Its bytes: one transfer.
    pub bytes: &'a [u8],
    /// Whether the transfer must be ended by a packet of no bytes.
    pub zero_length_packet: bool,
}

/// Makes blocks one after the other, in one buffer.
#[derive(Debug, Clone)]
pub struct Encoder {
    layout: Layout,
    sequence: u16,
    frames: u16,
    block: Vec<u8>,
    finished: bool,
}

/// A frame that is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PushError {
    /// The block has no room for it: finish it, then push the frame again.
    #[error("the block has no room for a frame of {0} bytes; finish it first")]
    Full(usize),
    /// No frame is so short or so long.
    #[error("a frame of {0} bytes was given, {ETHERNET_HEADER} to {MAX_DATAGRAM} were expected; drop it")]
    Length(usize),
    /// Not even an empty block has room for it.
    #[error(
        "no block of at most {most} bytes holds a frame of {length} bytes; ask the device for larger blocks"
    )]
    NeverFits {
        /// Of the frame.
        length: usize,
        /// Of a block.
        most: usize,
    },
}

impl Encoder {
    /// For blocks of this layout, numbered from 0. Source: NCM 1.0 table 3-1 (wSequence).
    #[must_use]
    pub fn new(layout: Layout) -> Encoder {
        Encoder { layout, sequence: 0, frames: 0, block: Vec::new(), finished: true }
    }

    /// Whether there is nothing to finish.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.finished || self.frames == 0
    }

    /// Takes a frame.
    pub fn push(&mut self, frame: &[u8]) -> Result<(), PushError> {
        let length = frame.len();
        if !(ETHERNET_HEADER..=MAX_DATAGRAM).contains(&length) {
            return Err(PushError::Length(length));
        }
        if self.finished {
            self.block.clear();
            self.block.resize(self.layout.frames(), 0);
            (self.frames, self.finished) = (0, false);
        }
        let place = self.layout.place(self.block.len());
        let end = place.saturating_add(length);
        if end > self.layout.max_size || self.frames >= self.layout.max_frames {
            return Err(match self.frames {
                0 => PushError::NeverFits { length, most: self.layout.max_size },
                _ => PushError::Full(length),
            });
        }
        self.block.resize(place, 0);
        self.block.extend_from_slice(frame);
        self.pair(place, length);
        self.frames = self.frames.saturating_add(1);
        Ok(())
    }

    /// The block of the frames so far; `None` when there are none. The next frame begins another one.
    pub fn finish(&mut self) -> Option<Ntb<'_>> {
        if self.is_empty() {
            return None;
        }
        self.finished = true;
        let ndp = self.layout.ndp();
        let pairs = usize::from(self.frames).saturating_add(1).saturating_mul(PAIR);
        let length = self.block.len();
        self.write(0, &NTH16_SIGNATURE);
        self.write(4, &number(NTH16_LENGTH));
        self.write(6, &self.sequence.to_le_bytes());
        self.write(8, &number(length));
        self.write(10, &number(ndp));
        self.write(ndp, &NDP16_SIGNATURE);
        self.write(ndp.saturating_add(4), &number(NDP16_HEAD.saturating_add(pairs)));
        self.sequence = self.sequence.wrapping_add(1);
        let max_packet = usize::from(self.layout.max_packet);
        let zero_length_packet = needs_zero_length_packet(length, max_packet, self.layout.full);
        Some(Ntb { bytes: &self.block, zero_length_packet })
    }

    /// Writes the pair of the next frame.
    fn pair(&mut self, place: usize, length: usize) {
        let before = usize::from(self.frames).saturating_mul(PAIR).saturating_add(NDP16_HEAD);
        let at = self.layout.ndp().saturating_add(before);
        self.write(at, &number(place));
        self.write(at.saturating_add(2), &number(length));
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        for (place, byte) in self.block.iter_mut().skip(at).zip(bytes) {
            *place = *byte;
        }
    }
}

/// A number of the block; none is beyond 16 bits, because the block isn't.
fn number(number: usize) -> [u8; 2] {
    u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes()
}
