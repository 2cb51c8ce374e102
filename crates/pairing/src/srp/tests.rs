//! The vectors of the reference, and both halves against each other.

use super::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

struct Vector {
    case: String,
    a: [u8; 64],
    salt: [u8; SALT_LEN],
    b: [u8; ELEMENT_LEN],
    key: [u8; 64],
    stripped: [u8; 64],
    padded: [u8; 64],
}

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    assert_eq!(hex.len(), N * 2);
    std::array::from_fn(|i| u8::from_str_radix(&hex[i * 2..i * 2 + 2], 16).unwrap())
}

/// The rows whose M1 hashes a one-byte g, which is what working clients do.
fn vectors() -> Vec<Vector> {
    include_str!("../../tests/fixtures/srp6a_vectors.txt")
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|row| row[1] == "False")
        .map(|row| Vector {
            case: row[0].to_owned(),
            a: bytes(row[2]),
            salt: bytes(row[3]),
            b: bytes(row[4]),
            key: bytes(row[6]),
            stripped: bytes(row[7]),
            padded: bytes(row[8]),
        })
        .collect()
}

#[test]
fn the_client_matches_every_reference_vector_in_both_forms() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 4);
    for v in vectors {
        let client = Client::new(v.salt, &v.b).unwrap();
        let known = client.with_pin("000000").unwrap();
        let (stripped, plain) = client.answer_with(&v.a, &known, OperandForm::Stripped);
        assert_eq!(stripped.key.expose(), &v.key, "{}", v.case);
        assert_eq!(stripped.proof, v.stripped, "{}", v.case);
        let (padded, _) = client.answer_with(&v.a, &known, OperandForm::Padded);
        assert_eq!(padded.proof, v.padded, "{}", v.case);
        assert_eq!(plain, !matches!(v.case.as_str(), "A0" | "S0"), "{}", v.case);
        assert_eq!(client.is_ambiguous(), v.case == "B0", "{}", v.case);
        assert_eq!(stripped.form.is_some(), v.case != "None", "{}", v.case);
    }
}

#[test]
fn both_halves_agree_and_a_wrong_pin_does_not() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let server = Server::new("271828", &mut rng).unwrap();
    let client = Client::new(*server.salt(), server.public_key()).unwrap();
    let answer = client.answer("271828", OperandForm::Stripped, &mut rng).unwrap();
    assert_eq!(answer.form, None);
    let session = server.check(&answer.public_key, &answer.proof).unwrap();
    assert_eq!(answer.confirm(&session.proof).unwrap().expose(), session.key.expose());

    let wrong = client.answer("271829", OperandForm::Stripped, &mut rng).unwrap();
    assert_eq!(server.check(&wrong.public_key, &wrong.proof).unwrap_err(), SrpError::WrongProof);
    assert_eq!(wrong.confirm(&session.proof).unwrap_err(), SrpError::WrongProof);
}

/// The answers of the private value that a seed gives, in both forms.
fn answers(server: &Server, seed: u64) -> (ClientPair, bool) {
    let client = Client::new(*server.salt(), server.public_key()).unwrap();
    let mut a = [0; 64];
    rand_core::Rng::fill_bytes(&mut ChaCha20Rng::seed_from_u64(seed), &mut a);
    let known = client.with_pin("000000").unwrap();
    let (stripped, plain) = client.answer_with(&a, &known, OperandForm::Stripped);
    let padded = client.answer_with(&a, &known, OperandForm::Padded).0;
    (ClientPair { stripped, padded }, plain)
}

struct ClientPair {
    stripped: ClientAnswer,
    padded: ClientAnswer,
}

#[test]
fn the_server_accepts_both_forms_when_they_differ() {
    let server = Server::with_parts([0x81; SALT_LEN], &[3; 64], "000000");
    // Found by search: with the first A starts with a zero byte, with the second the shared secret.
    for (seed, zero_a) in [(183, true), (46, false)] {
        let (pair, plain) = answers(&server, seed);
        assert!(!plain);
        assert_eq!(pair.stripped.public_key[0] == 0, zero_a);
        assert_ne!(pair.stripped.proof, pair.padded.proof);
        for (answer, form) in [(pair.stripped, OperandForm::Stripped), (pair.padded, OperandForm::Padded)] {
            let zeros = answer.public_key.iter().take_while(|byte| **byte == 0).count();
            let session = server.check(&answer.public_key[zeros..], &answer.proof).unwrap();
            assert_eq!(session.form, Some(form));
            assert_eq!(answer.confirm(&session.proof).unwrap().expose(), session.key.expose());
        }
    }
}

#[test]
fn zero_public_keys_are_refused_on_both_sides() {
    let zero = [0u8; ELEMENT_LEN];
    assert_eq!(Client::new([1; SALT_LEN], &zero).unwrap_err(), SrpError::ZeroPublicKey);
    assert_eq!(Client::new([1; SALT_LEN], &group::modulus_bytes()).unwrap_err(), SrpError::ZeroPublicKey);
    let server = Server::new("000000", &mut ChaCha20Rng::seed_from_u64(2)).unwrap();
    assert_eq!(server.check(&zero, &[0; 64]).unwrap_err(), SrpError::ZeroPublicKey);
    assert_eq!(server.check(&group::modulus_bytes(), &[0; 64]).unwrap_err(), SrpError::ZeroPublicKey);
    assert_eq!(server.check(&[1; 385], &[0; 64]).unwrap_err(), SrpError::PublicKeyLength { got: 385 });
    assert_eq!(server.check(&[], &[0; 64]).unwrap_err(), SrpError::PublicKeyLength { got: 0 });
}

/// Counts how often somebody asked for random bytes.
struct Counted(ChaCha20Rng, usize);

impl rand_core::TryRng for Counted {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        self.1 += 1;
        self.0.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        self.1 += 1;
        self.0.try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.1 += 1;
        self.0.try_fill_bytes(bytes)
    }
}

impl rand_core::TryCryptoRng for Counted {}

#[test]
fn a_public_key_that_fixes_the_shared_secret_is_refused_before_any_draw() {
    let salt = [0x81; SALT_LEN];
    let of_pin = multiplier().mul(&group::pow(&group::generator(), &private_key(&salt, "000000")));
    let one = group::Element::ONE;
    for b in [of_pin, of_pin.add(&one), of_pin.sub(&one)] {
        let client = Client::new(salt, &group::to_bytes(&b)).unwrap();
        let mut rng = Counted(ChaCha20Rng::seed_from_u64(4), 0);
        let error = client.answer("000000", OperandForm::Stripped, &mut rng).unwrap_err();
        assert_eq!((error, rng.1), (SrpError::WeakPublicKey, 0));
        // With another PIN it is a public key like any other.
        assert!(client.answer("000001", OperandForm::Stripped, &mut rng).is_ok());
    }
}

#[test]
fn public_values_are_drawn_without_a_leading_zero_byte() {
    for seed in 0..40 {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let server = Server::new("000000", &mut rng).unwrap();
        assert_ne!(server.public_key()[0], 0);
        assert!(server.salt()[0] >= 0x80);
    }
}

#[test]
fn debug_texts_are_redacted() {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let server = Server::new("000000", &mut rng).unwrap();
    let client = Client::new(*server.salt(), server.public_key()).unwrap();
    let answer = client.answer("000000", OperandForm::Stripped, &mut rng).unwrap();
    let text = format!("{server:?} {client:?} {answer:?} {:?}", answer.key);
    assert_eq!(
        text,
        "srp::Server(redacted) srp::Client(redacted) srp::ClientAnswer { form: None, .. } SessionKey(redacted)"
    );
}

/// As idevice-srp does it: u and M2 of A without its leading zeros, M1 with them, K of S without.
#[test]
fn a_client_that_carries_a_as_a_number_is_understood() {
    use OperandForm::{Padded, Stripped};
    let server = Server::new("000000", &mut ChaCha20Rng::seed_from_u64(5)).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    // One in 256 begins with zero.
    let (secret, a) = loop {
        let mut secret = [0; 64];
        rng.fill_bytes(&mut secret);
        let secret = group::exponent(&secret);
        let a = group::to_bytes(&group::pow(&group::generator(), &secret));
        if a.first() == Some(&0) {
            break (secret, a);
        }
    };
    let x = private_key(server.salt(), "000000");
    let verifier = group::pow(&group::generator(), &x);
    let b = group::public_element(server.public_key()).unwrap();
    let base = b.sub(&multiplier().mul(&verifier));
    for of_u in [Padded, Stripped] {
        let u = scrambler(of_u.apply(&a), server.public_key());
        let shared = group::to_bytes(&group::pow_sum(&base, &secret, &u, &x));
        let key = session_key(&shared, Stripped);
        let proof = client_proof(server.salt(), &a, server.public_key(), &key, Padded);
        let session = server.check(Stripped.apply(&a), &proof).unwrap();
        assert_eq!(session.proof, server_proof(&a, &proof, &key, of_u));
        assert_eq!(session.key.expose(), key.expose());
    }
    assert!(matches!(server.check(&a, &[0; PROOF_LEN]), Err(SrpError::WrongProof)));
}
