//! A cursor over bytes that [`check`](super::check::check) has passed: it proves nothing again, and still can't panic.

use uuid::Uuid;

use super::kind::code;
use super::reader::padding;
use super::text::find_nul;
use super::view::{ArrayView, DictionaryView, View};

/// Reads one value after another; None means the end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checked<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Checked<'a> {
    #[inline(always)]
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    #[inline(always)]
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    #[inline(always)]
    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    #[inline(always)]
    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A key's text, which was proven to be UTF-8.
    #[inline(always)]
    pub(super) fn key(&mut self) -> Option<&'a [u8]> {
        let length = find_nul(self.rest)?;
        let with_nul = length.saturating_add(1);
        self.take(with_nul.saturating_add(padding(with_nul)))?.get(..length)
    }

    #[inline(always)]
    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        self.take(length.saturating_add(padding(length)))?.get(..length)
    }

    #[inline(always)]
    fn string(&mut self) -> Option<&'a str> {
        let with_nul = self.u32()? as usize;
        let (_nul, text) = self.bytes(with_nul)?.split_last()?;
        std::str::from_utf8(text).ok()
    }

    #[inline(always)]
    fn container(&mut self) -> Option<(u32, &'a [u8])> {
        let size = self.u32()? as usize;
        let count = self.u32()?;
        Some((count, self.take(size.saturating_sub(4))?))
    }

    #[inline(always)]
    fn dictionary(&mut self) -> Option<DictionaryView<'a>> {
        let (count, items) = self.container()?;
        Some(DictionaryView { count, items })
    }

    /// The next value; a container is taken whole, by its size.
    #[inline(always)]
    pub(super) fn value(&mut self) -> Option<View<'a>> {
        Some(match self.u32()? {
            code::STRING => View::String(self.string()?),
            code::BOOL => View::Bool(matches!(self.array::<4>()?, [1, ..])),
            code::DICTIONARY => View::Dictionary(self.dictionary()?),
            code::UINT64 => View::Uint64(self.u64()?),
            other => self.rare_value(other)?,
        })
    }

    /// What a Handshake hardly holds, kept out of the way of what it does.
    fn rare_value(&mut self, type_word: u32) -> Option<View<'a>> {
        Some(match type_word {
            code::NULL => View::Null,
            code::INT64 => View::Int64(i64::from_le_bytes(self.array()?)),
            code::DOUBLE => View::Double(f64::from_le_bytes(self.array()?)),
            code::DATE => View::Date(i64::from_le_bytes(self.array()?)),
            code::DATA => {
                let length = self.u32()? as usize;
                View::Data(self.bytes(length)?)
            }
            code::UUID => View::Uuid(Uuid::from_bytes(self.array()?)),
            code::FD => View::Fd(self.u32()?),
            code::SHMEM => View::Shmem { length: self.u32()?, token: self.u32()? },
            code::ARRAY => {
                let (count, items) = self.container()?;
                View::Array(ArrayView { count, items })
            }
            code::FILE_TRANSFER => {
                let id = self.u64()?;
                let _dictionary_word = self.u32()?;
                View::FileTransfer { id, info: self.dictionary()? }
            }
            _ => return None,
        })
    }
}
