//! Writes a body into one buffer: sizes and counts are filled in when a container ends.

use uuid::Uuid;

use super::error::EncodeError;
use super::kind::{BODY_MAGIC, BODY_VERSION, code};
use super::reader::padding;
use super::text::find_nul;
use crate::limits::{Limits, MAX_DEPTH};

/// Appends one body to a buffer. Values go through [`Values`]; the only way to write a key is with its value.
pub(crate) struct Writer<'b> {
    out: &'b mut Vec<u8>,
    /// Where the body begins in `out`.
    start: usize,
    depth: usize,
    max_depth: usize,
    nodes_left: usize,
    limits: &'b Limits,
}

/// A position that accepts exactly one value. Which method is called decides its type.
pub(crate) struct Value<'w, 'b> {
    writer: &'w mut Writer<'b>,
}

/// The inside of an open container.
pub(crate) struct Items<'w, 'b> {
    writer: &'w mut Writer<'b>,
    /// Items written.
    count: u32,
}

#[cold]
fn interior_nul(text: &str, found: usize) -> EncodeError {
    EncodeError::InteriorNul { text: text.chars().take(64).collect(), found }
}

type Written = Result<(), EncodeError>;

/// Appends magic, version and the value that `value` writes; on an error `out` is as it was.
pub(crate) fn write_body(
    out: &mut Vec<u8>,
    limits: &Limits,
    value: impl FnOnce(Value<'_, '_>) -> Written,
) -> Written {
    let start = out.len();
    out.extend_from_slice(&BODY_MAGIC.to_le_bytes());
    out.extend_from_slice(&BODY_VERSION.to_le_bytes());
    let max_depth = limits.depth.min(MAX_DEPTH);
    let mut writer = Writer { out, start, depth: 0, max_depth, nodes_left: limits.nodes, limits };
    let written = writer.count_node().and_then(|()| value(Value { writer: &mut writer }));
    let written = written.and_then(|()| writer.room_for(0));
    if written.is_err() {
        out.truncate(start);
    }
    written
}

impl Writer<'_> {
    fn count_node(&mut self) -> Written {
        match self.nodes_left.checked_sub(1) {
            Some(left) => self.nodes_left = left,
            None => {
                return Err(EncodeError::TooManyNodes { limit: self.limits.nodes });
            }
        }
        Ok(())
    }

    /// Whether `more` bytes still fit the message; asked before anything of unbounded length is copied.
    fn room_for(&self, more: usize) -> Written {
        let found = self.out.len().saturating_sub(self.start).saturating_add(more);
        if found > self.limits.message {
            return Err(EncodeError::TooLarge { limit: self.limits.message, found });
        }
        Ok(())
    }

    #[inline]
    fn word(&mut self, word: u32) {
        self.out.extend_from_slice(&word.to_le_bytes());
    }

    /// Brings content of `length` bytes that ends here to a multiple of 4.
    #[inline]
    fn pad(&mut self, length: usize) {
        let end = self.out.len().saturating_add(padding(length));
        // A copy of fixed size that is cut back is quicker than a copy of 0 to 3 bytes.
        self.out.extend_from_slice(&[0; 4]);
        self.out.truncate(end);
    }

    #[inline]
    fn text(&mut self, text: &str) -> Written {
        if let Some(found) = find_nul(text.as_bytes()) {
            return Err(interior_nul(text, found));
        }
        let length = text.len().saturating_add(1);
        self.room_for(length)?;
        self.out.extend_from_slice(text.as_bytes());
        let end = self.out.len().saturating_add(1).saturating_add(padding(length));
        self.out.extend_from_slice(&[0; 4]);
        self.out.truncate(end);
        Ok(())
    }

    fn length(&mut self, length: usize) -> Written {
        let word = u32::try_from(length).map_err(|_| EncodeError::LengthBeyondU32 { found: length })?;
        self.word(word);
        Ok(())
    }

    /// Type word, size and count of a container around what `items` writes.
    #[inline]
    fn container(&mut self, type_word: u32, items: impl FnOnce(&mut Items<'_, '_>) -> Written) -> Written {
        if self.depth >= self.max_depth {
            return Err(EncodeError::TooDeep { limit: self.max_depth });
        }
        self.depth = self.depth.saturating_add(1);
        self.word(type_word);
        let size_at = self.out.len();
        self.out.extend_from_slice(&[0; 8]);
        let mut inside = Items { writer: self, count: 0 };
        items(&mut inside)?;
        let count = inside.count;
        // The size counts from the count field to the end. Source: protocol.md §3.3.
        let found = self.out.len().saturating_sub(size_at).saturating_sub(4);
        let size = u32::try_from(found).map_err(|_| EncodeError::LengthBeyondU32 { found })?;
        if let Some(head) = self.out.get_mut(size_at..).and_then(<[u8]>::first_chunk_mut::<8>) {
            *head = (u64::from(count) << 32 | u64::from(size)).to_le_bytes();
        }
        self.depth = self.depth.saturating_sub(1);
        Ok(())
    }
}

impl<'b> Items<'_, 'b> {
    /// The next value of an array.
    #[inline]
    pub(crate) fn value(&mut self) -> Result<Value<'_, 'b>, EncodeError> {
        self.writer.count_node()?;
        // Can't wrap: a value takes 4 bytes, and the size check of `container` allows 2^32 bytes.
        self.count = self.count.wrapping_add(1);
        Ok(Value { writer: self.writer })
    }

    /// The next value of a dictionary, after its key.
    #[inline]
    pub(crate) fn key(&mut self, key: &str) -> Result<Value<'_, 'b>, EncodeError> {
        self.writer.text(key)?;
        self.value()
    }
}

impl<'w, 'b> Value<'w, 'b> {
    #[inline]
    fn fixed<const N: usize>(self, type_word: u32, content: [u8; N]) -> Written {
        self.writer.word(type_word);
        self.writer.out.extend_from_slice(&content);
        Ok(())
    }

    pub(crate) fn null(self) -> Written {
        self.fixed(code::NULL, [])
    }

    pub(crate) fn bool(self, value: bool) -> Written {
        self.fixed(code::BOOL, u32::from(value).to_le_bytes())
    }

    pub(crate) fn int64(self, value: i64) -> Written {
        self.fixed(code::INT64, value.to_le_bytes())
    }

    pub(crate) fn uint64(self, value: u64) -> Written {
        self.fixed(code::UINT64, value.to_le_bytes())
    }

    pub(crate) fn double(self, value: f64) -> Written {
        self.fixed(code::DOUBLE, value.to_le_bytes())
    }

    pub(crate) fn date(self, nanoseconds: i64) -> Written {
        self.fixed(code::DATE, nanoseconds.to_le_bytes())
    }

    pub(crate) fn uuid(self, value: Uuid) -> Written {
        self.fixed(code::UUID, value.into_bytes())
    }

    pub(crate) fn fd(self, value: u32) -> Written {
        self.fixed(code::FD, value.to_le_bytes())
    }

    pub(crate) fn shmem(self, length: u32, token: u32) -> Written {
        self.fixed(code::SHMEM, (u64::from(token) << 32 | u64::from(length)).to_le_bytes())
    }

    pub(crate) fn string(self, value: &str) -> Written {
        self.writer.word(code::STRING);
        self.writer.length(value.len().saturating_add(1))?;
        self.writer.text(value)
    }

    pub(crate) fn data(self, value: &[u8]) -> Written {
        self.writer.word(code::DATA);
        self.writer.length(value.len())?;
        self.writer.room_for(value.len())?;
        self.writer.out.extend_from_slice(value);
        self.writer.pad(value.len());
        Ok(())
    }

    pub(crate) fn array(self, items: impl FnOnce(&mut Items<'_, '_>) -> Written) -> Written {
        self.writer.container(code::ARRAY, items)
    }

    pub(crate) fn dictionary(self, items: impl FnOnce(&mut Items<'_, '_>) -> Written) -> Written {
        self.writer.container(code::DICTIONARY, items)
    }

    /// The id, then the dictionary as a whole value. Source: protocol.md §3.3.
    pub(crate) fn file_transfer(self, id: u64, info: impl FnOnce(&mut Items<'_, '_>) -> Written) -> Written {
        self.writer.word(code::FILE_TRANSFER);
        self.writer.out.extend_from_slice(&id.to_le_bytes());
        self.writer.container(code::DICTIONARY, info)
    }
}
