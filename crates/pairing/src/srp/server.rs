//! The device's half of SRP-6a.

use rand_core::CryptoRng;
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};
use zeroize::{Zeroize, Zeroizing};

use super::group::{self, ELEMENT_LEN};
use super::{
    MAX_DRAWS, OperandForm, PROOF_LEN, SALT_LEN, SessionKey, SrpError, client_proof, multiplier, private_key,
    scrambler, server_proof, session_key,
};

/// A device that waits for M3.
pub struct Server {
    salt: [u8; SALT_LEN],
    private: group::Exponent,
    verifier: group::Element,
    public_key: [u8; ELEMENT_LEN],
}

/// What the device has after a correct M3.
pub struct ServerSession {
    /// M2, the proof for M4.
    pub proof: [u8; PROOF_LEN],
    /// K.
    pub key: SessionKey,
    /// The form of the host's operands, or `None` when both give the same.
    pub form: Option<OperandForm>,
}

impl Server {
    /// Draws salt and private value for a PIN.
    ///
    /// The salt's first bit is set and B has no leading zero byte: clients that carry them as numbers drop leading
    /// zeros (protocol.md §5.5), and this way every client computes the same.
    ///
    /// # Errors
    /// [`SrpError::Randomness`].
    pub fn new(pin: &str, rng: &mut dyn CryptoRng) -> Result<Self, SrpError> {
        let mut salt = [0; SALT_LEN];
        rng.fill_bytes(&mut salt);
        if let Some(first) = salt.first_mut() {
            *first |= 0x80;
        }
        for _ in 0..MAX_DRAWS {
            let mut secret = Zeroizing::new([0u8; 64]);
            rng.fill_bytes(secret.as_mut_slice());
            let server = Self::with_parts(salt, &secret, pin);
            if server.public_key.first() != Some(&0) {
                return Ok(server);
            }
        }
        Err(SrpError::Randomness)
    }

    pub(super) fn with_parts(salt: [u8; SALT_LEN], secret: &[u8; 64], pin: &str) -> Self {
        let mut x = private_key(&salt, pin);
        let verifier = group::pow(&group::generator(), &x);
        x.zeroize();
        let private = group::exponent(secret);
        let public = multiplier().mul(&verifier).add(&group::pow(&group::generator(), &private));
        Self { salt, private, verifier, public_key: group::to_bytes(&public) }
    }

    /// The salt of M2.
    pub fn salt(&self) -> &[u8; SALT_LEN] {
        &self.salt
    }

    /// B of M2, 384 bytes.
    pub fn public_key(&self) -> &[u8; ELEMENT_LEN] {
        &self.public_key
    }

    /// Checks the host's A (1 to 384 bytes) and proof; every form of the operands is accepted.
    ///
    /// # Errors
    /// [`SrpError::PublicKeyLength`], [`SrpError::ZeroPublicKey`], and [`SrpError::WrongProof`] for a wrong PIN.
    pub fn check(&self, a: &[u8], proof: &[u8; PROOF_LEN]) -> Result<ServerSession, SrpError> {
        let a = group::public_element(a)?;
        match self.check_with(&a, OperandForm::Padded, proof) {
            // The idevice crate carries A as a number, so that u is of A without its leading zeros, as M2 is then; its M1 has
            // them. Source: idevice-srp, src/client.rs. A is public: that this takes longer tells nothing.
            Err(SrpError::WrongProof) if group::to_bytes(&a).first() == Some(&0) => {
                self.check_with(&a, OperandForm::Stripped, proof)
            }
            checked => checked,
        }
    }

    /// `of_u` is the form in which u has A.
    fn check_with(
        &self,
        a: &group::Element,
        of_u: OperandForm,
        proof: &[u8; PROOF_LEN],
    ) -> Result<ServerSession, SrpError> {
        use OperandForm::{Padded, Stripped};
        let a_bytes = group::to_bytes(a);
        let u = scrambler(of_u.apply(&a_bytes), &self.public_key);
        let base = a.mul(&group::pow(&self.verifier, &u));
        let secret = Zeroizing::new(group::to_bytes(&group::pow(&base, &self.private)));
        let ambiguous = a_bytes.first() == Some(&0) || secret.first() == Some(&0);

        // All four are computed whatever matches, so that time does not tell which one did.
        let mut found = Choice::from(0);
        let mut which = 0u8;
        let candidates = [(Stripped, Stripped), (Padded, Padded), (Padded, Stripped), (Stripped, Padded)];
        for (index, (operands, of_secret)) in (0u8..).zip(candidates) {
            let key = session_key(&secret, of_secret);
            let expected = client_proof(&self.salt, &a_bytes, &self.public_key, &key, operands);
            let hit = expected.ct_eq(proof) & !found;
            which.conditional_assign(&index, hit);
            found |= hit;
        }
        let (form, of_secret) = candidates
            .get(usize::from(which))
            .copied()
            .filter(|_| bool::from(found))
            .ok_or(SrpError::WrongProof)?;
        let key = session_key(&secret, of_secret);
        let of_m2 = if of_u == Stripped { Stripped } else { form };
        let proof = server_proof(&a_bytes, proof, &key, of_m2);
        Ok(ServerSession { proof, key, form: ambiguous.then_some(form) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.private.zeroize();
        self.verifier.as_montgomery_mut().zeroize();
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("srp::Server(redacted)")
    }
}

impl std::fmt::Debug for ServerSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("srp::ServerSession").field("form", &self.form).finish_non_exhaustive()
    }
}
