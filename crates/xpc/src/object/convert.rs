//! Conversions into [`Object`].

use uuid::Uuid;

use super::view::{DictionaryView, View};
use super::{Dictionary, Object};

// Recursion is bounded: a view exists only of bodies within `MAX_DEPTH`, and the counts were checked against the bytes.
impl From<View<'_>> for Object {
    fn from(view: View<'_>) -> Self {
        match view {
            View::Null => Object::Null,
            View::Bool(value) => Object::Bool(value),
            View::Int64(value) => Object::Int64(value),
            View::Uint64(value) => Object::Uint64(value),
            View::Double(value) => Object::Double(value),
            View::Date(value) => Object::Date(value),
            View::Data(value) => Object::Data(value.to_vec()),
            View::String(value) => Object::String(value.to_owned()),
            View::Uuid(value) => Object::Uuid(value),
            View::Fd(value) => Object::Fd(value),
            View::Shmem { length, token } => Object::Shmem { length, token },
            View::Array(values) => {
                let mut array = Vec::with_capacity(values.len());
                for value in values {
                    array.push(Object::from(value));
                }
                Object::Array(array)
            }
            View::Dictionary(entries) => Object::Dictionary(entries.into()),
            View::FileTransfer { id, info } => Object::FileTransfer { id, info: info.into() },
        }
    }
}

impl From<DictionaryView<'_>> for Dictionary {
    fn from(view: DictionaryView<'_>) -> Self {
        let mut dictionary = Dictionary::with_capacity(view.len());
        for (key, value) in view {
            dictionary.push(key, value);
        }
        dictionary
    }
}

macro_rules! from {
    ($($source:ty => $variant:ident),+ $(,)?) => {$(
        impl From<$source> for Object {
            fn from(value: $source) -> Self {
                Object::$variant(value.into())
            }
        }
    )+};
}

from! {
    bool => Bool,
    i64 => Int64,
    u64 => Uint64,
    f64 => Double,
    Vec<u8> => Data,
    &[u8] => Data,
    String => String,
    &str => String,
    &String => String,
    Uuid => Uuid,
    Vec<Object> => Array,
    Dictionary => Dictionary,
}
