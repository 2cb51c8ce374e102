//! A cursor over a body: every read is checked against the innermost container's end.

use std::ffi::CStr;

use uuid::Uuid;

use super::error::DecodeError;
use super::kind::{code, gap};
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

    /// A dictionary's key: text, NUL, padding.
    #[inline]
    pub(super) fn key(&mut self) -> Result<&'a str, DecodeError> {
        let start = self.pos;
        let rest = self.bytes.get(start..).unwrap_or_default();
        let Ok(text) = CStr::from_bytes_until_nul(rest) else {
            return Err(DecodeError::MissingNul { offset: start, found: rest.len() });
        };
        let length = text.count_bytes().saturating_add(1);
        self.pos = start.saturating_add(length);
        self.take(padding(length))?;
        utf8(text.to_bytes(), start)
    }

    /// A string's content: length with its NUL, text, NUL, padding.
    #[inline]
    fn string(&mut self) -> Result<&'a str, DecodeError> {
        let length = self.u32()? as usize;
        let start = self.pos;
        let bytes = self.take(length)?;
        let text = match CStr::from_bytes_until_nul(bytes) {
            Ok(text) if text.count_bytes().saturating_add(1) == length => text.to_bytes(),
            other => return Err(bad_nul(bytes, start, other.ok())),
        };
        self.take(padding(length))?;
        utf8(text, start)
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
            code::STRING => View::String(self.string()?),
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

#[inline]
fn utf8(bytes: &[u8], offset: usize) -> Result<&str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|e| DecodeError::InvalidUtf8 { offset, found: e.valid_up_to() })
}

#[cold]
fn bad_nul(bytes: &[u8], offset: usize, text: Option<&CStr>) -> DecodeError {
    match (bytes.last(), text) {
        (Some(0), Some(text)) => DecodeError::InteriorNul { offset, found: text.count_bytes() },
        _ => DecodeError::MissingNul { offset, found: bytes.len() },
    }
}

#[cold]
fn unknown(found: u32, offset: usize) -> DecodeError {
    match gap(found) {
        Some(gap) => gap.into(),
        None => DecodeError::UnknownType { offset, found },
    }
}
