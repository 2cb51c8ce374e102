//! One pass over a body that proves everything a view relies on, without recursion and without the heap.

use super::error::DecodeError;
use super::kind::{BODY_MAGIC, BODY_VERSION, code};
use super::reader::Reader;
use crate::limits::{Limits, MAX_DEPTH};

/// Where the object begins: after magic and version.
pub(super) const OBJECT_OFFSET: usize = 8;

/// An open container.
#[derive(Clone, Copy)]
struct Frame {
    /// Items still to come.
    remaining: u32,
    /// Whether each item has a key.
    keyed: bool,
    /// Where its size field is.
    size_at: usize,
    /// Where what holds it ends.
    outer_end: usize,
}

const NO_FRAME: Frame = Frame { remaining: 0, keyed: false, size_at: 0, outer_end: 0 };

/// Proves that `body` is one object, whole, within `limits`, with nothing after it.
pub(super) fn check(body: &[u8], limits: &Limits) -> Result<(), DecodeError> {
    if body.len() > limits.message {
        return Err(DecodeError::TooLarge { limit: limits.message, found: body.len() });
    }
    let mut reader = Reader { bytes: body, pos: 0 };
    match reader.u32()? {
        BODY_MAGIC => {}
        found => return Err(DecodeError::BadMagic { found }),
    }
    match reader.u32()? {
        BODY_VERSION => {}
        found => return Err(DecodeError::BadVersion { found }),
    }
    if limits.nodes == 0 {
        return Err(DecodeError::TooManyNodes { offset: OBJECT_OFFSET, limit: 0 });
    }
    Checker {
        body,
        reader,
        stack: [NO_FRAME; MAX_DEPTH],
        depth: 0,
        max_depth: limits.depth.min(MAX_DEPTH),
        nodes_left: limits.nodes.saturating_sub(1),
        max_nodes: limits.nodes,
    }
    .run()
}

struct Checker<'a> {
    body: &'a [u8],
    reader: Reader<'a>,
    stack: [Frame; MAX_DEPTH],
    depth: usize,
    max_depth: usize,
    nodes_left: usize,
    max_nodes: usize,
}

impl Checker<'_> {
    fn run(mut self) -> Result<(), DecodeError> {
        self.value()?;
        while let Some(frame) = self.depth.checked_sub(1).and_then(|top| self.stack.get_mut(top)) {
            let Some(remaining) = frame.remaining.checked_sub(1) else {
                let frame = *frame;
                self.close(frame)?;
                continue;
            };
            frame.remaining = remaining;
            if frame.keyed {
                self.reader.key()?;
            }
            self.value()?;
        }
        match self.reader.left() {
            0 => Ok(()),
            found => Err(DecodeError::TrailingBytes { offset: self.reader.pos, found }),
        }
    }

    /// Reads a scalar, or the head of a container, which then is the top of the stack.
    #[inline]
    fn value(&mut self) -> Result<(), DecodeError> {
        let offset = self.reader.pos;
        match self.reader.u32()? {
            code::DICTIONARY => self.open(true),
            code::ARRAY => self.open(false),
            code::FILE_TRANSFER => self.file_transfer(),
            scalar => self.reader.scalar(scalar, offset),
        }
    }

    /// The transfer id is followed by a whole dictionary value. Source: protocol.md §3.3.
    fn file_transfer(&mut self) -> Result<(), DecodeError> {
        self.reader.u64()?;
        let offset = self.reader.pos;
        match self.reader.u32()? {
            code::DICTIONARY => self.open(true),
            found => Err(DecodeError::FileTransferInfo { offset, found }),
        }
    }

    #[inline]
    fn open(&mut self, keyed: bool) -> Result<(), DecodeError> {
        let size_at = self.reader.pos;
        let size = self.reader.u32()? as usize;
        let found = self.reader.left();
        let Some(left) = size.checked_sub(4) else {
            return Err(DecodeError::SizeMismatch { offset: size_at, expected: size, found: 4 });
        };
        let end = self.reader.pos.saturating_add(size);
        let (true, Some(inside)) = (size <= found, self.body.get(..end)) else {
            return Err(DecodeError::LengthBeyondEnd {
                offset: self.reader.pos,
                expected: size as u64,
                found,
            });
        };
        let count_at = self.reader.pos;
        let count = self.reader.u32()?;
        // A value takes a type word at least; a key its NUL and padding, at least 4 bytes together.
        let limit = if keyed { left >> 3 } else { left >> 2 };
        if count as usize > limit {
            return Err(DecodeError::CountBeyondBytes { offset: count_at, limit, left, found: count });
        }
        let Some(nodes_left) = self.nodes_left.checked_sub(count as usize) else {
            return Err(DecodeError::TooManyNodes { offset: count_at, limit: self.max_nodes });
        };
        self.nodes_left = nodes_left;
        let too_deep = DecodeError::TooDeep { offset: size_at, limit: self.max_depth };
        let frame = Frame { remaining: count, keyed, size_at, outer_end: self.reader.bytes.len() };
        match self.stack.get_mut(..self.max_depth).and_then(|stack| stack.get_mut(self.depth)) {
            Some(slot) => *slot = frame,
            None => return Err(too_deep),
        }
        self.depth = self.depth.saturating_add(1);
        self.reader.bytes = inside;
        Ok(())
    }

    /// The stated size and the items must end together.
    #[inline]
    fn close(&mut self, frame: Frame) -> Result<(), DecodeError> {
        if self.reader.left() != 0 {
            let content = frame.size_at.saturating_add(4);
            return Err(DecodeError::SizeMismatch {
                offset: frame.size_at,
                expected: self.reader.bytes.len().saturating_sub(content),
                found: self.reader.pos.saturating_sub(content),
            });
        }
        self.depth = self.depth.saturating_sub(1);
        self.reader.bytes = self.body.get(..frame.outer_end).unwrap_or(self.body);
        Ok(())
    }
}
