use serde_json::{Value, json};
use uuid::Uuid;

use super::{JsonError, from_value, to_value};
use crate::{Dictionary, Object};

fn every_kind() -> Object {
    let info = Dictionary::new().with("s", 5_u64);
    Object::Dictionary(Dictionary::from_iter([
        ("null", Object::Null),
        ("bool", Object::Bool(true)),
        ("int64", Object::Int64(i64::MIN)),
        ("uint64", Object::Uint64(u64::MAX)),
        ("double", Object::Double(0.1)),
        ("minus zero", Object::Double(-0.0)),
        ("infinite", Object::Double(f64::NEG_INFINITY)),
        ("nan", Object::Double(f64::from_bits(0xfff0_dead_beef_0001))),
        ("date", Object::Date(-1)),
        ("data", Object::Data(vec![0, 1, 2, 255])),
        ("string", Object::String("Grüße".into())),
        ("uuid", Object::Uuid(Uuid::from_u128(0x1234))),
        ("fd", Object::Fd(u32::MAX)),
        ("shmem", Object::Shmem { length: 4096, token: u32::MAX }),
        ("array", Object::Array(vec![Object::Null, Object::Array(vec![])])),
        ("file", Object::FileTransfer { id: 7, info }),
    ]))
}

#[test]
fn every_kind_comes_back() {
    let value = to_value(&every_kind());
    assert_eq!(from_value(&value), Ok(every_kind()));
    let text = serde_json::to_string(&value).unwrap();
    assert_eq!(from_value(&serde_json::from_str(&text).unwrap()), Ok(every_kind()));
    insta::assert_json_snapshot!(value);
}

#[test]
fn repeated_and_dollar_keys_come_back() {
    let mut repeated = Dictionary::new().with("a", 1_u64);
    repeated.push("a", 2_u64);
    for entries in [repeated, Dictionary::new().with("$uuid", "no tag"), Dictionary::new().with("$", 1_u64)] {
        let object = Object::Dictionary(entries);
        let value = to_value(&object);
        assert!(value.get("$dictionary").is_some(), "{value}");
        assert_eq!(from_value(&value), Ok(object));
    }
}

#[test]
fn refused_by_name() {
    let errors: Vec<String> = [
        json!(-1),
        json!(0.5),
        json!({"$int64": 1.5}),
        json!({"$date_ns": "x"}),
        json!({"$double": "nan"}),
        json!({"$double": "nan:12"}),
        json!({"$data": "AA"}),
        json!({"$uuid": "x"}),
        json!({"$fd": 4294967296_u64}),
        json!({"$shmem": [1]}),
        json!({"$file_transfer": {"id": 1}}),
        json!({"$file_transfer": {"id": 1, "info": [1]}}),
        json!({"$dictionary": [["a"]]}),
        json!({"$pointer": 1}),
        json!({"$fd": 1, "b": 2}),
    ]
    .iter()
    .map(|value| format!("{value} -> {}", from_value(value).unwrap_err()))
    .collect();
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn depth_is_limited() {
    let nest = |depth: usize| (0..depth).fold(Value::Null, |inner, _| json!([inner]));
    assert!(from_value(&nest(64)).is_ok());
    assert_eq!(from_value(&nest(65)), Err(JsonError::TooDeep { limit: 64 }));
}
