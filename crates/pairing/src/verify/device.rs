//! The device's half of pair-verify: V2 and V4 out, V1 and V3 in.

use rand_core::CryptoRng;
use x25519_dalek::{EphemeralSecret, PublicKey};

use super::{SharedSecret, VerifyError, agree};
use crate::identity::{Identity, PeerKey};
use crate::keys::{self, SecretKey};
use crate::tlv8::{PeerError, PeerErrorCode, Tlv8, error_reply, tag};

/// A pair-verify under way, after V2.
pub struct VerifyDevice {
    public: [u8; 32],
    host_public: [u8; 32],
    secret: SharedSecret,
    key: SecretKey,
}

/// What V3 led to.
pub enum V3Outcome {
    /// Send this; the host is who it says.
    Verified {
        /// V4.
        reply: Tlv8,
        /// Who the host is.
        host_identifier: String,
        /// The secret of the main channel.
        secret: SharedSecret,
    },
    /// Send this; the host may go on with pair-setup.
    Refused {
        /// V4 with an error.
        reply: Tlv8,
        /// The error.
        code: PeerErrorCode,
    },
}

impl VerifyDevice {
    /// Answers V1 with V2.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn start(
        v1: &[u8],
        identity: &Identity,
        rng: &mut dyn CryptoRng,
    ) -> Result<(Self, Tlv8), VerifyError> {
        let tlv = Tlv8::decode(v1)?;
        tlv.expect_state("V1", 1)?;
        let host_public: [u8; 32] = tlv.require_array("V1", tag::PUBLIC_KEY, "public key")?;
        let ephemeral = EphemeralSecret::random_from_rng(rng);
        let public = PublicKey::from(&ephemeral).to_bytes();
        let (secret, key) = agree("V1", ephemeral, host_public)?;
        // Source: HomeKit Accessory Protocol specification R2, §5.7; no host client is known to check it.
        let signature = identity.sign(&[public.as_slice(), identity.identifier().as_bytes(), &host_public]);
        let plain = Tlv8::new().with(tag::IDENTIFIER, identity.identifier()).with(tag::SIGNATURE, signature);
        let sealed = keys::seal(&key, &keys::NONCE_V2, &plain.encode())
            .map_err(|source| VerifyError::Key { step: "V2", source })?;
        let v2 = Tlv8::new().with_state(2).with(tag::PUBLIC_KEY, public).with(tag::ENCRYPTED_DATA, sealed);
        Ok((Self { public, host_public, secret, key }, v2))
    }

    /// Takes V3; `known` gives the pinned key of a host.
    ///
    /// # Errors
    /// [`VerifyError::Tlv`] for what is no V3 at all; an unknown host and a wrong signature are
    /// [`V3Outcome::Refused`].
    pub fn on_v3(
        self,
        bytes: &[u8],
        known: impl FnOnce(&str) -> Option<PeerKey>,
    ) -> Result<V3Outcome, VerifyError> {
        let tlv = Tlv8::decode(bytes)?;
        tlv.expect_state("V3", 3)?;
        let sealed = tlv.require("V3", tag::ENCRYPTED_DATA, "encrypted data")?;
        let Ok(plain) = keys::open(&self.key, &keys::NONCE_V3, sealed) else {
            return Ok(refuse(PeerErrorCode::Authentication));
        };
        let inner = Tlv8::decode(&plain)?;
        let identifier = inner.require_text("V3", tag::IDENTIFIER, "identifier")?;
        let signature = inner.require_array("V3", tag::SIGNATURE, "signature")?;
        let Some(pinned) = known(identifier) else { return Ok(refuse(PeerErrorCode::UnknownPeer)) };
        let signed = [self.host_public.as_slice(), identifier.as_bytes(), &self.public].concat();
        if pinned.verify(&signed, &signature).is_err() {
            return Ok(refuse(PeerErrorCode::Authentication));
        }
        Ok(V3Outcome::Verified {
            reply: Tlv8::new().with_state(4),
            host_identifier: identifier.to_owned(),
            secret: self.secret,
        })
    }
}

/// V4 with error 2 or 4. Source: protocol.md §5.4.
fn refuse(code: PeerErrorCode) -> V3Outcome {
    V3Outcome::Refused { reply: error_reply(4, PeerError { code, retry_delay: None }), code }
}

impl std::fmt::Debug for VerifyDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VerifyDevice(redacted)")
    }
}

impl std::fmt::Debug for V3Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Verified { host_identifier, .. } => {
                f.debug_struct("Verified").field("host_identifier", host_identifier).finish_non_exhaustive()
            }
            Self::Refused { code, .. } => {
                f.debug_struct("Refused").field("code", code).finish_non_exhaustive()
            }
        }
    }
}
