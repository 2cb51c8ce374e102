//! OPACK, the compact form in which both sides describe themselves in M5 and M6.
//!
//! Only what a pairing carries is written: text, bytes, booleans and whole numbers in a dictionary. Source: protocol.md
//! §5.5 for the dictionary; the type bytes and back references as idevice's `opack.rs` reads them from real devices
//! (fixture `opack_ipad_info.bin`), with which pymobiledevice3's opack2 agrees but for the order of long lengths.

use crate::not_sourced::{NotSourced, OPACK_LONG_LENGTH, OPACK_TYPE};

/// The longest input, in bytes; a real dictionary has about 300.
pub const MAX_LEN: usize = 64 * 1024;
/// How deep values may nest; a real dictionary has one level.
pub const MAX_DEPTH: usize = 16;
/// How many values there may be, keys counted.
pub const MAX_NODES: usize = 4096;
/// How many bytes of text and data all values together may have once back references are followed.
pub const MAX_EXPANDED: usize = 256 * 1024;

/// Ends a collection of unstated length.
const TERMINATOR: u8 = 0x03;

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

/// Why bytes are not OPACK, or a value can't be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpackError {
    /// The input is longer than [`MAX_LEN`].
    #[error("OPACK of {got} bytes is longer than the {MAX_LEN} that are read")]
    TooLong {
        /// Bytes that came.
        got: usize,
    },
    /// Values nest deeper than [`MAX_DEPTH`].
    #[error("OPACK at offset {offset} nests deeper than {MAX_DEPTH}")]
    TooDeep {
        /// Where.
        offset: usize,
    },
    /// More values than [`MAX_NODES`].
    #[error("OPACK has more than {MAX_NODES} values")]
    TooManyNodes,
    /// Back references blow the value up beyond [`MAX_EXPANDED`].
    #[error("OPACK grows beyond {MAX_EXPANDED} bytes through back references")]
    TooBig,
    /// The input ends inside a value.
    #[error("OPACK ends at offset {offset}, {wanted} more bytes are wanted")]
    Truncated {
        /// Where the input ends.
        offset: usize,
        /// Bytes that lack.
        wanted: usize,
    },
    /// Bytes follow the value.
    #[error("{left} bytes follow the OPACK value")]
    Trailing {
        /// How many.
        left: usize,
    },
    /// Text is not UTF-8.
    #[error("OPACK text at offset {offset} is not UTF-8")]
    NotText {
        /// Where.
        offset: usize,
    },
    /// A key is not text.
    #[error("OPACK key at offset {offset} is not text")]
    KeyNotText {
        /// Where.
        offset: usize,
    },
    /// A back reference to nothing.
    #[error("OPACK back reference {index} at offset {offset}: only {known} values came before")]
    BadReference {
        /// Where.
        offset: usize,
        /// The number that it names.
        index: u64,
        /// How many there are.
        known: usize,
    },
    /// A terminator where a value should be.
    #[error("OPACK terminator at offset {offset} ends nothing")]
    StrayTerminator {
        /// Where.
        offset: usize,
    },
    /// No source tells what comes next.
    #[error("OPACK at offset {offset}, type 0x{tag:02x}: {gap}")]
    NotSourced {
        /// Where.
        offset: usize,
        /// The type byte.
        tag: u8,
        /// The gap.
        gap: NotSourced,
    },
    /// A value that no source shows how to write.
    #[error("an OPACK value can't be written: {0}")]
    Unwritable(NotSourced),
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
        let mut reader = Reader { rest: bytes, total: bytes.len(), seen: Vec::new(), nodes: 0, expanded: 0 };
        let value = reader.value(0)?;
        match reader.rest.len() {
            0 => Ok(value),
            left => Err(OpackError::Trailing { left }),
        }
    }

    /// The bytes of this, without back references, which every reader takes.
    ///
    /// # Errors
    /// [`OpackError::Unwritable`] for floating point numbers, collections of more than 14 and texts of more than 255
    /// bytes; [`OpackError::TooDeep`].
    pub fn encode(&self) -> Result<Vec<u8>, OpackError> {
        let mut out = Vec::new();
        write(self, &mut out, 0)?;
        Ok(out)
    }
}

fn write(value: &Value, out: &mut Vec<u8>, depth: usize) -> Result<(), OpackError> {
    if depth > MAX_DEPTH {
        return Err(OpackError::TooDeep { offset: out.len() });
    }
    let deeper = depth.saturating_add(1);
    match value {
        Value::Null => out.push(0x04),
        Value::Bool(true) => out.push(0x01),
        Value::Bool(false) => out.push(0x02),
        Value::Uint(number) => write_uint(*number, out),
        Value::Float(_) => return Err(OpackError::Unwritable(OPACK_TYPE)),
        Value::String(text) => write_bytes(text.as_bytes(), 0x40, 0x61, out)?,
        Value::Data(bytes) => write_bytes(bytes, 0x70, 0x91, out)?,
        Value::Array(values) => {
            out.push(collection_tag(0xd0, values.len())?);
            values.iter().try_for_each(|value| write(value, out, deeper))?;
        }
        Value::Dictionary(entries) => {
            out.push(collection_tag(0xe0, entries.len())?);
            for (key, value) in entries {
                write_bytes(key.as_bytes(), 0x40, 0x61, out)?;
                write(value, out, deeper)?;
            }
        }
    }
    Ok(())
}

fn write_uint(number: u64, out: &mut Vec<u8>) {
    match (u8::try_from(number), u32::try_from(number)) {
        (Ok(small @ 0..=0x27), _) => out.push(small.wrapping_add(0x08)),
        (Ok(byte), _) => out.extend_from_slice(&[0x30, byte]),
        (_, Ok(word)) => {
            out.push(0x32);
            out.extend_from_slice(&word.to_le_bytes());
        }
        _ => {
            out.push(0x33);
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
}

fn write_bytes(bytes: &[u8], inline: u8, sized: u8, out: &mut Vec<u8>) -> Result<(), OpackError> {
    match u8::try_from(bytes.len()) {
        Ok(len @ 0..=0x20) => out.push(inline.wrapping_add(len)),
        Ok(len) => out.extend_from_slice(&[sized, len]),
        // Two bytes of length: idevice writes them little endian, opack2 big endian.
        Err(_) => return Err(OpackError::Unwritable(OPACK_LONG_LENGTH)),
    }
    out.extend_from_slice(bytes);
    Ok(())
}

fn collection_tag(base: u8, count: usize) -> Result<u8, OpackError> {
    match u8::try_from(count) {
        Ok(count @ 0..=14) => Ok(base.wrapping_add(count)),
        _ => Err(OpackError::Unwritable(OPACK_TYPE)),
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    total: usize,
    /// What a back reference can name: every distinct scalar of more than a byte, in the order in which it first came.
    seen: Vec<Value>,
    nodes: usize,
    expanded: usize,
}

impl<'a> Reader<'a> {
    fn offset(&self) -> usize {
        self.total.saturating_sub(self.rest.len())
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], OpackError> {
        let (head, tail) = self.rest.split_at_checked(len).ok_or(OpackError::Truncated {
            offset: self.total,
            wanted: len.saturating_sub(self.rest.len()),
        })?;
        self.rest = tail;
        Ok(head)
    }

    fn byte(&mut self) -> Result<u8, OpackError> {
        Ok(self.take(1)?.first().copied().unwrap_or_default())
    }

    fn uint(&mut self, len: usize) -> Result<u64, OpackError> {
        Ok(self.take(len)?.iter().rev().fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte)))
    }

    fn value(&mut self, depth: usize) -> Result<Value, OpackError> {
        let offset = self.offset();
        if depth > MAX_DEPTH {
            return Err(OpackError::TooDeep { offset });
        }
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > MAX_NODES {
            return Err(OpackError::TooManyNodes);
        }
        let tag = self.byte()?;
        let low = usize::from(tag & 0x0f);
        match tag {
            0x01 | 0x02 => Ok(Value::Bool(tag == 0x01)),
            TERMINATOR => Err(OpackError::StrayTerminator { offset }),
            0x04 => Ok(Value::Null),
            0x08..=0x2f => Ok(Value::Uint(u64::from(tag).saturating_sub(8))),
            0x30..=0x33 => {
                let number = self.uint(1 << (low & 3))?;
                self.remember(Value::Uint(number))
            }
            0x35 | 0x36 => {
                let bytes = self.take(if tag == 0x35 { 4 } else { 8 })?.to_vec();
                self.remember(Value::Float(bytes))
            }
            0x40..=0x62 => {
                let bytes = self.sized(tag, 0x40, 0x61)?;
                let text = std::str::from_utf8(bytes).map_err(|_| OpackError::NotText { offset })?;
                self.remember(Value::String(text.to_owned()))
            }
            0x70..=0x92 => {
                let bytes = self.sized(tag, 0x70, 0x91)?.to_vec();
                self.remember(Value::Data(bytes))
            }
            0x63 | 0x64 | 0x93 | 0x94 => Err(OpackError::NotSourced { offset, tag, gap: OPACK_LONG_LENGTH }),
            0xa0..=0xc0 => self.lookup(offset, u64::from(tag).saturating_sub(0xa0)),
            0xc1..=0xc4 => {
                let index = self.uint(1 << (low.saturating_sub(1) & 3))?;
                self.lookup(offset, index)
            }
            0xd0..=0xdf => self.array((low < 15).then_some(low), depth),
            0xe0..=0xef => self.dictionary((low < 15).then_some(low), depth),
            _ => Err(OpackError::NotSourced { offset, tag, gap: OPACK_TYPE }),
        }
    }

    /// The bytes of text or data: the length stands in the type byte, in one byte, or in two, little endian.
    fn sized(&mut self, tag: u8, inline: u8, sized: u8) -> Result<&'a [u8], OpackError> {
        let len = match tag.checked_sub(sized) {
            None => u64::from(tag.saturating_sub(inline)),
            Some(0) => self.uint(1)?,
            Some(_) => self.uint(2)?,
        };
        self.take(usize::try_from(len).unwrap_or(usize::MAX))
    }

    fn grow(&mut self, value: &Value) -> Result<(), OpackError> {
        let len = match value {
            Value::String(text) => text.len(),
            Value::Data(bytes) => bytes.len(),
            _ => 0,
        };
        self.expanded = self.expanded.saturating_add(len);
        if self.expanded > MAX_EXPANDED { Err(OpackError::TooBig) } else { Ok(()) }
    }

    fn remember(&mut self, value: Value) -> Result<Value, OpackError> {
        self.grow(&value)?;
        if !self.seen.contains(&value) {
            self.seen.push(value.clone());
        }
        Ok(value)
    }

    fn lookup(&mut self, offset: usize, index: u64) -> Result<Value, OpackError> {
        let known = self.seen.len();
        let found = usize::try_from(index).ok().and_then(|index| self.seen.get(index)).cloned();
        let value = found.ok_or(OpackError::BadReference { offset, index, known })?;
        self.grow(&value)?;
        Ok(value)
    }

    /// Whether another item follows; takes the terminator of a collection of unstated length.
    fn more(&mut self, count: Option<usize>, have: usize) -> Result<bool, OpackError> {
        match (count, self.rest.first()) {
            (Some(count), _) => Ok(have < count),
            (None, Some(&TERMINATOR)) => self.byte().map(|_| false),
            (None, Some(_)) => Ok(true),
            (None, None) => Err(OpackError::Truncated { offset: self.total, wanted: 1 }),
        }
    }

    fn array(&mut self, count: Option<usize>, depth: usize) -> Result<Value, OpackError> {
        let mut values = Vec::new();
        while self.more(count, values.len())? {
            values.push(self.value(depth.saturating_add(1))?);
        }
        Ok(Value::Array(values))
    }

    fn dictionary(&mut self, count: Option<usize>, depth: usize) -> Result<Value, OpackError> {
        let mut entries = Vec::new();
        while self.more(count, entries.len())? {
            let offset = self.offset();
            let Value::String(key) = self.value(depth.saturating_add(1))? else {
                return Err(OpackError::KeyNotText { offset });
            };
            entries.push((key, self.value(depth.saturating_add(1))?));
        }
        Ok(Value::Dictionary(entries))
    }
}

#[cfg(test)]
mod tests;
