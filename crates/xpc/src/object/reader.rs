//! A cursor over a body that nobody has checked yet: every step is checked against the innermost container's end.

use super::error::DecodeError;
use super::kind::{code, gap};
use super::text::{find_nul, plain_prefix};

/// Bytes needed to bring `length` to the next multiple of 4. Source: protocol.md §3.3.
pub(super) const fn padding(length: usize) -> usize {
    length.wrapping_neg() & 3
}

/// Steps over one value after another; `bytes` ends where the innermost open container ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) pos: usize,
}

impl<'a> Reader<'a> {
    #[inline(always)]
    pub(super) fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.pos)
    }

    #[inline(always)]
    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let end = self.pos.saturating_add(length);
        match self.bytes.get(self.pos..end) {
            Some(taken) => {
                self.pos = end;
                Ok(taken)
            }
            None => Err(beyond_end(self.pos, length, self.left())),
        }
    }

    #[inline(always)]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.bytes.get(self.pos..).and_then(<[u8]>::first_chunk) {
            Some(chunk) => {
                self.pos = self.pos.saturating_add(N);
                Ok(*chunk)
            }
            None => Err(beyond_end(self.pos, N, self.left())),
        }
    }

    #[inline(always)]
    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    #[inline(always)]
    pub(super) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A dictionary's key: text, NUL, padding.
    #[inline(always)]
    pub(super) fn key(&mut self) -> Result<(), DecodeError> {
        let offset = self.pos;
        let rest = self.bytes.get(offset..).unwrap_or_default();
        let plain = plain_prefix(rest);
        let length = match rest.get(plain) {
            Some(0) => plain,
            _ => other_text(rest, offset)?,
        };
        let with_nul = length.saturating_add(1);
        self.take(with_nul.saturating_add(padding(with_nul))).map(drop)
    }

    /// A string's content: length with its NUL, text, NUL, padding.
    #[inline(always)]
    fn string(&mut self) -> Result<(), DecodeError> {
        let with_nul = self.u32()? as usize;
        let offset = self.pos;
        // Looking past the string is quicker than stopping at its end: there is a NUL right there.
        let plain = plain_prefix(self.bytes.get(offset..).unwrap_or_default());
        let bytes = self.take(with_nul)?;
        self.take(padding(with_nul))?;
        let [text @ .., 0] = bytes else {
            return Err(DecodeError::MissingNul { offset, found: with_nul });
        };
        if plain == text.len() {
            return Ok(());
        }
        match other_text(bytes, offset)? {
            length if length == text.len() => Ok(()),
            found => Err(DecodeError::InteriorNul { offset, found }),
        }
    }

    #[inline(always)]
    fn data(&mut self) -> Result<(), DecodeError> {
        let length = self.u32()? as usize;
        self.take(length)?;
        self.take(padding(length)).map(drop)
    }

    /// Only the first byte of a bool's word counts. Source: protocol.md §3.3.
    #[inline(always)]
    fn bool(&mut self) -> Result<(), DecodeError> {
        let offset = self.pos;
        match self.array::<4>()? {
            [0 | 1, ..] => Ok(()),
            [found, ..] => Err(DecodeError::BadBool { offset, found }),
        }
    }

    /// The value after a type word that is not a container's; the word is at `offset`.
    #[inline(always)]
    pub(super) fn scalar(&mut self, type_word: u32, offset: usize) -> Result<(), DecodeError> {
        match type_word {
            code::STRING => self.string(),
            code::BOOL => self.bool(),
            code::UINT64 | code::INT64 | code::DOUBLE | code::DATE | code::SHMEM => self.u64().map(drop),
            code::NULL => Ok(()),
            code::DATA => self.data(),
            code::UUID => self.array::<16>().map(drop),
            code::FD => self.u32().map(drop),
            found => Err(unknown(found, offset)),
        }
    }
}

/// How long the text is that `bytes` begin with and a NUL ends, when it is not plain ASCII.
#[cold]
fn other_text(bytes: &[u8], offset: usize) -> Result<usize, DecodeError> {
    let length = find_nul(bytes).ok_or(DecodeError::MissingNul { offset, found: bytes.len() })?;
    match std::str::from_utf8(bytes.get(..length).unwrap_or_default()) {
        Ok(_) => Ok(length),
        Err(e) => Err(DecodeError::InvalidUtf8 { offset, found: e.valid_up_to() }),
    }
}

#[cold]
fn beyond_end(offset: usize, expected: usize, found: usize) -> DecodeError {
    DecodeError::LengthBeyondEnd { offset, expected: expected as u64, found }
}

#[cold]
fn unknown(found: u32, offset: usize) -> DecodeError {
    match gap(found) {
        Some(gap) => gap.into(),
        None => DecodeError::UnknownType { offset, found },
    }
}
