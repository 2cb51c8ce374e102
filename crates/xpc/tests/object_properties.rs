//! Any object comes back from its bytes and from its JSON; any bytes are refused or come back.
#![allow(missing_docs)]

#[path = "../fuzz/bodies/object.rs"]
mod fuzz_body;

use iosmux_xpc::{Dictionary, Limits, Object, json};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use uuid::Uuid;

/// Text without NUL, ASCII and not, of every length modulo 8.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        vec(1_u8..0x80, 0..40).prop_map(|bytes| bytes.into_iter().map(char::from).collect()),
        vec(any::<char>().prop_filter("no NUL", |character| *character != '\0'), 0..12)
            .prop_map(String::from_iter),
        Just("$uuid".to_owned()),
    ]
}

fn scalar() -> impl Strategy<Value = Object> {
    prop_oneof![
        Just(Object::Null),
        any::<bool>().prop_map(Object::Bool),
        any::<i64>().prop_map(Object::Int64),
        any::<u64>().prop_map(Object::Uint64),
        any::<u64>().prop_map(|bits| Object::Double(f64::from_bits(bits))),
        Just(Object::Double(f64::from_bits(0xfff0_0000_0000_0001))),
        any::<i64>().prop_map(Object::Date),
        vec(any::<u8>(), 0..24).prop_map(Object::Data),
        text().prop_map(Object::String),
        any::<u128>().prop_map(|value| Object::Uuid(Uuid::from_u128(value))),
        any::<u32>().prop_map(Object::Fd),
        any::<[u32; 2]>().prop_map(|[length, token]| Object::Shmem { length, token }),
    ]
}

/// Keys may repeat.
fn dictionary(value: impl Strategy<Value = Object>) -> impl Strategy<Value = Dictionary> {
    vec((text(), value), 0..6).prop_map(Dictionary::from_iter)
}

fn object() -> impl Strategy<Value = Object> {
    scalar().prop_recursive(6, 48, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Object::Array),
            dictionary(inner.clone()).prop_map(Object::Dictionary),
            (any::<u64>(), dictionary(inner)).prop_map(|(id, info)| Object::FileTransfer { id, info }),
        ]
    })
}

proptest! {
    #[test]
    fn any_object_comes_back(object in object()) {
        let body = object.encode().unwrap();
        assert_eq!(body.len() % 4, 0);
        assert_eq!(Object::decode(&body, &Limits::default()).unwrap(), object);
        assert_eq!(json::from_value(&json::to_value(&object)).unwrap(), object);
        assert!(fuzz_body::object(&body));
    }

    #[test]
    fn any_cut_of_an_object_is_refused(object in object(), cut in any::<proptest::sample::Index>()) {
        let body = object.encode().unwrap();
        assert!(!fuzz_body::object(&body[..cut.index(body.len())]));
    }

    #[test]
    fn any_bytes_are_refused_or_come_back(rest in vec(any::<u8>(), 0..200)) {
        let mut body = vec![0x42, 0x37, 0x13, 0x42, 5, 0, 0, 0];
        body.extend(rest);
        fuzz_body::object(&body);
    }

    #[test]
    fn any_change_of_an_object_is_refused_or_comes_back(
        object in object(),
        changes in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut body = object.encode().unwrap();
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        fuzz_body::object(&body);
    }
}
