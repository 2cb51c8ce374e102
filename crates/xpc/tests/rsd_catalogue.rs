//! The captured Handshakes as catalogues.
#![allow(missing_docs)]

mod object_support;

use iosmux_xpc::rsd::{Catalogue, CatalogueError, RsdError};
use iosmux_xpc::{Kind, Limits, Object, json};
use object_support::{HANDSHAKE, body, json_fixture};
use serde_json::json;
use uuid::Uuid;

fn load(name: &str) -> Catalogue {
    let catalogue = Catalogue::from_json(&json_fixture(name)).unwrap();
    assert_eq!(Catalogue::from_json(&catalogue.to_json()).unwrap(), catalogue, "typed JSON reads back");
    let handshake = catalogue.handshake(Uuid::from_u128(1));
    let encoded = handshake.encode().unwrap();
    assert_eq!(iosmux_xpc::rsd::Handshake::decode(&encoded, &Limits::default()).unwrap(), handshake);
    catalogue
}

#[test]
fn real_trusted_iphone() {
    let catalogue = load("iphone11,6_ios17.0.3_trusted.json");
    assert_eq!(catalogue.protocol_version, 3);
    assert_eq!(catalogue.uuid, Some(Uuid::from_u128(0xd09e3fd1_62aa_47bc_b01a_23df97017d34)));
    assert_eq!((catalogue.properties.len(), catalogue.services.len()), (44, 67));
    assert_eq!(catalogue.product_type(), Some("iPhone11,6"));
    assert_eq!(catalogue.os_version(), Some("17.0.3"));
    assert_eq!(catalogue.build(), Some("21A360"));
    assert_eq!(catalogue.udid(), Some("00008020-0000000000001234"));
    assert_eq!(
        catalogue.properties.get("RemoteXPCVersionFlags").unwrap().as_u64(),
        Some(72_057_594_037_927_942)
    );

    let remote = catalogue.services.iter().filter(|(_, service)| service.uses_remote_xpc()).count();
    let silent = catalogue.services.iter().filter(|(_, service)| service.properties.is_none()).count();
    assert_eq!((remote, silent), (23, 40));
    let instruments = catalogue.services.get("com.apple.instruments.dtservicehub").unwrap();
    assert!(instruments.features().count() > 0 && !instruments.uses_remote_xpc());
    let table: Vec<String> = catalogue
        .services
        .iter()
        .map(|(name, service)| {
            let features = service.features().count();
            format!("{name} {} xpc={} {features}", service.port, service.uses_remote_xpc())
        })
        .collect();
    insta::assert_snapshot!(table.join("\n"));
}

#[test]
fn real_untrusted_iphone_whose_serial_is_a_number() {
    let catalogue = load("iphone15,3_ios17.0_untrusted.json");
    assert_eq!(catalogue.services.len(), 7);
    assert_eq!(catalogue.product_type(), Some("iPhone15,3"));
    assert_eq!(catalogue.udid(), Some("222222222"));
    assert_eq!(catalogue.properties.get("SerialNumber"), Some(&Object::Uint64(1_111_111)));
}

#[test]
fn real_mac_without_a_uuid() {
    let catalogue = load("mac_host_macos14.0.json");
    assert_eq!((catalogue.uuid, catalogue.protocol_version), (None, 3));
    assert_eq!(catalogue.services.get("ssh").map(|ssh| ssh.port), Some(22));
    assert_eq!(catalogue.to_json().get("UUID"), None);
}

#[test]
fn a_decoded_handshake_as_typed_json() {
    let object = Object::decode(body(HANDSHAKE), &Limits::default()).unwrap();
    let catalogue = Catalogue::from_json(&json::to_value(&object)).unwrap();
    assert_eq!(catalogue.uuid, Some(Uuid::from_u128(0xaaaaaaaa_bbbb_4ccc_8ddd_eeeeeeeeeeee)));
    assert_eq!((catalogue.properties.len(), catalogue.services.len()), (46, 62));
}

#[test]
fn a_list_of_names_is_no_catalogue() {
    let error = Catalogue::from_json(&json_fixture("iphone13,3_ios15.6.1_services.json")).unwrap_err();
    let missing = RsdError::MissingKey { path: "Properties".into(), expected: Kind::Dictionary };
    assert_eq!(error, CatalogueError::Rsd(missing));
}

#[test]
fn a_catalogue_without_a_version_or_with_other_json() {
    let error = Catalogue::from_json(&json!({"Properties": {}, "Services": {}})).unwrap_err();
    let path = "MessagingProtocolVersion".into();
    assert_eq!(error, CatalogueError::Rsd(RsdError::MissingKey { path, expected: Kind::Uint64 }));
    let error = Catalogue::from_json(&json!({"MessagingProtocolVersion": -1})).unwrap_err();
    assert!(matches!(error, CatalogueError::Json(_)));
    let uuid = json!({"MessagingProtocolVersion": 3, "UUID": 1, "Properties": {}, "Services": {}});
    let error = Catalogue::from_json(&uuid).unwrap_err();
    let path = "UUID".into();
    let wrong = RsdError::WrongType { path, expected: Kind::Uuid, found: Kind::Uint64 };
    assert_eq!(error, CatalogueError::Rsd(wrong));
}
