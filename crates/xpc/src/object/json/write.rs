//! [`Object`] to typed JSON.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::tag;
use crate::{Dictionary, Object};

/// The typed JSON form of an object. Every object has one; recursion is as deep as the object is.
pub fn to_value(object: &Object) -> Value {
    match object {
        Object::Null => Value::Null,
        Object::Bool(value) => json!(value),
        Object::Uint64(value) => json!(value),
        Object::String(value) => json!(value),
        Object::Int64(value) => tagged(tag::INT64, json!(value)),
        Object::Double(value) => tagged(tag::DOUBLE, json!(double_text(*value))),
        Object::Date(nanoseconds) => tagged(tag::DATE, json!(nanoseconds)),
        Object::Data(bytes) => tagged(tag::DATA, json!(STANDARD.encode(bytes))),
        Object::Uuid(value) => tagged(tag::UUID, json!(value.to_string())),
        Object::Fd(value) => tagged(tag::FD, json!(value)),
        Object::Shmem { length, token } => tagged(tag::SHMEM, json!([length, token])),
        Object::Array(values) => values.iter().map(to_value).collect(),
        Object::Dictionary(entries) => dictionary(entries),
        Object::FileTransfer { id, info } => {
            tagged(tag::FILE_TRANSFER, json!({ "id": id, "info": dictionary(info) }))
        }
    }
}

fn tagged(tag: &str, content: Value) -> Value {
    Value::Object(Map::from_iter([(tag.to_owned(), content)]))
}

/// `{}` prints the shortest text that reads back to the same bits; it hides only the bits of a NaN.
fn double_text(value: f64) -> String {
    match value.is_nan() {
        true => format!("nan:{:016x}", value.to_bits()),
        false => value.to_string(),
    }
}

fn dictionary(entries: &Dictionary) -> Value {
    let mut seen = HashSet::with_capacity(entries.len());
    if entries.keys().all(|key| !key.starts_with('$') && seen.insert(key)) {
        return entries.iter().map(|(key, value)| (key, to_value(value))).collect();
    }
    tagged(tag::DICTIONARY, entries.iter().map(|(key, value)| json!([key, to_value(value)])).collect())
}
