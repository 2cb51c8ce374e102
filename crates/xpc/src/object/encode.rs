//! [`Object`] to bytes.

use super::error::EncodeError;
use super::writer::{Items, Value, write_body};
use super::{Dictionary, Object};
use crate::Limits;

impl Object {
    /// The body that holds this object: magic, version, object.
    ///
    /// # Errors
    /// What [`EncodeError`] lists, with [`Limits::default`].
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut body = Vec::new();
        self.encode_into(&mut body, &Limits::default())?;
        Ok(body)
    }

    /// Appends the body that holds this object to `out`, which is left as it was on an error.
    ///
    /// # Errors
    /// What [`EncodeError`] lists.
    pub fn encode_into(&self, out: &mut Vec<u8>, limits: &Limits) -> Result<(), EncodeError> {
        write_body(out, limits, |value| self.write(value))
    }

    /// Recursion is bounded: the writer refuses a container beyond its depth.
    pub(crate) fn write(&self, value: Value<'_, '_>) -> Result<(), EncodeError> {
        match self {
            Object::Null => value.null(),
            Object::Bool(content) => value.bool(*content),
            Object::Int64(content) => value.int64(*content),
            Object::Uint64(content) => value.uint64(*content),
            Object::Double(content) => value.double(*content),
            Object::Date(nanoseconds) => value.date(*nanoseconds),
            Object::Data(content) => value.data(content),
            Object::String(content) => value.string(content),
            Object::Uuid(content) => value.uuid(*content),
            Object::Fd(content) => value.fd(*content),
            Object::Shmem { length, token } => value.shmem(*length, *token),
            Object::Array(values) => {
                value.array(|items| values.iter().try_for_each(|object| object.write(items.value()?)))
            }
            Object::Dictionary(entries) => value.dictionary(|items| entries.write(items)),
            Object::FileTransfer { id, info } => value.file_transfer(*id, |items| info.write(items)),
        }
    }
}

impl Dictionary {
    pub(crate) fn write(&self, items: &mut Items<'_, '_>) -> Result<(), EncodeError> {
        self.iter().try_for_each(|(key, object)| object.write(items.key(key)?))
    }
}
