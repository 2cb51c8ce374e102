//! Both halves against each other, and sides that cheat.

use super::*;
use crate::identity::{Identity, PeerKey};
use crate::tlv8::{PeerErrorCode, Tlv8, tag};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn identity(name: &str, seed: u64) -> Identity {
    Identity::generate(name, &mut rng(seed)).unwrap()
}

fn known(host: &Identity) -> impl FnOnce(&str) -> Option<PeerKey> {
    let (name, key) = (host.identifier().to_owned(), host.public_key());
    move |identifier| (identifier == name).then_some(key)
}

struct Met {
    host: VerifyHost,
    device: VerifyDevice,
    proof: DeviceProof,
    v2: Tlv8,
}

fn meet(device: &Identity) -> Met {
    let (mut host, v1) = VerifyHost::start(&mut rng(1));
    let (machine, v2) = VerifyDevice::start(&v1.encode(), device, &mut rng(2)).unwrap();
    let proof = host.on_v2(&v2.encode()).unwrap();
    Met { host, device: machine, proof, v2 }
}

#[test]
fn both_halves_agree_on_a_secret_and_the_host_can_check_the_device() {
    let (host, device) = (identity("HOST", 10), identity("DEVICE", 20));
    let mut met = meet(&device);
    assert_eq!(met.proof.identifier, "DEVICE");
    met.proof.check(&device.public_key()).unwrap();
    let v3 = met.host.v3(&host).unwrap();
    let outcome = met.device.on_v3(&v3.encode(), known(&host)).unwrap();
    let V3Outcome::Verified { reply, host_identifier, secret } = outcome else { panic!("{outcome:?}") };
    assert_eq!(host_identifier, "HOST");
    assert_eq!(met.host.on_v4(&reply.encode()).unwrap(), secret);
}

#[test]
fn a_device_with_another_key_does_not_pass_the_check() {
    let met = meet(&identity("DEVICE", 21));
    let pinned = identity("DEVICE", 20).public_key();
    assert!(matches!(met.proof.check(&pinned), Err(IdentityError::BadSignature { .. })));
}

#[test]
fn an_unknown_host_gets_error_4_and_a_wrong_signature_error_2() {
    let (host, device) = (identity("HOST", 10), identity("DEVICE", 20));
    for (expected, known_key) in
        [(PeerErrorCode::UnknownPeer, None), (PeerErrorCode::Authentication, Some(device.public_key()))]
    {
        let mut met = meet(&device);
        let v3 = met.host.v3(&host).unwrap();
        let outcome = met.device.on_v3(&v3.encode(), |_| known_key).unwrap();
        let V3Outcome::Refused { reply, code } = outcome else { panic!("{outcome:?}") };
        assert_eq!(code, expected);
        let error = met.host.on_v4(&reply.encode()).unwrap_err();
        assert!(matches!(error, VerifyError::Refused { step: "V4", error } if error.code == expected));
    }
}

#[test]
fn zero_and_small_order_x25519_keys_are_refused_on_both_sides() {
    let mut one = [0; 32];
    one[0] = 1;
    for weak in [[0; 32], one] {
        let v1 = Tlv8::new().with_state(1).with(tag::PUBLIC_KEY, weak);
        let error = VerifyDevice::start(&v1.encode(), &identity("DEVICE", 20), &mut rng(2)).unwrap_err();
        assert_eq!(error, VerifyError::WeakKey { step: "V1" });
        let (mut host, _) = VerifyHost::start(&mut rng(1));
        let v2 = Tlv8::new().with_state(2).with(tag::PUBLIC_KEY, weak).with(tag::ENCRYPTED_DATA, [0; 32]);
        assert_eq!(host.on_v2(&v2.encode()).unwrap_err(), VerifyError::WeakKey { step: "V2" });
    }
}

#[test]
fn a_v2_of_another_session_does_not_open() {
    let recorded = meet(&identity("DEVICE", 20)).v2;
    let (mut host, _) = VerifyHost::start(&mut rng(99));
    let error = host.on_v2(&recorded.encode()).unwrap_err();
    assert_eq!(error, VerifyError::Key { step: "V2", source: KeyError::Open });
}

#[test]
fn a_v2_in_place_of_v4_is_a_typed_error() {
    let mut met = meet(&identity("DEVICE", 20));
    met.host.v3(&identity("HOST", 10)).unwrap();
    let error = met.host.on_v4(&met.v2.encode()).unwrap_err();
    let expected = TlvError::WrongState { step: "V4", expected: 4, got: Some(2) };
    assert_eq!(error, VerifyError::Tlv(expected));
    let again = met.host.on_v4(&Tlv8::new().with_state(4).encode());
    assert!(matches!(again, Err(VerifyError::Unexpected { .. })));
}

#[test]
fn a_v3_of_another_session_is_refused() {
    let (host, device) = (identity("HOST", 10), identity("DEVICE", 20));
    let v3 = meet(&device).host.v3(&host).unwrap();
    let (_, v1) = VerifyHost::start(&mut rng(5));
    let (machine, _) = VerifyDevice::start(&v1.encode(), &device, &mut rng(6)).unwrap();
    let outcome = machine.on_v3(&v3.encode(), known(&host)).unwrap();
    assert!(matches!(outcome, V3Outcome::Refused { code: PeerErrorCode::Authentication, .. }));
}
