//! The typed Handshake: what it holds, what it passes over, what it refuses by name.
#![allow(missing_docs)]

mod object_support;

use iosmux_xpc::rsd::{Handshake, HandshakeView, RsdError, Service, Services, host_uuid};
use iosmux_xpc::{Dictionary, Kind, Limits, Object};
use object_support::{HANDSHAKE, body};
use uuid::Uuid;

fn read(object: &Object) -> Result<Handshake, RsdError> {
    let encoded = object.encode().unwrap();
    let owned = Handshake::decode(&encoded, &Limits::default());
    let borrowed = HandshakeView::decode(&encoded, &Limits::default());
    assert_eq!(owned, Handshake::from_object(object));
    assert_eq!(owned.as_ref().err(), borrowed.as_ref().err());
    owned
}

/// A Handshake with one service, changed by `change`.
fn changed(change: impl FnOnce(&mut Dictionary)) -> Result<Handshake, RsdError> {
    let service = Dictionary::new().with("Entitlement", "e").with("Port", "49152");
    let mut entries = Dictionary::new()
        .with("MessageType", "Handshake")
        .with("MessagingProtocolVersion", 7_u64)
        .with("UUID", Uuid::from_u128(1))
        .with("Properties", Dictionary::new().with("OSVersion", "17.0"))
        .with("Services", Dictionary::new().with("s", service));
    change(&mut entries);
    read(&entries.into())
}

fn changed_service(change: impl FnOnce(&mut Dictionary)) -> Result<Handshake, RsdError> {
    changed(|entries| {
        let mut service = Dictionary::new().with("Entitlement", "e").with("Port", "49152");
        change(&mut service);
        entries.insert("Services", Dictionary::new().with("s", service));
    })
}

fn missing(path: &str, expected: Kind) -> Result<Handshake, RsdError> {
    Err(RsdError::MissingKey { path: path.into(), expected })
}

fn wrong(path: &str, expected: Kind, found: Kind) -> Result<Handshake, RsdError> {
    Err(RsdError::WrongType { path: path.into(), expected, found })
}

#[test]
fn a_large_handshake_is_read_alike_in_all_forms() {
    let body = body(HANDSHAKE);
    let borrowed = HandshakeView::decode(body, &Limits::default()).unwrap();
    let owned = Handshake::decode(body, &Limits::default()).unwrap();
    assert_eq!((owned.properties.len(), owned.services.len()), (46, 62));
    assert_eq!((owned.protocol_version, owned.uuid), (borrowed.protocol_version, borrowed.uuid));
    for ((key, value), (owned_key, object)) in borrowed.properties.iter().zip(owned.properties.iter()) {
        assert_eq!((*key, &Object::from(*value)), (owned_key, object));
    }
    for (view, (name, service)) in borrowed.services.iter().zip(owned.services.iter()) {
        assert_eq!((view.name, view.entitlement, view.port), (name, &*service.entitlement, service.port));
        let properties = view.properties.unwrap();
        assert_eq!(properties.uses_remote_xpc.unwrap_or(false), service.uses_remote_xpc());
        assert_eq!(properties.service_version, service.service_version());
        assert!(properties.features().eq(service.features()));
        assert_eq!(service.properties, Some(Dictionary::from(properties.raw)));
    }
}

#[test]
fn a_host_says_the_least_that_is_accepted() {
    let host = Handshake::host(host_uuid("mac.local"));
    assert_eq!(host.protocol_version, 7);
    assert_eq!(host.properties.get("RemoteXPCVersionFlags"), Some(&Object::Uint64(72_057_594_037_927_942)));
    assert_eq!(host.properties.get("SensitivePropertiesVisible"), Some(&Object::Bool(true)));
    assert!(host.services.is_empty());
    assert_eq!(read(&host.to_object()).unwrap(), host);
}

/// The value Python's `uuid.uuid3(uuid.NAMESPACE_DNS, "python.org")` documents: pymobiledevice3 uses that function.
#[test]
fn the_host_uuid_is_the_one_python_makes() {
    assert_eq!(host_uuid("python.org").to_string(), "6fa459ea-ee8a-3ca4-894e-db77e160355e");
}

#[test]
fn each_required_key_is_missed_by_name() {
    for (key, expected) in [
        ("MessageType", Kind::String),
        ("MessagingProtocolVersion", Kind::Uint64),
        ("UUID", Kind::Uuid),
        ("Properties", Kind::Dictionary),
        ("Services", Kind::Dictionary),
    ] {
        assert_eq!(changed(|entries| drop(entries.remove(key))), missing(key, expected));
        assert_eq!(
            changed(|entries| drop(entries.insert(key, Object::Null))),
            wrong(key, expected, Kind::Null)
        );
    }
    for key in ["Entitlement", "Port"] {
        let path = format!("Services.s.{key}");
        assert_eq!(changed_service(|service| drop(service.remove(key))), missing(&path, Kind::String));
        assert_eq!(
            changed_service(|service| drop(service.insert(key, 1_u64))),
            wrong(&path, Kind::String, Kind::Uint64)
        );
    }
}

#[test]
fn each_known_property_of_a_service_has_its_type() {
    for (key, expected) in [
        ("UsesRemoteXPC", Kind::Bool),
        ("ServiceVersion", Kind::Uint64),
        ("version", Kind::Uint64),
        ("Legacy", Kind::Bool),
        ("Features", Kind::Array),
    ] {
        let properties = Dictionary::new().with(key, "x");
        let read = changed_service(|service| drop(service.insert("Properties", properties)));
        assert_eq!(read, wrong(&format!("Services.s.Properties.{key}"), expected, Kind::String));
    }
    let features = Dictionary::new().with("Features", vec![Object::from("a"), Object::Null]);
    assert_eq!(
        changed_service(|service| drop(service.insert("Properties", features))),
        wrong("Services.s.Properties.Features", Kind::String, Kind::Null)
    );
    assert_eq!(
        changed_service(|service| drop(service.insert("Properties", 1_u64))),
        wrong("Services.s.Properties", Kind::Dictionary, Kind::Uint64)
    );
}

#[test]
fn a_port_is_a_decimal_from_1_to_65535() {
    for port in ["0", "65536", "-1", "+1", " 1", "1 ", "0x50", "", "port", "١"] {
        let read = changed_service(|service| drop(service.insert("Port", port)));
        assert_eq!(read, Err(RsdError::BadPort { path: "Services.s.Port".into(), found: port.into() }));
    }
    for (text, port) in [("1", 1), ("65535", 65535), ("00022", 22)] {
        let read = changed_service(|service| drop(service.insert("Port", text))).unwrap();
        assert_eq!(read.services.get("s").map(|service| service.port), Some(port));
    }
}

#[test]
fn other_messages_and_no_messages() {
    assert_eq!(
        changed(|entries| drop(entries.insert("MessageType", "Goodbye"))),
        Err(RsdError::WrongMessageType { expected: "Handshake", found: "Goodbye".into() })
    );
    assert_eq!(read(&Object::Null), wrong("the message itself", Kind::Dictionary, Kind::Null));
    assert_eq!(
        changed(|entries| drop(entries.insert("Services", Dictionary::new().with("s", 1_u64)))),
        wrong("Services.s", Kind::Dictionary, Kind::Uint64)
    );
    let cut = Handshake::decode(&body(HANDSHAKE)[..100], &Limits::default());
    assert!(matches!(cut, Err(RsdError::Decode(_))));
}

#[test]
fn unknown_keys_are_passed_over_and_unknown_properties_kept() {
    let read = changed(|entries| {
        entries.insert("Novelty", 1_u64);
        entries.insert("Properties", Dictionary::new().with("Novelty", Object::Int64(-1)));
    })
    .unwrap();
    assert_eq!(read.properties.get("Novelty"), Some(&Object::Int64(-1)));
    assert_eq!(read.to_object().get("Novelty"), None);

    let properties = Dictionary::new().with("Novelty", vec![Object::Null]);
    let read = changed_service(|service| drop(service.insert("Properties", properties.clone()))).unwrap();
    assert_eq!(read.services.get("s").unwrap().properties, Some(properties));
}

#[test]
fn of_a_repeated_key_the_first_counts() {
    let read = changed(|entries| {
        entries.push("MessagingProtocolVersion", 3_u64);
        entries.push("UUID", "not even a uuid");
    })
    .unwrap();
    assert_eq!((read.protocol_version, read.uuid), (7, Uuid::from_u128(1)));

    let services = [("s", Service::new("first", 1)), ("s", Service::new("second", 2))];
    let mut handshake = Handshake::host(Uuid::nil());
    handshake.services = Services::from_iter(services);
    let back = Handshake::decode(&handshake.encode().unwrap(), &Limits::default()).unwrap();
    assert_eq!(back.services.len(), 2);
    assert_eq!(back.services.get("s").map(|service| service.port), Some(1));
}

#[test]
fn what_a_peer_says_is_cut_in_errors() {
    let long = "x".repeat(1000);
    let error = changed_service(|service| drop(service.insert("Port", long.as_str()))).unwrap_err();
    assert_eq!(error, RsdError::BadPort { path: "Services.s.Port".into(), found: "x".repeat(64) });
}
