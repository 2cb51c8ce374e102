//! Pair-setup, M1 to M6: two sides that share a PIN learn each other's long-term identity.
//!
//! Source: protocol.md §5.5.

mod device;
mod host;

pub use device::{DeviceStep, SetupDevice};
pub use host::{HostStep, SetupHost};

use crate::identity::{Identity, IdentityError, PeerKey, check_identifier};
use crate::info::PeerInfo;
use crate::keys::{self, KeyError, Label, SecretKey};
use crate::opack::OpackError;
use crate::srp::{OperandForm, SessionKey, SrpError};
use crate::tlv8::{PeerError, Tlv8, TlvError, tag};

/// The PIN of phones, which ask their user instead of showing one. Source: protocol.md §5.5.
pub const PINLESS: &str = "000000";
/// The longest PIN that is taken, in bytes.
pub const MAX_PIN_LEN: usize = 64;

/// Why pair-setup stops.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// A step is no proper TLV8, or lacks something.
    #[error("pair-setup: {0}")]
    Tlv(#[from] TlvError),
    /// SRP stopped.
    #[error("pair-setup: {0}")]
    Srp(#[from] SrpError),
    /// A sealed step doesn't open.
    #[error("pair-setup, {step}: {source}")]
    Key {
        /// The step.
        step: &'static str,
        /// What failed.
        source: KeyError,
    },
    /// The peer's identity is not proper, or its signature is wrong.
    #[error("pair-setup, {step}: {source}")]
    Identity {
        /// The step.
        step: &'static str,
        /// What is wrong.
        source: IdentityError,
    },
    /// Our own description can't be written.
    #[error("pair-setup: {0}")]
    Info(#[from] OpackError),
    /// The peer sent an error instead of a step.
    #[error("pair-setup: the device answered {step} with error {error}", error = error.code)]
    Refused {
        /// The step that was expected.
        step: &'static str,
        /// What it said.
        error: PeerError,
    },
    /// The device says that our proof is wrong.
    #[error("pair-setup: the device says that the PIN is wrong")]
    WrongPin {
        /// The other form of the operands, if it could have been that instead.
        other_form: Option<OperandForm>,
    },
    /// A method other than pair-setup was asked for.
    #[error("pair-setup: M1 asks for method {got}, only 0 is known")]
    Method {
        /// The method byte.
        got: u8,
    },
    /// The PIN is empty or too long.
    #[error("a PIN of {got} bytes is refused: 1 to {MAX_PIN_LEN} are taken")]
    PinLength {
        /// Its length.
        got: usize,
    },
    /// A step came when none was expected.
    #[error("pair-setup: a step came while {while_in}")]
    Unexpected {
        /// What was being waited for.
        while_in: &'static str,
    },
}

/// A peer whose signature was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerIdentity {
    /// Its long-term identifier.
    pub identifier: String,
    /// Its long-term public key: what is pinned.
    pub public_key: PeerKey,
    /// What it says about itself.
    pub info: PeerInfo,
}

/// What pair-setup gives.
#[derive(Debug)]
pub struct SetupOutcome {
    /// The peer.
    pub peer: PeerIdentity,
    /// K, from which the main channel's keys come.
    pub key: SessionKey,
    /// The form of the SRP operands, or `None` when both give the same.
    pub form: Option<OperandForm>,
}

fn check_pin(pin: &str) -> Result<(), SetupError> {
    if (1..=MAX_PIN_LEN).contains(&pin.len()) {
        Ok(())
    } else {
        Err(SetupError::PinLength { got: pin.len() })
    }
}

/// Which of the two identity steps is meant.
#[derive(Clone, Copy)]
struct IdentityStep {
    name: &'static str,
    state: u8,
    nonce: [u8; 12],
    sign: Label,
}

const M5: IdentityStep =
    IdentityStep { name: "M5", state: 5, nonce: keys::NONCE_M5, sign: keys::SETUP_CONTROLLER_SIGN };
const M6: IdentityStep =
    IdentityStep { name: "M6", state: 6, nonce: keys::NONCE_M6, sign: keys::SETUP_ACCESSORY_SIGN };

impl IdentityStep {
    fn key_error(self) -> impl Fn(KeyError) -> SetupError {
        move |source| SetupError::Key { step: self.name, source }
    }

    fn identity_error(self) -> impl Fn(IdentityError) -> SetupError {
        move |source| SetupError::Identity { step: self.name, source }
    }

    /// Identifier, public key, signature over X | identifier | key, and description, sealed.
    fn write(self, identity: &Identity, key: &SessionKey, info: &[u8]) -> Result<Tlv8, SetupError> {
        let seal_key = self.seal_key(key)?;
        let prefix = keys::derive(key.expose(), self.sign).map_err(self.key_error())?;
        let public = identity.public_key();
        let signature =
            identity.sign(&[prefix.as_slice(), identity.identifier().as_bytes(), public.as_bytes()]);
        let plain = Tlv8::new()
            .with(tag::IDENTIFIER, identity.identifier())
            .with(tag::PUBLIC_KEY, public.as_bytes())
            .with(tag::SIGNATURE, signature)
            .with(tag::INFO, info);
        let sealed = keys::seal(&seal_key, &self.nonce, &plain.encode()).map_err(self.key_error())?;
        Ok(Tlv8::new().with(tag::ENCRYPTED_DATA, sealed).with_state(self.state))
    }

    /// Opens and checks what the peer wrote with the same step.
    fn read(self, tlv: &Tlv8, key: &SessionKey) -> Result<PeerIdentity, SetupError> {
        tlv.expect_state(self.name, self.state)?;
        let sealed = tlv.require(self.name, tag::ENCRYPTED_DATA, "encrypted data")?;
        let plain = keys::open(&self.seal_key(key)?, &self.nonce, sealed).map_err(self.key_error())?;
        let inner = Tlv8::decode(&plain)?;
        let identifier = inner.require_text(self.name, tag::IDENTIFIER, "identifier")?;
        check_identifier(identifier).map_err(self.identity_error())?;
        let public = PeerKey::new(inner.require_array(self.name, tag::PUBLIC_KEY, "public key")?)
            .map_err(self.identity_error())?;
        let signature = inner.require_array(self.name, tag::SIGNATURE, "signature")?;
        let prefix = keys::derive(key.expose(), self.sign).map_err(self.key_error())?;
        let signed = [prefix.as_slice(), identifier.as_bytes(), public.as_bytes()].concat();
        public.verify(&signed, &signature).map_err(self.identity_error())?;
        Ok(PeerIdentity { identifier: identifier.to_owned(), public_key: public, info: read_info(&inner) })
    }

    fn seal_key(self, key: &SessionKey) -> Result<SecretKey, SetupError> {
        keys::derive(key.expose(), keys::SETUP_ENCRYPT).map_err(self.key_error())
    }
}

/// The description; one that can't be read costs a name in a list, not the pairing.
fn read_info(inner: &Tlv8) -> PeerInfo {
    let info = inner.get(tag::INFO).map(PeerInfo::decode).transpose();
    info.unwrap_or_else(|error| {
        tracing::warn!(%error, "the peer's description can't be read");
        None
    })
    .unwrap_or_default()
}

#[cfg(test)]
mod tests;
