//! A cursor over a body: every read is checked against the innermost container's end.

use uuid::Uuid;

use super::error::DecodeError;
use super::kind::{code, gap};
use super::text::{find_nul, plain_prefix};
use super::view::View;

/// Bytes needed to bring `length` to the next multiple of 4. Source: protocol.md §3.3.
pub(super) const fn padding(length: usize) -> usize {
    length.wrapping_neg() & 3
}

/// Reads one value after another; `bytes` ends where the innermost open container ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) pos: usize,
}

/// A text without NUL that may not be UTF-8 yet.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    bytes: &'a [u8],
    /// At least this many of the first bytes are ASCII; may be more than there are.
    plain: usize,
    offset: usize,
}

impl<'a> Text<'a> {
    /// Whether it is UTF-8.
    #[inline]
    pub(super) fn check(self) -> Result<(), DecodeError> {
        if self.plain < self.bytes.len() { self.as_str().map(drop) } else { Ok(()) }
    }

    #[inline]
    pub(super) fn as_str(self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes)
            .map_err(|e| DecodeError::InvalidUtf8 { offset: self.offset, found: e.valid_up_to() })
    }

    pub(super) fn bytes(self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a> Reader<'a> {
    pub(super) fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.pos)
    }

    #[cold]
    fn beyond_end(&self, expected: u64) -> DecodeError {
        DecodeError::LengthBeyondEnd { offset: self.pos, expected, found: self.left() }
    }

    #[inline]
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let end = self.pos.saturating_add(length);
        match self.bytes.get(self.pos..end) {
            Some(taken) => {
                self.pos = end;
                Ok(taken)
            }
            None => Err(self.beyond_end(length as u64)),
        }
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.bytes.get(self.pos..).and_then(<[u8]>::first_chunk) {
            Some(chunk) => {
                self.pos = self.pos.saturating_add(N);
                Ok(*chunk)
            }
            None => Err(self.beyond_end(N as u64)),
        }
    }

    #[inline]
    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    #[inline]
    pub(super) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A dictionary's key: text, NUL, padding. Whether the text is UTF-8 is for the caller to see to.
    #[inline]
    pub(super) fn key(&mut self) -> Result<Text<'a>, DecodeError> {
        let offset = self.pos;
        let rest = self.bytes.get(offset..).unwrap_or_default();
        let plain = plain_prefix(rest);
        let length = match rest.get(plain) {
            Some(0) => Some(plain),
            _ => find_nul(rest),
        };
        let Some(length) = length else {
            return Err(DecodeError::MissingNul { offset, found: rest.len() });
        };
        let with_nul = length.saturating_add(1);
        self.take(with_nul.saturating_add(padding(with_nul)))?;
        Ok(Text { bytes: rest.get(..length).unwrap_or_default(), plain, offset })
    }

    /// A string's content: length with its NUL, text, NUL, padding. UTF-8 as for [`Reader::key`].
    #[inline]
    pub(super) fn string(&mut self) -> Result<Text<'a>, DecodeError> {
        let with_nul = self.u32()? as usize;
        let offset = self.pos;
        let rest = self.bytes.get(offset..).unwrap_or_default();
        let bytes = self.take(with_nul)?;
        self.take(padding(with_nul))?;
        // Looking past the string is quicker than stopping at its end, and a NUL is right there.
        let plain = plain_prefix(rest);
        let Some((0, text)) = bytes.split_last() else {
            return Err(DecodeError::MissingNul { offset, found: with_nul });
        };
        if plain < text.len()
            && let Some(found) = find_nul(text)
        {
            return Err(DecodeError::InteriorNul { offset, found });
        }
        Ok(Text { bytes: text, plain, offset })
    }

    #[inline]
    fn data(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.u32()? as usize;
        let bytes = self.take(length)?;
        self.take(padding(length))?;
        Ok(bytes)
    }

    /// Only the first byte of a bool's word counts. Source: protocol.md §3.3.
    #[inline]
    fn bool(&mut self) -> Result<bool, DecodeError> {
        let offset = self.pos;
        match self.array::<4>()? {
            [0, ..] => Ok(false),
            [1, ..] => Ok(true),
            [found, ..] => Err(DecodeError::BadBool { offset, found }),
        }
    }

    /// The value after a type word that is not a container's; the word is at `offset`.
    #[inline]
    pub(super) fn scalar(&mut self, type_word: u32, offset: usize) -> Result<View<'a>, DecodeError> {
        Ok(match type_word {
            code::STRING => View::String(self.string()?.as_str()?),
            code::BOOL => View::Bool(self.bool()?),
            code::UINT64 => View::Uint64(self.u64()?),
            code::NULL => View::Null,
            code::INT64 => View::Int64(self.array().map(i64::from_le_bytes)?),
            code::DOUBLE => View::Double(self.array().map(f64::from_le_bytes)?),
            code::DATE => View::Date(self.array().map(i64::from_le_bytes)?),
            code::DATA => View::Data(self.data()?),
            code::UUID => View::Uuid(Uuid::from_bytes(self.array()?)),
            code::FD => View::Fd(self.u32()?),
            code::SHMEM => View::Shmem { length: self.u32()?, token: self.u32()? },
            found => return Err(unknown(found, offset)),
        })
    }
}

#[cold]
fn unknown(found: u32, offset: usize) -> DecodeError {
    match gap(found) {
        Some(gap) => gap.into(),
        None => DecodeError::UnknownType { offset, found },
    }
}
