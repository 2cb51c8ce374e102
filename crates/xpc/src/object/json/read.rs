//! Typed JSON to [`Object`].

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{JsonError, tag};
use crate::limits::MAX_DEPTH;
use crate::{Dictionary, Object};

/// Reads the typed JSON form of an object.
///
/// # Errors
/// What is not of that form, and containers nested deeper than [`MAX_DEPTH`].
pub fn from_value(value: &Value) -> Result<Object, JsonError> {
    object(value, MAX_DEPTH)
}

/// `depth` is how many containers may still open.
fn object(value: &Value, depth: usize) -> Result<Object, JsonError> {
    Ok(match value {
        Value::Null => Object::Null,
        Value::Bool(value) => Object::Bool(*value),
        Value::String(value) => Object::String(value.clone()),
        Value::Number(number) => match number.as_u64() {
            Some(value) => Object::Uint64(value),
            None => {
                return Err(JsonError::BareNumber { found: number.to_string() });
            }
        },
        Value::Array(values) => {
            let depth = deeper(depth)?;
            Object::Array(values.iter().map(|value| object(value, depth)).collect::<Result<_, _>>()?)
        }
        Value::Object(map) => match map.iter().next() {
            Some((key, content)) if map.len() == 1 && key.starts_with('$') => tagged(key, content, depth)?,
            _ => Object::Dictionary(plain(map, deeper(depth)?)?),
        },
    })
}

fn deeper(depth: usize) -> Result<usize, JsonError> {
    depth.checked_sub(1).ok_or(JsonError::TooDeep { limit: MAX_DEPTH })
}

fn plain(map: &Map<String, Value>, depth: usize) -> Result<Dictionary, JsonError> {
    if let Some(key) = map.keys().find(|key| key.starts_with('$')) {
        return Err(JsonError::UnknownTag { found: clip(key) });
    }
    let entries = map.iter().map(|(key, value)| Ok((key.as_str(), object(value, depth)?)));
    entries.collect()
}

fn tagged(key: &str, content: &Value, depth: usize) -> Result<Object, JsonError> {
    match key {
        tag::INT64 => {
            content.as_i64().map(Object::Int64).ok_or_else(|| form(tag::INT64, "an int64", content))
        }
        tag::DATE => {
            content.as_i64().map(Object::Date).ok_or_else(|| form(tag::DATE, "nanoseconds as int64", content))
        }
        tag::DOUBLE => double(content)
            .map(Object::Double)
            .ok_or_else(|| form(tag::DOUBLE, "a double's text, \"inf\" or \"nan:<16 hex digits>\"", content)),
        tag::DATA => content
            .as_str()
            .and_then(|text| STANDARD.decode(text).ok())
            .map(Object::Data)
            .ok_or_else(|| form(tag::DATA, "padded base64", content)),
        tag::UUID => content
            .as_str()
            .and_then(|text| Uuid::try_parse(text).ok())
            .map(Object::Uuid)
            .ok_or_else(|| form(tag::UUID, "a UUID", content)),
        tag::FD => word(content).map(Object::Fd).ok_or_else(|| form(tag::FD, "a 32-bit number", content)),
        tag::SHMEM => {
            shmem(content).ok_or_else(|| form(tag::SHMEM, "two 32-bit numbers [length, token]", content))
        }
        tag::FILE_TRANSFER => file_transfer(content, depth),
        tag::DICTIONARY => Ok(Object::Dictionary(pairs(content, deeper(depth)?)?)),
        _ => Err(JsonError::UnknownTag { found: clip(key) }),
    }
}

fn word(content: &Value) -> Option<u32> {
    content.as_u64()?.try_into().ok()
}

fn shmem(content: &Value) -> Option<Object> {
    let [length, token] = content.as_array()?.as_slice() else {
        return None;
    };
    Some(Object::Shmem { length: word(length)?, token: word(token)? })
}

fn double(content: &Value) -> Option<f64> {
    let text = content.as_str()?;
    match text.strip_prefix("nan:") {
        Some(bits) if bits.len() == 16 => u64::from_str_radix(bits, 16).ok().map(f64::from_bits),
        Some(_) => None,
        None => text.parse().ok().filter(|value: &f64| !value.is_nan()),
    }
}

fn file_transfer(content: &Value, depth: usize) -> Result<Object, JsonError> {
    let wrong = || form(tag::FILE_TRANSFER, "{\"id\": uint64, \"info\": dictionary}", content);
    let map = content.as_object().filter(|map| map.len() == 2).ok_or_else(wrong)?;
    let id = map.get("id").and_then(Value::as_u64).ok_or_else(wrong)?;
    match object(map.get("info").ok_or_else(wrong)?, depth)? {
        Object::Dictionary(info) => Ok(Object::FileTransfer { id, info }),
        _ => Err(wrong()),
    }
}

fn pairs(content: &Value, depth: usize) -> Result<Dictionary, JsonError> {
    let wrong = || form(tag::DICTIONARY, "an array of [key, value]", content);
    let entries = content.as_array().ok_or_else(wrong)?.iter().map(|pair| {
        let [Value::String(key), value] = pair.as_array().ok_or_else(wrong)?.as_slice() else {
            return Err(wrong());
        };
        Ok((key.as_str(), object(value, depth)?))
    });
    entries.collect()
}

fn form(tag: &'static str, expected: &'static str, found: &Value) -> JsonError {
    JsonError::Content { tag, expected, found: clip(&found.to_string()) }
}

fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}
