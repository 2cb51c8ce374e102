//! Both halves against each other, and a device that cheats.

use super::*;
use crate::info::{DeviceDescription, HostDescription, device_info};
use crate::srp::{ELEMENT_LEN, Server};
use crate::tlv8::PeerErrorCode;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn host_identity() -> Identity {
    Identity::generate("HOST", &mut rng(100)).unwrap()
}

fn device_identity() -> Identity {
    Identity::generate("DEVICE", &mut rng(200)).unwrap()
}

fn description() -> Vec<u8> {
    let device = DeviceDescription {
        model: "iPhone15,3".into(),
        name: "Test".into(),
        udid: "UDID".into(),
        serial_number: "F0".into(),
        bt_addr: "02:00:00:00:00:01".into(),
        ecid: None,
    };
    device_info(&device_identity(), &device, 26).unwrap()
}

fn vm() -> HostDescription {
    HostDescription { name: "vm".into(), udid: None }
}

fn host() -> SetupHost {
    SetupHost::start(host_identity(), vm(), OperandForm::Stripped).0
}

fn m2(salt: &[u8], public: &[u8]) -> Vec<u8> {
    Tlv8::new().with_state(2).with(tag::SALT, salt).with(tag::PUBLIC_KEY, public).encode()
}

#[test]
fn both_halves_learn_each_other() {
    let (mut host, m1) = SetupHost::start(host_identity(), vm(), OperandForm::Stripped);
    SetupDevice::check_m1(&m1.encode()).unwrap();
    let (mut device, m2) =
        SetupDevice::start(device_identity(), description(), "123456", &mut rng(1)).unwrap();
    assert!(matches!(host.on_tlv(&m2.encode()).unwrap(), HostStep::NeedPin));
    let m3 = host.on_pin("123456", &mut rng(2)).unwrap();
    let DeviceStep::Send(m4) = device.on_tlv(&m3.encode()).unwrap() else { panic!("no M4") };
    let HostStep::Send(m5) = host.on_tlv(&m4.encode()).unwrap() else { panic!("no M5") };
    let DeviceStep::Done { reply, outcome } = device.on_tlv(&m5.encode()).unwrap() else { panic!("no M6") };
    let HostStep::Done(ours) = host.on_tlv(&reply.encode()).unwrap() else { panic!("not done") };
    assert_eq!(ours.key.expose(), outcome.key.expose());
    assert_eq!(ours.peer.identifier, "DEVICE");
    assert_eq!(ours.peer.public_key, device_identity().public_key());
    assert_eq!(ours.peer.info.udid.as_deref(), Some("UDID"));
    assert_eq!(outcome.peer.public_key, host_identity().public_key());
    assert_eq!(outcome.peer.info.name.as_deref(), Some("vm"));
}

#[test]
fn m3_and_m5_have_the_item_order_of_working_clients() {
    let mut host = host();
    let server = Server::new("000000", &mut rng(1)).unwrap();
    host.on_tlv(&m2(server.salt(), server.public_key())).unwrap();
    let m3 = host.on_pin("000000", &mut rng(2)).unwrap();
    let shape: Vec<_> = m3.iter().map(|(tag, value)| (tag, value.len())).collect();
    assert_eq!(shape, [(tag::STATE, 1), (tag::PUBLIC_KEY, 384), (tag::PROOF, 64)]);
    let session = server
        .check(m3.get(tag::PUBLIC_KEY).unwrap(), &m3.require_array("M3", tag::PROOF, "proof").unwrap())
        .unwrap();
    let m4 = Tlv8::new().with_state(4).with(tag::PROOF, session.proof);
    let HostStep::Send(m5) = host.on_tlv(&m4.encode()).unwrap() else { panic!("no M5") };
    let tags: Vec<_> = m5.iter().map(|(tag, _)| tag).collect();
    assert_eq!(tags, [tag::ENCRYPTED_DATA, tag::STATE]);
}

#[test]
fn b_of_another_length_is_a_typed_error() {
    for len in [0, 383, 385, 768] {
        let error = host().on_tlv(&m2(&[0x81; 16], &vec![1; len])).unwrap_err();
        let expected = TlvError::WrongLength { step: "M2", item: "public key", expected: 384, got: len };
        assert_eq!(error, SetupError::Tlv(expected));
    }
    let error = host().on_tlv(&m2(&[0x81; 15], &[1; ELEMENT_LEN])).unwrap_err();
    let expected = TlvError::WrongLength { step: "M2", item: "salt", expected: 16, got: 15 };
    assert_eq!(error, SetupError::Tlv(expected));
}

#[test]
fn a_zero_b_and_a_zero_a_are_refused() {
    let error = host().on_tlv(&m2(&[0x81; 16], &[0; ELEMENT_LEN])).unwrap_err();
    assert_eq!(error, SetupError::Srp(SrpError::ZeroPublicKey));
    let (mut device, _) =
        SetupDevice::start(device_identity(), description(), "000000", &mut rng(1)).unwrap();
    let m3 = Tlv8::new().with_state(3).with(tag::PUBLIC_KEY, [0; ELEMENT_LEN]).with(tag::PROOF, [0; 64]);
    let DeviceStep::Refuse { reply, error } = device.on_tlv(&m3.encode()).unwrap() else {
        panic!("accepted")
    };
    assert_eq!(error, SetupError::Srp(SrpError::ZeroPublicKey));
    assert_eq!(reply.peer_error().unwrap().code, PeerErrorCode::Authentication);
}

/// A device that knows the PIN and writes M6 as `forge` wants it.
fn with_forged_m6(forge: impl FnOnce(&SessionKey) -> Tlv8) -> SetupError {
    let mut host = host();
    let server = Server::new("000000", &mut rng(1)).unwrap();
    host.on_tlv(&m2(server.salt(), server.public_key())).unwrap();
    let m3 = host.on_pin("000000", &mut rng(2)).unwrap();
    let proof = m3.require_array("M3", tag::PROOF, "proof").unwrap();
    let session = server.check(m3.get(tag::PUBLIC_KEY).unwrap(), &proof).unwrap();
    host.on_tlv(&Tlv8::new().with_state(4).with(tag::PROOF, session.proof).encode()).unwrap();
    host.on_tlv(&forge(&session.key).encode()).unwrap_err()
}

fn sealed_m6(key: &SessionKey, plain: &Tlv8) -> Tlv8 {
    let seal_key = keys::derive(key.expose(), keys::SETUP_ENCRYPT).unwrap();
    let sealed = keys::seal(&seal_key, &keys::NONCE_M6, &plain.encode()).unwrap();
    Tlv8::new().with(tag::ENCRYPTED_DATA, sealed).with_state(6)
}

#[test]
fn an_m6_signed_with_the_wrong_label_is_refused() {
    // As a host signs in M5: the device's own label is another one.
    let error = with_forged_m6(|key| {
        let m6 = IdentityStep { sign: keys::SETUP_CONTROLLER_SIGN, ..M6 };
        m6.write(&device_identity(), key, &description()).unwrap()
    });
    assert!(matches!(error, SetupError::Identity { step: "M6", source: IdentityError::BadSignature { .. } }));
}

#[test]
fn an_m6_with_a_zero_key_is_refused() {
    let error = with_forged_m6(|key| {
        let plain = Tlv8::new()
            .with(tag::IDENTIFIER, "DEVICE")
            .with(tag::PUBLIC_KEY, [0; 32])
            .with(tag::SIGNATURE, [0; 64]);
        sealed_m6(key, &plain)
    });
    assert!(matches!(error, SetupError::Identity { step: "M6", source: IdentityError::WeakKey { .. } }));
}

#[test]
fn an_m6_with_a_path_for_an_identifier_is_refused() {
    let error = with_forged_m6(|key| {
        let identity = device_identity();
        let public = identity.public_key();
        let prefix = keys::derive(key.expose(), keys::SETUP_ACCESSORY_SIGN).unwrap();
        let signature = identity.sign(&[prefix.as_slice(), b"../../x", public.as_bytes()]);
        let plain = Tlv8::new()
            .with(tag::IDENTIFIER, "../../x")
            .with(tag::PUBLIC_KEY, public.as_bytes())
            .with(tag::SIGNATURE, signature);
        sealed_m6(key, &plain)
    });
    assert_eq!(error, SetupError::Identity { step: "M6", source: IdentityError::Identifier { len: 7 } });
}

#[test]
fn an_m6_that_is_m5_again_does_not_open() {
    let error = with_forged_m6(|key| {
        let m5 = M5.write(&device_identity(), key, &description()).unwrap();
        Tlv8::new().with(tag::ENCRYPTED_DATA, m5.get(tag::ENCRYPTED_DATA).unwrap()).with_state(6)
    });
    assert_eq!(error, SetupError::Key { step: "M6", source: KeyError::Open });
}

#[test]
fn an_info_that_is_a_bomb_costs_only_the_info() {
    let mut host = host();
    let server = Server::new("000000", &mut rng(1)).unwrap();
    host.on_tlv(&m2(server.salt(), server.public_key())).unwrap();
    let m3 = host.on_pin("000000", &mut rng(2)).unwrap();
    let proof = m3.require_array("M3", tag::PROOF, "proof").unwrap();
    let session = server.check(m3.get(tag::PUBLIC_KEY).unwrap(), &proof).unwrap();
    host.on_tlv(&Tlv8::new().with_state(4).with(tag::PROOF, session.proof).encode()).unwrap();
    let m6 = M6.write(&device_identity(), &session.key, &[0xd1; 5000]).unwrap();
    let HostStep::Done(outcome) = host.on_tlv(&m6.encode()).unwrap() else { panic!("not done") };
    assert_eq!(outcome.peer.info, PeerInfo::default());
}

#[test]
fn steps_that_come_twice_or_out_of_order_are_typed_errors() {
    let server = Server::new("000000", &mut rng(1)).unwrap();
    let m2 = m2(server.salt(), server.public_key());
    let mut twice = host();
    twice.on_tlv(&m2).unwrap();
    twice.on_pin("000000", &mut rng(2)).unwrap();
    let error = twice.on_tlv(&m2).unwrap_err();
    let expected = TlvError::WrongState { step: "M4", expected: 4, got: Some(2) };
    assert_eq!(error, SetupError::Tlv(expected));
    assert!(matches!(twice.on_tlv(&m2), Err(SetupError::Unexpected { .. })));
    assert!(matches!(host().on_pin("000000", &mut rng(2)), Err(SetupError::Unexpected { .. })));
}

#[test]
fn pins_of_no_or_too_many_bytes_are_refused() {
    let server = Server::new("000000", &mut rng(1)).unwrap();
    let mut host = host();
    host.on_tlv(&m2(server.salt(), server.public_key())).unwrap();
    assert_eq!(host.on_pin("", &mut rng(2)).unwrap_err(), SetupError::PinLength { got: 0 });
    assert_eq!(host.on_pin(&"1".repeat(65), &mut rng(2)).unwrap_err(), SetupError::PinLength { got: 65 });
    host.on_pin("000000", &mut rng(2)).unwrap();
}

#[test]
fn a_device_without_the_pin_cannot_answer_m3() {
    let server = Server::new("000000", &mut rng(1)).unwrap();
    let mut host = host();
    host.on_tlv(&m2(server.salt(), server.public_key())).unwrap();
    host.on_pin("000000", &mut rng(2)).unwrap();
    let m4 = Tlv8::new().with_state(4).with(tag::PROOF, [7; 64]);
    assert_eq!(host.on_tlv(&m4.encode()).unwrap_err(), SetupError::Srp(SrpError::WrongProof));
}

#[test]
fn another_method_in_m1_is_a_typed_error() {
    let m1 = Tlv8::new().with(tag::METHOD, [1]).with_state(1);
    assert_eq!(SetupDevice::check_m1(&m1.encode()).unwrap_err(), SetupError::Method { got: 1 });
}
