//! The other messages of an RSD connection.
#![allow(missing_docs)]

use iosmux_xpc::rsd::{Handshake, Message, RsdError};
use iosmux_xpc::{Dictionary, Kind, Limits, Object};
use uuid::Uuid;

fn typed(name: &str) -> Dictionary {
    Dictionary::new().with("MessageType", name)
}

#[test]
fn each_message_is_read_and_comes_back() {
    let payload = Object::from(Dictionary::new().with("t", 1_u64));
    let other = Object::from(typed("Novelty").with("x", true));
    for (message, object) in [
        (Message::Heartbeat { sequence_number: 1 }, typed("Heartbeat").with("SequenceNumber", 1_u64)),
        (Message::Timesync { payload: payload.clone() }, typed("Timesync").with("TimesyncPayload", payload)),
        (Message::Goodbye, typed("Goodbye")),
        (Message::Reset, typed("Reset")),
        (Message::Result("Ok".into()), Dictionary::new().with("Result", "Ok")),
        (
            Message::StartTls { yes_no: true, tls_policy: 3 },
            typed("StartTls").with("YesNo", true).with("TlsPolicy", 3_u64),
        ),
        (Message::Other(other.clone()), other.into_dictionary().unwrap()),
        (Message::Other(Dictionary::new().into()), Dictionary::new()),
        (
            Message::Other(Dictionary::new().with("Result", 1_u64).into()),
            Dictionary::new().with("Result", 1_u64),
        ),
    ] {
        let object = Object::from(object);
        assert_eq!(Message::from_object(&object).as_ref(), Ok(&message));
        assert_eq!(message.to_object(), object);
        let body = message.encode().unwrap();
        assert_eq!(Message::decode(&body, &Limits::default()), Ok(message));
    }
    let handshake = Handshake::host(Uuid::from_u128(1));
    let body = Message::Handshake(handshake.clone()).encode().unwrap();
    assert_eq!(body, handshake.encode().unwrap());
    assert_eq!(Message::decode(&body, &Limits::default()), Ok(Message::Handshake(handshake)));
    assert_eq!(Message::from_object(&Object::Null), Ok(Message::Other(Object::Null)));
}

#[test]
fn a_message_of_a_known_type_has_its_keys() {
    for (name, key, expected) in [
        ("Heartbeat", "SequenceNumber", Kind::Uint64),
        ("Timesync", "TimesyncPayload", Kind::Dictionary),
        ("StartTls", "YesNo", Kind::Bool),
        ("Handshake", "MessagingProtocolVersion", Kind::Uint64),
    ] {
        assert_eq!(
            Message::from_object(&typed(name).into()),
            Err(RsdError::MissingKey { path: key.into(), expected })
        );
    }
    assert_eq!(
        Message::from_object(&typed("Heartbeat").with("SequenceNumber", "1").into()),
        Err(RsdError::WrongType {
            path: "SequenceNumber".into(),
            expected: Kind::Uint64,
            found: Kind::String
        })
    );
    assert_eq!(
        Message::from_object(&Dictionary::new().with("MessageType", 1_u64).into()),
        Err(RsdError::WrongType { path: "MessageType".into(), expected: Kind::String, found: Kind::Uint64 })
    );
}
