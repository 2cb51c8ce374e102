//! The host's half of pair-verify: V1 and V3 out, V2 and V4 in.

use rand_core::CryptoRng;
use x25519_dalek::{EphemeralSecret, PublicKey};

use super::{SharedSecret, VerifyError, agree};
use crate::identity::{Identity, IdentityError, PeerKey, check_identifier};
use crate::keys::{self, SecretKey};
use crate::tlv8::{Tlv8, tag};

/// A pair-verify under way.
pub struct VerifyHost {
    public: [u8; 32],
    state: State,
}

enum State {
    AwaitV2(EphemeralSecret),
    Proven { device_public: [u8; 32], secret: SharedSecret, key: SecretKey },
    AwaitV4(SharedSecret),
    Done,
}

/// What V2 says: who the device claims to be, and its signature.
#[derive(Clone)]
pub struct DeviceProof {
    /// The device's long-term identifier.
    pub identifier: String,
    signature: [u8; 64],
    signed: Vec<u8>,
}

impl DeviceProof {
    /// Checks the signature with the pinned key: device's X25519 key | identifier | host's X25519 key.
    ///
    /// Source: HomeKit Accessory Protocol specification R2, §5.7 (see the module about why not a capture).
    ///
    /// # Errors
    /// [`IdentityError::BadSignature`].
    pub fn check(&self, pinned: &PeerKey) -> Result<(), IdentityError> {
        pinned.verify(&self.signed, &self.signature)
    }
}

impl std::fmt::Debug for DeviceProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceProof").field("identifier", &self.identifier).finish_non_exhaustive()
    }
}

impl VerifyHost {
    /// Begins with V1.
    pub fn start(rng: &mut dyn CryptoRng) -> (Self, Tlv8) {
        let secret = EphemeralSecret::random_from_rng(rng);
        let public = PublicKey::from(&secret).to_bytes();
        let v1 = Tlv8::new().with_state(1).with(tag::PUBLIC_KEY, public);
        (Self { public, state: State::AwaitV2(secret) }, v1)
    }

    /// Takes V2.
    ///
    /// # Errors
    /// [`VerifyError::Refused`] when the device wants pair-setup instead; others end pair-verify.
    pub fn on_v2(&mut self, bytes: &[u8]) -> Result<DeviceProof, VerifyError> {
        let tlv = Tlv8::decode(bytes)?;
        let State::AwaitV2(secret) = std::mem::replace(&mut self.state, State::Done) else {
            return Err(VerifyError::Unexpected { while_in: "V2 was not expected" });
        };
        refused(&tlv, "V2")?;
        tlv.expect_state("V2", 2)?;
        let device_public: [u8; 32] = tlv.require_array("V2", tag::PUBLIC_KEY, "public key")?;
        let (secret, key) = agree("V2", secret, device_public)?;
        let sealed = tlv.require("V2", tag::ENCRYPTED_DATA, "encrypted data")?;
        let plain = keys::open(&key, &keys::NONCE_V2, sealed)
            .map_err(|source| VerifyError::Key { step: "V2", source })?;
        let inner = Tlv8::decode(&plain)?;
        let identifier = inner.require_text("V2", tag::IDENTIFIER, "identifier")?.to_owned();
        check_identifier(&identifier).map_err(|source| VerifyError::Identity { step: "V2", source })?;
        let signature = inner.require_array("V2", tag::SIGNATURE, "signature")?;
        let signed = [device_public.as_slice(), identifier.as_bytes(), &self.public].concat();
        self.state = State::Proven { device_public, secret, key };
        Ok(DeviceProof { identifier, signature, signed })
    }

    /// V3: our identifier and signature, sealed.
    ///
    /// # Errors
    /// [`VerifyError::Unexpected`] before V2.
    pub fn v3(&mut self, identity: &Identity) -> Result<Tlv8, VerifyError> {
        let State::Proven { device_public, secret, key } = std::mem::replace(&mut self.state, State::Done)
        else {
            return Err(VerifyError::Unexpected { while_in: "V2 was expected" });
        };
        let signature =
            identity.sign(&[self.public.as_slice(), identity.identifier().as_bytes(), &device_public]);
        let plain = Tlv8::new().with(tag::IDENTIFIER, identity.identifier()).with(tag::SIGNATURE, signature);
        let sealed = keys::seal(&key, &keys::NONCE_V3, &plain.encode())
            .map_err(|source| VerifyError::Key { step: "V3", source })?;
        self.state = State::AwaitV4(secret);
        Ok(Tlv8::new().with_state(3).with(tag::ENCRYPTED_DATA, sealed))
    }

    /// Takes V4 and gives the secret.
    ///
    /// # Errors
    /// [`VerifyError::Refused`] when the device doesn't know us.
    pub fn on_v4(&mut self, bytes: &[u8]) -> Result<SharedSecret, VerifyError> {
        let tlv = Tlv8::decode(bytes)?;
        let State::AwaitV4(secret) = std::mem::replace(&mut self.state, State::Done) else {
            return Err(VerifyError::Unexpected { while_in: "V4 was not expected" });
        };
        refused(&tlv, "V4")?;
        tlv.expect_state("V4", 4)?;
        Ok(secret)
    }
}

fn refused(tlv: &Tlv8, step: &'static str) -> Result<(), VerifyError> {
    tlv.peer_error().map_or(Ok(()), |error| Err(VerifyError::Refused { step, error }))
}

impl std::fmt::Debug for VerifyHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match &self.state {
            State::AwaitV2(_) => "V2",
            State::Proven { .. } => "the decision",
            State::AwaitV4(_) => "V4",
            State::Done => "nothing",
        };
        f.debug_struct("VerifyHost").field("expects", &state).finish_non_exhaustive()
    }
}
