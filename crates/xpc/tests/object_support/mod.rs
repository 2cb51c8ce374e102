//! Fixtures and the idevice crate's form of our objects.
#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses a part of it")]

use std::time::{Duration, UNIX_EPOCH};

use idevice::xpc::XPCObject;
use iosmux_xpc::{Dictionary, Object};
use uuid::Uuid;

/// Wrapper and body: a Handshake with 46 properties and 62 services (SYN).
pub(crate) const HANDSHAKE: &[u8] = include_bytes!("../fixtures/xpc/handshake_46properties_62services.bin");
/// Wrapper and body: the empty dictionary of a real opening (CAP).
pub(crate) const EMPTY_DICTIONARY: &[u8] = include_bytes!("../fixtures/xpc/empty_dictionary.bin");
/// Before the body of a message.
pub(crate) const WRAPPER_LENGTH: usize = 24;

/// The body of a fixture.
pub(crate) fn body(message: &'static [u8]) -> &'static [u8] {
    &message[WRAPPER_LENGTH..]
}

/// A fixture in JSON.
pub(crate) fn json_fixture(name: &str) -> serde_json::Value {
    let path = format!("{}/tests/fixtures/rsd/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// One value of each kind, nested, with texts and data of every length modulo 4.
pub(crate) fn every_kind() -> Object {
    let texts = ["", "a", "ab", "abc", "abcd", "Grüße", "日本"].map(Object::from);
    let data = (0..6).map(|length| Object::Data((0..length).collect()));
    Object::Dictionary(Dictionary::from_iter([
        ("", Object::Null),
        ("b", Object::Bool(true)),
        ("no", Object::Bool(false)),
        ("int", Object::Int64(-2)),
        ("uint", Object::Uint64(u64::MAX)),
        ("nan", Object::Double(f64::from_bits(0x7ff8_0000_0000_0001))),
        ("before 1970", Object::Date(-1)),
        ("uuid", Object::Uuid(Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff))),
        ("fd", Object::Fd(3)),
        ("shmem", Object::Shmem { length: 4096, token: 7 }),
        ("texts", Object::Array(texts.to_vec())),
        ("data", Object::Array(data.collect())),
        ("empty", Object::Array(vec![Object::Array(vec![]), Dictionary::new().into()])),
        ("schlüssel", Object::FileTransfer { id: 5, info: Dictionary::new().with("s", 1_u64) }),
    ]))
}

/// The idevice crate's form of an object; None for what it has no form for: fd, shmem, dates before 1970, repeated keys.
pub(crate) fn theirs(object: &Object) -> Option<XPCObject> {
    Some(match object {
        Object::Null => XPCObject::Null,
        Object::Bool(value) => XPCObject::Bool(*value),
        Object::Int64(value) => XPCObject::Int64(*value),
        Object::Uint64(value) => XPCObject::UInt64(*value),
        Object::Double(value) => XPCObject::Double(*value),
        Object::Date(nanoseconds) => {
            XPCObject::Date(UNIX_EPOCH + Duration::from_nanos(u64::try_from(*nanoseconds).ok()?))
        }
        Object::Data(bytes) => XPCObject::Data(bytes.clone()),
        Object::String(text) => XPCObject::String(text.clone()),
        Object::Uuid(uuid) => XPCObject::Uuid(*uuid),
        Object::Fd(_) | Object::Shmem { .. } => return None,
        Object::Array(values) => XPCObject::Array(values.iter().map(theirs).collect::<Option<_>>()?),
        Object::Dictionary(entries) => their_dictionary(entries)?,
        Object::FileTransfer { id, info } => {
            XPCObject::FileTransfer { msg_id: *id, data: Box::new(their_dictionary(info)?) }
        }
    })
}

fn their_dictionary(entries: &Dictionary) -> Option<XPCObject> {
    let mut theirs_entries = idevice::xpc::Dictionary::new();
    for (key, value) in entries.iter() {
        if theirs_entries.insert(key.to_owned(), theirs(value)?).is_some() {
            return None;
        }
    }
    Some(XPCObject::Dictionary(theirs_entries))
}
