//! Every message through both envelopes, and what is no message.

use super::*;
use crate::envelope::{ControlMessage, Envelope, Origin, Sealed, remotexpc, rppairing};
use crate::listener::{PeerConnection, Transport};
use iosmux_xpc::{Dictionary, Limits};
use proptest::prelude::*;

fn options() -> DeviceOptions {
    DeviceOptions {
        allows_pair_setup: Some(true),
        allows_pinless_pairing: Some(true),
        allows_promptless_automation_pairing_upgrade: Some(false),
        allows_upgrade_of_lockdown_pairings: None,
        allows_sharing_sensitive_info: Some(false),
        allows_incoming_tunnel_connections: Some(true),
    }
}

fn all() -> Vec<Body> {
    let device = PeerDeviceInfo {
        identifier: "UDID".into(),
        name: Some("Test".into()),
        model: Some("iPhone15,3".into()),
        udid: Some("UDID".into()),
        ecid: Some(30),
        kvs_data: Some(b"bplist00".to_vec()),
        kvs_includes_sensitive_info: Some(false),
    };
    let handshake = HandshakeResponse { wire_protocol_version: 26, options: options(), device: Some(device) };
    let listener = CreateListener {
        key: Zeroizing::new(vec![7; 32]),
        transport: Transport::Tcp,
        peer_connections: vec![PeerConnection {
            owning_pid: 42,
            owning_process_name: "CoreDeviceService".into(),
        }],
    };
    let answer =
        ListenerAnswer { port: 50123, device_public_key: Some(vec![0x30]), service_name: Some("s".into()) };
    let error = ErrorExtended { domain: "d".into(), code: -3, description: Some("no".into()) };
    let data = PairingData {
        data: vec![6, 1, 1],
        kind: PairingKind::Setup,
        start_new_session: true,
        sending_host: Some("vm".into()),
    };
    vec![
        Body::Request(Request::Handshake(HandshakeRequest {
            wire_protocol_version: WIRE_PROTOCOL_VERSION,
            attempt_pair_verify: true,
        })),
        Body::Request(Request::CreateRemoteUnlockKey),
        Body::Request(Request::CreateListener(listener)),
        Body::Request(Request::Other("peerInfo".into())),
        Body::Response(Response::Handshake(handshake)),
        Body::Response(Response::CreateRemoteUnlockKey(HostKey::new("a2V5"))),
        Body::Response(Response::CreateListener(answer)),
        Body::Response(Response::Error(error)),
        Body::Event(Event::PairingData(data.clone())),
        Body::Event(Event::PairingData(PairingData {
            kind: PairingKind::Verify,
            sending_host: None,
            start_new_session: false,
            ..data
        })),
        Body::Event(Event::AwaitingUserConsent),
        Body::Event(Event::PairingRejectedWithError(Some("no".into()))),
        Body::Event(Event::PairingRejectedWithError(None)),
        Body::Event(Event::PairVerifyFailed),
        Body::Event(Event::Other("deviceInfoUpdated".into())),
    ]
}

fn envelopes() -> Vec<Envelope> {
    let plain = all().into_iter().map(ControlMessage::Plain);
    plain
        .chain([ControlMessage::StreamEncrypted(Sealed(vec![1, 2, 3]))])
        .zip(0..)
        .map(|(message, sequence_number)| Envelope { origin: Origin::Device, sequence_number, message })
        .collect()
}

#[test]
fn every_message_travels_in_both_envelopes() {
    let mut decoder = rppairing::Decoder::new();
    for envelope in envelopes() {
        let bytes = remotexpc::encode(&envelope).encode().unwrap();
        let object = iosmux_xpc::Object::decode(&bytes, &Limits::default()).unwrap();
        assert_eq!(remotexpc::decode(&object).unwrap(), remotexpc::Incoming::Envelope(envelope.clone()));
        decoder.push(&rppairing::encode(&envelope).unwrap());
        assert_eq!(decoder.next_envelope().unwrap(), Some(envelope));
    }
    assert_eq!(decoder.next_envelope().unwrap(), None);
}

#[test]
fn every_message_in_json_is_what_peers_read() {
    let lines: Vec<_> = envelopes()
        .iter()
        .map(|envelope| String::from_utf8(rppairing::encode(envelope).unwrap()[11..].to_vec()).unwrap())
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn the_handshake_over_remotexpc_has_the_types_that_devices_want() {
    let envelope = Envelope {
        origin: Origin::Host,
        sequence_number: 0,
        message: ControlMessage::Plain(all().remove(0)),
    };
    let handshake = Dictionary::new()
        .with("hostOptions", Dictionary::new().with("attemptPairVerify", true))
        .with("wireProtocolVersion", 19i64);
    let request = Dictionary::new().with("handshake", Dictionary::new().with("_0", handshake));
    let plain = Dictionary::new().with("request", Dictionary::new().with("_0", request));
    let message = Dictionary::new().with("plain", Dictionary::new().with("_0", plain));
    let value =
        Dictionary::new().with("message", message).with("originatedBy", "host").with("sequenceNumber", 0u64);
    let expected: Object = Dictionary::new()
        .with("mangledTypeName", "RemotePairing.ControlChannelMessageEnvelope")
        .with("value", value)
        .into();
    assert_eq!(remotexpc::encode(&envelope), expected);
}

#[test]
fn the_first_message_of_the_service_is_its_version() {
    let object = remotexpc::service_version(2);
    assert_eq!(remotexpc::decode(&object).unwrap(), remotexpc::Incoming::ServiceVersion(2));
}

#[test]
fn a_response_with_a_request_identifier_beside_it_is_read() {
    // As pymobiledevice3's and idevice's PairableHost answer.
    let json = br#"{"response":{"forRequestIdentifier":0,"_1":{"handshake":{"_0":{"wireProtocolVersion":26,
        "minimumSupportedWireProtocolVersion":8,"deviceOptions":{"allowsPairSetup":true}}}}}}"#;
    let Body::Response(Response::Handshake(read)) = Body::from_json(json).unwrap() else {
        panic!("no response")
    };
    assert_eq!((read.wire_protocol_version, read.options.allows_pair_setup), (26, Some(true)));
    assert_eq!(read.options.allows_pinless_pairing, None);
}

#[test]
fn what_is_no_message_is_a_typed_error() {
    let cases: [(&[u8], MessageError); 6] = [
        (b"{}", MessageError::NoKind),
        (b"{", MessageError::Json { line: 1, column: 1 }),
        (br#"{"event":{}}"#, MessageError::Missing { path: "event._0" }),
        (
            br#"{"event":{"_0":{}}}"#,
            MessageError::WrongType { path: "event._0", expected: "a dictionary with a key" },
        ),
        (
            br#"{"event":{"_0":{"pairingData":{"_0":{"kind":"setupManualPairing","data":"?"}}}}}"#,
            MessageError::WrongType { path: "pairingData.data", expected: "bytes or base64" },
        ),
        (
            br#"{"response":{"_1":{"createListener":{"port":0}}}}"#,
            MessageError::WrongType { path: "createListener.port", expected: "a port, 1 to 65535" },
        ),
    ];
    for (json, expected) in cases {
        assert_eq!(Body::from_json(json).unwrap_err(), expected);
    }
}

#[test]
fn nested_json_bombs_are_typed_errors() {
    let bomb = "[".repeat(60_000);
    assert!(matches!(Body::from_json(bomb.as_bytes()), Err(MessageError::Json { .. })));
}

#[test]
fn packets_are_cut_wherever_the_stream_is() {
    let bytes: Vec<u8> =
        envelopes().iter().flat_map(|envelope| rppairing::encode(envelope).unwrap()).collect();
    let mut decoder = rppairing::Decoder::new();
    let mut read = Vec::new();
    for chunk in bytes.chunks(7) {
        decoder.push(chunk);
        while let Some(envelope) = decoder.next_envelope().unwrap() {
            read.push(envelope);
        }
    }
    assert_eq!(read, envelopes());
    decoder.push(b"RPX");
    assert_eq!(decoder.next_envelope(), Err(rppairing::FrameError::Magic));
}

#[test]
fn a_message_beyond_a_packet_is_a_typed_error() {
    let data = PairingData {
        data: vec![0; 60_000],
        kind: PairingKind::Setup,
        start_new_session: true,
        sending_host: None,
    };
    let message = ControlMessage::Plain(Body::Event(Event::PairingData(data)));
    let envelope = Envelope { origin: Origin::Host, sequence_number: 0, message };
    assert!(matches!(rppairing::encode(&envelope), Err(rppairing::FrameError::TooLong { .. })));
}

#[test]
fn debug_texts_hold_no_key() {
    let text = format!("{:?}", envelopes());
    assert!(!text.contains("a2V5") && !text.contains("7, 7"), "{text}");
}

proptest! {
    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Body::from_json(&bytes);
        let mut decoder = rppairing::Decoder::new();
        decoder.push(&bytes);
        let _ = decoder.next_envelope();
    }
}

#[test]
fn a_remote_unlock_key_that_fills_the_record_is_refused() {
    let answer =
        |len| Body::Response(Response::CreateRemoteUnlockKey(HostKey::new("k".repeat(len)))).to_object();
    assert!(Body::from_object(&answer(1024)).is_ok());
    let path = "response._1.createRemoteUnlockKey.hostKey";
    let expected = "a text of at most 1024 bytes";
    assert_eq!(Body::from_object(&answer(1025)).unwrap_err(), MessageError::WrongType { path, expected });
}
