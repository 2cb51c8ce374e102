//! Values to bytes, in the forms that every reader takes.

use super::{MAX_DEPTH, OpackError, Value};
use crate::not_sourced::{OPACK_LONG_LENGTH, OPACK_TYPE};

pub(super) fn value(value: &Value, out: &mut Vec<u8>, depth: usize) -> Result<(), OpackError> {
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
            values.iter().try_for_each(|value| self::value(value, out, deeper))?;
        }
        Value::Dictionary(entries) => {
            out.push(collection_tag(0xe0, entries.len())?);
            for (key, value) in entries {
                write_bytes(key.as_bytes(), 0x40, 0x61, out)?;
                self::value(value, out, deeper)?;
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
