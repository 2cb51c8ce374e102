//! Every fixture decodes and re-encodes to the same bytes, and the idevice crate agrees on both.
#![allow(missing_docs)]

mod object_support;

use idevice::xpc::XPCObject;
use iosmux_xpc::rsd::{Catalogue, Handshake};
use iosmux_xpc::{Limits, Object, View, json};
use object_support::{EMPTY_DICTIONARY, HANDSHAKE, body, every_kind, json_fixture, theirs};
use serde_json::Value;
use uuid::Uuid;

#[test]
fn binary_fixtures_come_back_to_the_byte() {
    for body in [body(EMPTY_DICTIONARY), body(HANDSHAKE)] {
        let object = Object::decode(body, &Limits::default()).unwrap();
        assert_eq!(object.encode().unwrap(), body);
        assert_eq!(Object::from(View::parse(body, &Limits::default()).unwrap()), object);
        assert_eq!(json::from_value(&json::to_value(&object)).unwrap(), object);
        assert_eq!(XPCObject::decode(body).unwrap(), theirs(&object).unwrap());
        assert_eq!(XPCObject::decode(body).unwrap().encode().unwrap(), body);
    }
}

#[test]
fn every_kind_comes_back_to_the_byte() {
    let encoded = every_kind().encode().unwrap();
    let decoded = Object::decode(&encoded, &Limits::default()).unwrap();
    assert_eq!(decoded, every_kind());
    assert_eq!(decoded.encode().unwrap(), encoded);
}

/// One value of each kind, byte by byte. Source: protocol.md §3.3.
#[test]
fn golden_bytes_of_every_kind() {
    let dump: Vec<String> = every_kind()
        .as_dictionary()
        .unwrap()
        .iter()
        .map(|(key, value)| {
            let encoded = value.encode().unwrap();
            assert_eq!(encoded[..8], [0x42, 0x37, 0x13, 0x42, 5, 0, 0, 0]);
            let words: Vec<String> = encoded[8..].chunks(4).map(|word| format!("{word:02x?}")).collect();
            format!("{key:?}: {}", words.join(" ").replace(", ", ""))
        })
        .collect();
    insta::assert_snapshot!(dump.join("\n"));
}

/// The catalogue's content in the same order, encoded by both: from our typed form, and from theirs built by hand.
#[test]
fn handshake_is_byte_identical_to_idevice() {
    for name in
        ["iphone11,6_ios17.0.3_trusted.json", "iphone15,3_ios17.0_untrusted.json", "mac_host_macos14.0.json"]
    {
        let value = json_fixture(name);
        let uuid = Uuid::from_u128(0x1234);
        let ours = Catalogue::from_json(&value).unwrap().handshake(uuid);
        let entries = [
            ("MessageType", XPCObject::String("Handshake".into())),
            ("MessagingProtocolVersion", from_json(&value["MessagingProtocolVersion"])),
            ("UUID", XPCObject::Uuid(uuid)),
            ("Properties", from_json(&value["Properties"])),
            ("Services", from_json(&value["Services"])),
        ];
        let theirs =
            XPCObject::Dictionary(entries.map(|(key, value)| (key.into(), value)).into_iter().collect());
        assert_eq!(ours.encode().unwrap(), theirs.encode().unwrap(), "{name}");
        assert_eq!(ours.to_object().encode().unwrap(), theirs.encode().unwrap(), "{name}");
        assert_eq!(Handshake::decode(&theirs.encode().unwrap(), &Limits::default()).unwrap(), ours);
    }
}

/// What a host says first, against the same content in idevice's form and order.
#[test]
fn host_handshake_is_byte_identical_to_idevice() {
    let uuid = Uuid::from_u128(0x5678);
    let theirs = idevice::xpc!({
        "MessageType": "Handshake",
        "MessagingProtocolVersion": 7u64,
        "UUID": uuid,
        "Properties": {
            "RemoteXPCVersionFlags": 0x0100_0000_0000_0006_u64,
            "SensitivePropertiesVisible": true,
        },
        "Services": XPCObject::Dictionary(idevice::xpc::Dictionary::new())
    });
    assert_eq!(Handshake::host(uuid).encode().unwrap(), theirs.encode().unwrap());
}

fn from_json(value: &Value) -> XPCObject {
    match value {
        Value::Null => XPCObject::Null,
        Value::Bool(value) => XPCObject::Bool(*value),
        Value::Number(number) => XPCObject::UInt64(number.as_u64().unwrap()),
        Value::String(text) => XPCObject::String(text.clone()),
        Value::Array(values) => XPCObject::Array(values.iter().map(from_json).collect()),
        Value::Object(map) => {
            XPCObject::Dictionary(map.iter().map(|(key, value)| (key.clone(), from_json(value))).collect())
        }
    }
}
