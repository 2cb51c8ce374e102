//! The host's half of SRP-6a.

use rand_core::CryptoRng;
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

use super::group::{self, ELEMENT_LEN};
use super::{
    MAX_DRAWS, OperandForm, PROOF_LEN, SALT_LEN, SessionKey, SrpError, client_proof, multiplier, private_key,
    scrambler, server_proof, session_key,
};

/// What the device sent in M2, checked: salt and B.
#[derive(Clone)]
pub struct Client {
    salt: [u8; SALT_LEN],
    b: group::Element,
    b_bytes: [u8; ELEMENT_LEN],
}

/// What M2 and a PIN give, whatever the private value.
pub(super) struct WithPin {
    x: group::Exponent,
    /// B - k * g^x, of which S is a power.
    base: group::Element,
}

/// What the host sends in M3 and expects in M4.
pub struct ClientAnswer {
    /// A, as 384 bytes.
    pub public_key: [u8; ELEMENT_LEN],
    /// M1.
    pub proof: [u8; PROOF_LEN],
    /// The form that decided the proof, or `None` when both give the same.
    pub form: Option<OperandForm>,
    expected: [u8; PROOF_LEN],
    pub(super) key: SessionKey,
}

impl Client {
    /// Takes salt and B; their lengths are in the types.
    ///
    /// # Errors
    /// [`SrpError::ZeroPublicKey`].
    pub fn new(salt: [u8; SALT_LEN], b: &[u8; ELEMENT_LEN]) -> Result<Self, SrpError> {
        Ok(Self { salt, b: group::public_element(b)?, b_bytes: *b })
    }

    /// Whether the form of the operands changes the proof: B starts with a zero byte.
    pub fn is_ambiguous(&self) -> bool {
        self.b_bytes.first() == Some(&0)
    }

    /// A, the proof and the key for a PIN.
    ///
    /// Private values are drawn until neither A nor S starts with a zero byte, so that only B can leave the form open.
    ///
    /// # Errors
    /// [`SrpError::WeakPublicKey`], [`SrpError::Randomness`].
    pub fn answer(
        &self,
        pin: &str,
        form: OperandForm,
        rng: &mut dyn CryptoRng,
    ) -> Result<ClientAnswer, SrpError> {
        let known = self.with_pin(pin)?;
        for _ in 0..MAX_DRAWS {
            let mut secret = Zeroizing::new([0u8; 64]);
            rng.fill_bytes(secret.as_mut_slice());
            let (answer, plain) = self.answer_with(&secret, &known, form);
            if plain {
                return Ok(answer);
            }
        }
        Err(SrpError::Randomness)
    }

    /// What all private values share.
    ///
    /// # Errors
    /// [`SrpError::WeakPublicKey`] for a base whose powers are 0, or 1 and -1: S would be the same for every private
    /// value, or start with a zero byte in every draw.
    pub(super) fn with_pin(&self, pin: &str) -> Result<WithPin, SrpError> {
        let x = private_key(&self.salt, pin);
        let verifier = group::pow(&group::generator(), &x);
        let base = self.b.sub(&multiplier().mul(&verifier));
        let known = WithPin { x, base };
        if group::is_trivial(&known.base) { Err(SrpError::WeakPublicKey) } else { Ok(known) }
    }

    /// The answer of one private value, and whether neither A nor S starts with a zero byte.
    pub(super) fn answer_with(
        &self,
        a: &[u8; 64],
        known: &WithPin,
        form: OperandForm,
    ) -> (ClientAnswer, bool) {
        let mut a = group::exponent(a);
        let public_key = group::to_bytes(&group::pow(&group::generator(), &a));
        let u = scrambler(&public_key, &self.b_bytes);
        let secret = Zeroizing::new(group::to_bytes(&group::pow_sum(&known.base, &a, &u, &known.x)));
        a.zeroize();

        let key = session_key(&secret, form);
        let proof = client_proof(&self.salt, &public_key, &self.b_bytes, &key, form);
        let expected = server_proof(&public_key, &proof, &key, form);
        let plain = public_key.first() != Some(&0) && secret.first() != Some(&0);
        let form = (!plain || self.is_ambiguous()).then_some(form);
        (ClientAnswer { public_key, proof, form, expected, key }, plain)
    }
}

impl Drop for WithPin {
    fn drop(&mut self) {
        self.x.zeroize();
        self.base.as_montgomery_mut().zeroize();
    }
}

impl ClientAnswer {
    /// The session key, once the device showed in M4 that it has it too.
    ///
    /// # Errors
    /// [`SrpError::WrongProof`].
    pub fn confirm(self, proof: &[u8; PROOF_LEN]) -> Result<SessionKey, SrpError> {
        if bool::from(self.expected.ct_eq(proof)) { Ok(self.key) } else { Err(SrpError::WrongProof) }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("srp::Client(redacted)")
    }
}

impl std::fmt::Debug for ClientAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("srp::ClientAnswer").field("form", &self.form).finish_non_exhaustive()
    }
}
