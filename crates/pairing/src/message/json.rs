//! Trees as JSON: data values become base64, whole numbers come back unsigned where they fit.
//!
//! Source: protocol.md §5.1 item 2, §5.6.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use iosmux_xpc::{Dictionary, Object};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, Serialize, SerializeMap as _, Serializer};
use zeroize::Zeroizing;

use super::MessageError;

/// Room for any message that holds a secret, so that growing leaves no copies behind.
const ROOM: usize = 8 * 1024;

pub(crate) fn write(object: &Object) -> Result<Zeroizing<Vec<u8>>, MessageError> {
    let mut out = Zeroizing::new(Vec::with_capacity(ROOM));
    serde_json::to_writer(&mut *out, &Writable(object)).map_err(|_| MessageError::Unwritable)?;
    Ok(out)
}

/// Nesting is bounded by serde_json at 128.
pub(crate) fn read(bytes: &[u8]) -> Result<Object, MessageError> {
    serde_json::from_slice::<Readable>(bytes)
        .map(|readable| readable.0)
        .map_err(|error| MessageError::Json { line: error.line(), column: error.column() })
}

struct Writable<'a>(&'a Object);

impl Serialize for Writable<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Object::Null => serializer.serialize_unit(),
            Object::Bool(value) => serializer.serialize_bool(*value),
            Object::Int64(value) => serializer.serialize_i64(*value),
            Object::Uint64(value) => serializer.serialize_u64(*value),
            Object::String(value) => serializer.serialize_str(value),
            Object::Data(value) => serializer.serialize_str(&Zeroizing::new(STANDARD.encode(value))),
            Object::Array(values) => serializer.collect_seq(values.iter().map(Writable)),
            Object::Dictionary(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                entries.iter().try_for_each(|(key, value)| map.serialize_entry(key, &Writable(value)))?;
                map.end()
            }
            _ => Err(S::Error::custom("no form in JSON")),
        }
    }
}

struct Readable(Object);

impl<'de> Deserialize<'de> for Readable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree).map(Readable)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Object;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Object, E> {
        Ok(Object::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Object, E> {
        Ok(Object::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Object, E> {
        Ok(Object::Int64(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Object, E> {
        Ok(Object::Uint64(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Object, E> {
        Ok(Object::Double(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Object, E> {
        Ok(Object::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Object, E> {
        Ok(Object::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Object, A::Error> {
        let mut values = Vec::new();
        while let Some(Readable(value)) = seq.next_element()? {
            values.push(value);
        }
        Ok(Object::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut entries = Dictionary::new();
        while let Some((key, Readable(value))) = map.next_entry::<String, Readable>()? {
            entries.push(key, value);
        }
        Ok(Object::Dictionary(entries))
    }
}
