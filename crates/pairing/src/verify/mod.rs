//! Pair-verify, V1 to V4: two sides that know each other agree on a fresh secret.
//!
//! What the device signs in V2 is not shown by any public capture: this crate takes the order of the HomeKit accessory
//! protocol, of which RemotePairing is a variant in every other step, and checks it against the pinned key.
//!
//! Source: protocol.md §5.4; HomeKit Accessory Protocol specification R2, §5.7 for V2's signature.

mod device;
mod host;

pub use device::{V3Outcome, VerifyDevice};
pub use host::{DeviceProof, VerifyHost};

use zeroize::Zeroizing;

use crate::identity::IdentityError;
use crate::keys::KeyError;
use crate::tlv8::{PeerError, TlvError};

/// The X25519 secret of both sides: 32 bytes, from which the main channel's keys come, wiped when dropped.
pub type SharedSecret = Zeroizing<[u8; 32]>;

/// Why pair-verify stops.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// A step is no proper TLV8, or lacks something.
    #[error("pair-verify: {0}")]
    Tlv(#[from] TlvError),
    /// A sealed step doesn't open.
    #[error("pair-verify, {step}: {source}")]
    Key {
        /// The step.
        step: &'static str,
        /// What failed.
        source: KeyError,
    },
    /// The peer's X25519 key is one with which the secret would be known to everybody.
    #[error("pair-verify, {step}: the peer's X25519 key is zero or of small order")]
    WeakKey {
        /// The step.
        step: &'static str,
    },
    /// The peer's identifier is none.
    #[error("pair-verify, {step}: {source}")]
    Identity {
        /// The step.
        step: &'static str,
        /// What is wrong.
        source: IdentityError,
    },
    /// The device doesn't know us, or our signature is not the one of the host that it knows.
    #[error("pair-verify: the device answered {step} with error {error}", error = error.code)]
    Refused {
        /// The step that was expected.
        step: &'static str,
        /// What it said.
        error: PeerError,
    },
    /// A step came when none was expected.
    #[error("pair-verify: a step came while {while_in}")]
    Unexpected {
        /// What was being waited for.
        while_in: &'static str,
    },
}

/// Agrees on the secret and derives the key of V2 and V3.
fn agree(
    step: &'static str,
    secret: x25519_dalek::EphemeralSecret,
    peer: [u8; 32],
) -> Result<(SharedSecret, crate::keys::SecretKey), VerifyError> {
    let shared = secret.diffie_hellman(&x25519_dalek::PublicKey::from(peer));
    if !shared.was_contributory() {
        return Err(VerifyError::WeakKey { step });
    }
    let shared = Zeroizing::new(shared.to_bytes());
    let key = crate::keys::derive(shared.as_slice(), crate::keys::VERIFY_ENCRYPT)
        .map_err(|source| VerifyError::Key { step, source })?;
    Ok((shared, key))
}

#[cfg(test)]
mod tests;
