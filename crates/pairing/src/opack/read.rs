//! Bytes to values, with every size counted.

use super::{MAX_DEPTH, MAX_EXPANDED, MAX_NODES, OpackError, Value};
use crate::not_sourced::{OPACK_LONG_LENGTH, OPACK_TYPE};

/// Ends a collection of unstated length.
const TERMINATOR: u8 = 0x03;

/// The one value that the bytes hold.
pub(super) fn value(bytes: &[u8]) -> Result<Value, OpackError> {
    let mut reader = Reader { rest: bytes, total: bytes.len(), seen: Vec::new(), nodes: 0, expanded: 0 };
    let value = reader.value(0)?;
    match reader.rest.len() {
        0 => Ok(value),
        left => Err(OpackError::Trailing { left }),
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
