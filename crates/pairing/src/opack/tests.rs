//! OPACK against a real dictionary, against bombs, and against itself.

use super::*;
use crate::not_sourced::{OPACK_LONG_LENGTH, OPACK_TYPE};
use proptest::prelude::*;

fn dictionary(entries: &[(&str, Value)]) -> Value {
    Value::Dictionary(entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
}

#[test]
fn the_dictionary_of_a_real_ipad_reads_with_its_back_reference() {
    let value = Value::decode(include_bytes!("../../tests/fixtures/opack_ipad_info.bin")).unwrap();
    assert_eq!(value.get("model").unwrap().as_str(), Some("iPad16,3"));
    // `name` is a back reference to `model`.
    assert_eq!(value.get("name").unwrap().as_str(), Some("iPad16,3"));
    assert_eq!(value.get("lastSeenWireProtocolVersion").unwrap().as_u64(), Some(26));
    assert_eq!(value.get("remotepairing_ecid").unwrap().as_u64(), Some(0x0012_1111_2222_3333));
    assert_eq!(value.get("altIRK").unwrap().as_data().unwrap().len(), 16);
}

#[test]
fn back_references_count_distinct_scalars_keys_included() {
    let bytes = [0xe3, 0x41, 0x61, 0x41, 0x62, 0x41, 0x63, 0xe1, 0x41, 0x64, 0xa0, 0xa3, 0x01];
    let text = |text: &str| Value::String(text.to_owned());
    assert_eq!(
        Value::decode(&bytes).unwrap(),
        dictionary(&[("a", text("b")), ("c", dictionary(&[("d", text("a"))])), ("d", Value::Bool(true))])
    );
    let repeated = [0xd4, 0x41, 0x78, 0x41, 0x78, 0x41, 0x79, 0xc1, 0x01];
    assert_eq!(Value::decode(&repeated).unwrap(), Value::Array(["x", "x", "y", "y"].map(text).to_vec()));
    assert_eq!(
        Value::decode(&[0xd2, 0x41, 0x61, 0xa4]),
        Err(OpackError::BadReference { offset: 3, index: 4, known: 1 })
    );
}

#[test]
fn nesting_count_and_growth_bombs_are_typed_errors() {
    let deep = vec![0xd1; 60_000];
    assert!(matches!(Value::decode(&deep), Err(OpackError::TooDeep { offset: 17 })));
    let mut many = vec![0xdf];
    many.extend(vec![0x08; 10_000]);
    assert_eq!(Value::decode(&many), Err(OpackError::TooManyNodes));
    let mut growing = vec![0xdf, 0x62, 0x00, 0x80];
    growing.extend(vec![b'x'; 0x8000]);
    growing.extend(vec![0xa0; 4000]);
    assert_eq!(Value::decode(&growing), Err(OpackError::TooBig));
    assert_eq!(Value::decode(&vec![0; MAX_LEN + 1]), Err(OpackError::TooLong { got: MAX_LEN + 1 }));
}

#[test]
fn lengths_beyond_the_input_are_typed_errors() {
    assert_eq!(
        Value::decode(&[0x62, 0xff, 0xff, b'x']),
        Err(OpackError::Truncated { offset: 4, wanted: 0xfffe })
    );
    assert_eq!(Value::decode(&[]), Err(OpackError::Truncated { offset: 0, wanted: 1 }));
    assert_eq!(Value::decode(&[0xdf, 0x01]), Err(OpackError::Truncated { offset: 2, wanted: 1 }));
    assert_eq!(Value::decode(&[0x01, 0x01]), Err(OpackError::Trailing { left: 1 }));
    assert_eq!(Value::decode(&[0x03]), Err(OpackError::StrayTerminator { offset: 0 }));
    assert_eq!(Value::decode(&[0xe1, 0x01, 0x01]), Err(OpackError::KeyNotText { offset: 1 }));
    assert_eq!(Value::decode(&[0x41, 0xff]), Err(OpackError::NotText { offset: 0 }));
}

#[test]
fn what_no_source_gives_stops_with_its_name() {
    for (tag, gap) in
        [(0x63, OPACK_LONG_LENGTH), (0x94, OPACK_LONG_LENGTH), (0x06, OPACK_TYPE), (0xf0, OPACK_TYPE)]
    {
        assert_eq!(Value::decode(&[tag, 0, 0]), Err(OpackError::NotSourced { offset: 0, tag, gap }));
    }
    let long = Value::Data(vec![0; 256]);
    assert_eq!(long.encode(), Err(OpackError::Unwritable(OPACK_LONG_LENGTH)));
    assert_eq!(Value::Array(vec![Value::Null; 15]).encode(), Err(OpackError::Unwritable(OPACK_TYPE)));
    assert_eq!(Value::Float(vec![0; 4]).encode(), Err(OpackError::Unwritable(OPACK_TYPE)));
}

#[test]
fn the_dictionary_of_a_host_has_the_bytes_of_working_clients() {
    // The start of the dictionary that pymobiledevice3 and idevice send.
    let value = dictionary(&[
        ("altIRK", Value::Data(vec![0xe9; 16])),
        ("btAddr", Value::String("11:22:33:44:55:66".to_owned())),
    ]);
    let mut expected = vec![0xe2, 0x46];
    expected.extend(b"altIRK\x80");
    expected.extend([0xe9; 16]);
    expected.extend(b"\x46btAddr\x5111:22:33:44:55:66");
    assert_eq!(value.encode().unwrap(), expected);
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<u64>().prop_map(Value::Uint),
        "[a-z]{0,60}".prop_map(Value::String),
        proptest::collection::vec(any::<u8>(), 0..255).prop_map(Value::Data),
    ];
    leaf.prop_recursive(4, 60, 8, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..14).prop_map(Value::Array),
            proptest::collection::vec(("[a-z]{0,12}", inner), 0..14).prop_map(Value::Dictionary),
        ]
    })
}

proptest! {
    #[test]
    fn encode_then_decode_gives_the_value_back(value in any_value()) {
        prop_assert_eq!(Value::decode(&value.encode().unwrap()).unwrap(), value);
    }

    #[test]
    fn any_bytes_decode_or_fail_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Value::decode(&bytes);
    }
}
