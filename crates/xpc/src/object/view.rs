//! A checked, borrowed view of an encoded object.

use uuid::Uuid;

use super::check::{OBJECT_OFFSET, check};
use super::checked::Checked;
use super::error::DecodeError;
use super::kind::Kind;
use crate::Limits;

/// One XPC value that borrows from the bytes it was decoded from; copying it is cheap.
///
/// Only [`View::parse`] makes the first one, and it proves everything about the whole body first, so that reading on is
/// infallible. Padding and the upper three bytes of a bool are not looked at. Source: protocol.md §3.3.
#[derive(Debug, Clone, Copy)]
pub enum View<'a> {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// Signed integer.
    Int64(i64),
    /// Unsigned integer.
    Uint64(u64),
    /// IEEE 754 binary64.
    Double(f64),
    /// Nanoseconds since 1970, negative before.
    Date(i64),
    /// Bytes.
    Data(&'a [u8]),
    /// Text without NUL.
    String(&'a str),
    /// A UUID.
    Uuid(Uuid),
    /// A file descriptor's number.
    Fd(u32),
    /// Shared memory: its length in bytes and a word of unknown meaning.
    Shmem {
        /// Bytes.
        length: u32,
        /// The second word.
        token: u32,
    },
    /// Ordered values.
    Array(ArrayView<'a>),
    /// Ordered keys and values.
    Dictionary(DictionaryView<'a>),
    /// A file that travels on a stream of its own.
    FileTransfer {
        /// The transfer's id, which is the message id on its stream.
        id: u64,
        /// What is said about it: `s`, its size in bytes.
        info: DictionaryView<'a>,
    },
}

impl<'a> View<'a> {
    /// Checks a whole body (magic, version, one object, nothing after it) and gives the view of its object.
    ///
    /// One pass, no recursion, no heap: every type word, length, size and count, the UTF-8 and the terminating NUL of every text.
    ///
    /// # Errors
    /// The first thing wrong, with its offset in `body`.
    pub fn parse(body: &'a [u8], limits: &Limits) -> Result<View<'a>, DecodeError> {
        check(body, limits)?;
        Ok(View::of_checked(body))
    }

    /// The view of a body that [`View::parse`] accepted before.
    pub(crate) fn of_checked(body: &'a [u8]) -> View<'a> {
        let rest = body.get(OBJECT_OFFSET..).unwrap_or_default();
        Checked { rest }.value().unwrap_or(View::Null)
    }

    /// The value's type.
    pub fn kind(&self) -> Kind {
        match self {
            View::Null => Kind::Null,
            View::Bool(_) => Kind::Bool,
            View::Int64(_) => Kind::Int64,
            View::Uint64(_) => Kind::Uint64,
            View::Double(_) => Kind::Double,
            View::Date(_) => Kind::Date,
            View::Data(_) => Kind::Data,
            View::String(_) => Kind::String,
            View::Uuid(_) => Kind::Uuid,
            View::Fd(_) => Kind::Fd,
            View::Shmem { .. } => Kind::Shmem,
            View::Array(_) => Kind::Array,
            View::Dictionary(_) => Kind::Dictionary,
            View::FileTransfer { .. } => Kind::FileTransfer,
        }
    }

    /// The value of a bool.
    pub fn as_bool(&self) -> Option<bool> {
        if let View::Bool(value) = self { Some(*value) } else { None }
    }

    /// The value of an int64.
    pub fn as_i64(&self) -> Option<i64> {
        if let View::Int64(value) = self { Some(*value) } else { None }
    }

    /// The value of a uint64.
    pub fn as_u64(&self) -> Option<u64> {
        if let View::Uint64(value) = self { Some(*value) } else { None }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&'a str> {
        if let View::String(value) = self { Some(value) } else { None }
    }

    /// The bytes of a data value.
    pub fn as_data(&self) -> Option<&'a [u8]> {
        if let View::Data(value) = self { Some(value) } else { None }
    }

    /// The value of a uuid.
    pub fn as_uuid(&self) -> Option<Uuid> {
        if let View::Uuid(value) = self { Some(*value) } else { None }
    }

    /// The values of an array.
    pub fn as_array(&self) -> Option<ArrayView<'a>> {
        if let View::Array(value) = self { Some(*value) } else { None }
    }

    /// The entries of a dictionary.
    pub fn as_dictionary(&self) -> Option<DictionaryView<'a>> {
        if let View::Dictionary(value) = self { Some(*value) } else { None }
    }

    /// The value of a key, if this is a dictionary that has it.
    pub fn get(&self, key: &str) -> Option<View<'a>> {
        self.as_dictionary()?.get(key)
    }
}

/// The values of a checked array, in order.
#[derive(Debug, Clone, Copy)]
pub struct ArrayView<'a> {
    pub(super) count: u32,
    pub(super) items: &'a [u8],
}

impl<'a> ArrayView<'a> {
    /// How many values there are.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The values in order.
    pub fn iter(&self) -> ArrayIter<'a> {
        ArrayIter { reader: Checked { rest: self.items } }
    }
}

impl<'a> IntoIterator for ArrayView<'a> {
    type Item = View<'a>;
    type IntoIter = ArrayIter<'a>;
    fn into_iter(self) -> ArrayIter<'a> {
        self.iter()
    }
}

/// Iterator over an [`ArrayView`].
#[derive(Debug, Clone)]
pub struct ArrayIter<'a> {
    reader: Checked<'a>,
}

impl<'a> Iterator for ArrayIter<'a> {
    type Item = View<'a>;

    #[inline]
    fn next(&mut self) -> Option<View<'a>> {
        self.reader.value()
    }
}

/// The entries of a checked dictionary, in order. A key may come more than once; [`DictionaryView::get`] gives its first value.
#[derive(Debug, Clone, Copy)]
pub struct DictionaryView<'a> {
    pub(super) count: u32,
    pub(super) items: &'a [u8],
}

impl<'a> DictionaryView<'a> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The entries in order.
    pub fn iter(&self) -> DictionaryIter<'a> {
        DictionaryIter { reader: Checked { rest: self.items } }
    }

    /// The entries in order, keys as bytes: to compare a key with a known one needs no text.
    #[inline]
    pub(crate) fn raw_iter(&self) -> impl Iterator<Item = (&'a [u8], View<'a>)> + use<'a> {
        let mut reader = Checked { rest: self.items };
        std::iter::from_fn(move || Some((reader.key()?, reader.value()?)))
    }

    /// The first value of `key`, found by looking at one entry after another.
    pub fn get(&self, key: &str) -> Option<View<'a>> {
        self.raw_iter().find(|(name, _)| *name == key.as_bytes()).map(|(_, value)| value)
    }
}

impl<'a> IntoIterator for DictionaryView<'a> {
    type Item = (&'a str, View<'a>);
    type IntoIter = DictionaryIter<'a>;
    fn into_iter(self) -> DictionaryIter<'a> {
        self.iter()
    }
}

/// Iterator over a [`DictionaryView`].
#[derive(Debug, Clone)]
pub struct DictionaryIter<'a> {
    reader: Checked<'a>,
}

impl<'a> Iterator for DictionaryIter<'a> {
    type Item = (&'a str, View<'a>);

    #[inline]
    fn next(&mut self) -> Option<(&'a str, View<'a>)> {
        let key = std::str::from_utf8(self.reader.key()?).ok()?;
        Some((key, self.reader.value()?))
    }
}
