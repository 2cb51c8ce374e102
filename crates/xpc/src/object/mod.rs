//! XPC objects: an owned form, a borrowed view, and their encoding.
//!
//! A body is `magic, version, object`; everything is little endian and a multiple of 4 bytes. [`View`] reads a body where it
//! lies, [`Object`] owns it; both accept exactly the same bodies. Source: protocol.md §3.3.

mod check;
mod checked;
mod convert;
mod dictionary;
mod encode;
mod error;
pub mod json;
mod kind;
mod reader;
mod text;
mod view;
pub(crate) mod writer;

use uuid::Uuid;

pub use dictionary::Dictionary;
pub use error::{DecodeError, EncodeError};
pub use kind::{BODY_MAGIC, BODY_VERSION, Kind};
pub use view::{ArrayIter, ArrayView, DictionaryIter, DictionaryView, View};

use crate::Limits;

/// One XPC value, owned.
///
/// Doubles are equal when their bits are, so that a NaN that went out and came back is the same object.
#[derive(Debug, Clone, Default)]
pub enum Object {
    /// No value.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// Signed integer.
    Int64(i64),
    /// Unsigned integer; what Apple uses for nearly every number.
    Uint64(u64),
    /// IEEE 754 binary64.
    Double(f64),
    /// Nanoseconds since 1970, negative before.
    Date(i64),
    /// Bytes.
    Data(Vec<u8>),
    /// Text; a NUL in it can't be encoded.
    String(String),
    /// A UUID.
    Uuid(Uuid),
    /// A file descriptor's number; never seen from a remote peer.
    Fd(u32),
    /// Shared memory; never seen from a remote peer.
    Shmem {
        /// Bytes.
        length: u32,
        /// The second word, of unknown meaning.
        token: u32,
    },
    /// Ordered values.
    Array(Vec<Object>),
    /// Ordered keys and values.
    Dictionary(Dictionary),
    /// A file that travels on a stream of its own.
    FileTransfer {
        /// The transfer's id, which is the message id on its stream.
        id: u64,
        /// What is said about it: `s`, its size in bytes.
        info: Dictionary,
    },
}

impl Object {
    /// Decodes a whole body: magic, version, one object, nothing after it.
    ///
    /// # Errors
    /// The first thing wrong, with its offset in `body`; the same errors as [`View::parse`].
    pub fn decode(body: &[u8], limits: &Limits) -> Result<Object, DecodeError> {
        View::parse(body, limits).map(Object::from)
    }

    /// The value's type.
    pub fn kind(&self) -> Kind {
        match self {
            Object::Null => Kind::Null,
            Object::Bool(_) => Kind::Bool,
            Object::Int64(_) => Kind::Int64,
            Object::Uint64(_) => Kind::Uint64,
            Object::Double(_) => Kind::Double,
            Object::Date(_) => Kind::Date,
            Object::Data(_) => Kind::Data,
            Object::String(_) => Kind::String,
            Object::Uuid(_) => Kind::Uuid,
            Object::Fd(_) => Kind::Fd,
            Object::Shmem { .. } => Kind::Shmem,
            Object::Array(_) => Kind::Array,
            Object::Dictionary(_) => Kind::Dictionary,
            Object::FileTransfer { .. } => Kind::FileTransfer,
        }
    }

    /// The value of a bool.
    pub fn as_bool(&self) -> Option<bool> {
        if let Object::Bool(value) = self { Some(*value) } else { None }
    }

    /// The value of an int64.
    pub fn as_i64(&self) -> Option<i64> {
        if let Object::Int64(value) = self { Some(*value) } else { None }
    }

    /// The value of a uint64.
    pub fn as_u64(&self) -> Option<u64> {
        if let Object::Uint64(value) = self { Some(*value) } else { None }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        if let Object::String(value) = self { Some(value) } else { None }
    }

    /// The bytes of a data value.
    pub fn as_data(&self) -> Option<&[u8]> {
        if let Object::Data(value) = self { Some(value) } else { None }
    }

    /// The value of a uuid.
    pub fn as_uuid(&self) -> Option<Uuid> {
        if let Object::Uuid(value) = self { Some(*value) } else { None }
    }

    /// The values of an array.
    pub fn as_array(&self) -> Option<&[Object]> {
        if let Object::Array(value) = self { Some(value) } else { None }
    }

    /// The entries of a dictionary.
    pub fn as_dictionary(&self) -> Option<&Dictionary> {
        if let Object::Dictionary(value) = self { Some(value) } else { None }
    }

    /// The entries of a dictionary, taken out of it.
    pub fn into_dictionary(self) -> Option<Dictionary> {
        if let Object::Dictionary(value) = self { Some(value) } else { None }
    }

    /// The first value of a key, if this is a dictionary that has it.
    pub fn get(&self, key: &str) -> Option<&Object> {
        self.as_dictionary()?.get(key)
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Object::Null, Object::Null) => true,
            (Object::Bool(a), Object::Bool(b)) => a == b,
            (Object::Int64(a), Object::Int64(b)) | (Object::Date(a), Object::Date(b)) => a == b,
            (Object::Uint64(a), Object::Uint64(b)) => a == b,
            (Object::Double(a), Object::Double(b)) => a.to_bits() == b.to_bits(),
            (Object::Data(a), Object::Data(b)) => a == b,
            (Object::String(a), Object::String(b)) => a == b,
            (Object::Uuid(a), Object::Uuid(b)) => a == b,
            (Object::Fd(a), Object::Fd(b)) => a == b,
            (Object::Shmem { length: a, token: b }, Object::Shmem { length: c, token: d }) => {
                (a, b) == (c, d)
            }
            (Object::Array(a), Object::Array(b)) => a == b,
            (Object::Dictionary(a), Object::Dictionary(b)) => a == b,
            (Object::FileTransfer { id: a, info: b }, Object::FileTransfer { id: c, info: d }) => {
                a == c && b == d
            }
            _ => false,
        }
    }
}

impl Eq for Object {}
