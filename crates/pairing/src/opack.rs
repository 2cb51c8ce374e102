//! OPACK, the compact form in which both sides describe themselves in M5 and M6.
//!
//! Only what a pairing carries is written: text, bytes, booleans and whole numbers in a dictionary. Source: protocol.md
//! §5.5 for the dictionary; the type bytes and back references as idevice's `opack.rs` reads them from real devices
//! (fixture `opack_ipad_info.bin`), with which pymobiledevice3's opack2 agrees but for the order of long lengths.

mod error;
mod read;
mod write;

pub use error::OpackError;

/// The longest input, in bytes; a real dictionary has about 300.
pub const MAX_LEN: usize = 64 * 1024;
/// How deep values may nest; a real dictionary has one level.
pub const MAX_DEPTH: usize = 16;
/// How many values there may be, keys counted.
pub const MAX_NODES: usize = 4096;
/// How many bytes of text and data all values together may have once back references are followed.
pub const MAX_EXPANDED: usize = 256 * 1024;

/// One OPACK value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Uint(u64),
    /// A floating point number as its bytes stand there: sources disagree on their order.
    Float(Vec<u8>),
    /// Text.
    String(String),
    /// Bytes.
    Data(Vec<u8>),
    /// Values in order.
    Array(Vec<Value>),
    /// Keys and values in order.
    Dictionary(Vec<(String, Value)>),
}

impl Value {
    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        if let Value::String(text) = self { Some(text) } else { None }
    }

    /// The bytes of a data value.
    pub fn as_data(&self) -> Option<&[u8]> {
        if let Value::Data(bytes) = self { Some(bytes) } else { None }
    }

    /// The number of a whole number.
    pub fn as_u64(&self) -> Option<u64> {
        if let Value::Uint(number) = self { Some(*number) } else { None }
    }

    /// The first value of a key, if this is a dictionary that has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Value::Dictionary(entries) => {
                entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// Reads one value; nothing may follow it.
    ///
    /// # Errors
    /// The first thing wrong, with its offset.
    pub fn decode(bytes: &[u8]) -> Result<Value, OpackError> {
        if bytes.len() > MAX_LEN {
            return Err(OpackError::TooLong { got: bytes.len() });
        }
        read::value(bytes)
    }

    /// The bytes of this, without back references, which every reader takes.
    ///
    /// # Errors
    /// [`OpackError::Unwritable`] for floating point numbers, collections of more than 14 and texts of more than 255
    /// bytes; [`OpackError::TooDeep`].
    pub fn encode(&self) -> Result<Vec<u8>, OpackError> {
        let mut out = Vec::new();
        write::value(self, &mut out, 0)?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests;
