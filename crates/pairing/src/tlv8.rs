//! TLV8: type, length and value, a byte each for the first two, in which every pairing step travels.
//!
//! Source: protocol.md §5.3.

mod error;
mod peer_error;

pub use error::TlvError;
pub use peer_error::{PeerError, PeerErrorCode, error_reply};

use std::time::Duration;

/// The types that pair-setup and pair-verify use. Source: protocol.md §5.3.
pub mod tag {
    /// The pairing method, 0 for pair-setup.
    pub const METHOD: u8 = 0x00;
    /// The long-term identifier of the sender, UTF-8.
    pub const IDENTIFIER: u8 = 0x01;
    /// The SRP salt, 16 bytes.
    pub const SALT: u8 = 0x02;
    /// A public key: SRP (384 bytes), X25519 or Ed25519 (32 bytes), by step.
    pub const PUBLIC_KEY: u8 = 0x03;
    /// An SRP proof, 64 bytes.
    pub const PROOF: u8 = 0x04;
    /// A sealed TLV8 with its 16-byte tag.
    pub const ENCRYPTED_DATA: u8 = 0x05;
    /// The number of the step, one byte.
    pub const STATE: u8 = 0x06;
    /// An error code, see [`PeerErrorCode`](super::PeerErrorCode).
    pub const ERROR: u8 = 0x07;
    /// Seconds until another attempt is accepted, little endian.
    pub const RETRY_DELAY: u8 = 0x08;
    /// An Ed25519 signature, 64 bytes.
    pub const SIGNATURE: u8 = 0x0a;
    /// An OPACK dictionary about the sender.
    pub const INFO: u8 = 0x11;
}

/// The longest TLV8 that is read, in bytes; a real one is about 600.
pub const MAX_LEN: usize = 64 * 1024;

/// The longest value of one item, in bytes; longer values repeat the type.
const FRAGMENT: usize = 255;

/// Items by type, in the order in which each type first came; fragments are joined.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Tlv8 {
    items: Vec<(u8, Vec<u8>)>,
}

impl Tlv8 {
    /// No items.
    pub fn new() -> Self {
        Self::default()
    }

    /// This with `value` appended to what the type already has.
    #[must_use]
    pub fn with(mut self, tag: u8, value: impl AsRef<[u8]>) -> Self {
        self.append(tag, value.as_ref());
        self
    }

    /// This with the step number.
    #[must_use]
    pub fn with_state(self, state: u8) -> Self {
        self.with(tag::STATE, [state])
    }

    fn append(&mut self, tag: u8, value: &[u8]) {
        match self.items.iter_mut().find(|(have, _)| *have == tag) {
            Some((_, bytes)) => bytes.extend_from_slice(value),
            None => self.items.push((tag, value.to_vec())),
        }
    }

    /// The value of a type.
    pub fn get(&self, tag: u8) -> Option<&[u8]> {
        self.items.iter().find(|(have, _)| *have == tag).map(|(_, value)| value.as_slice())
    }

    /// The items in order.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.items.iter().map(|(tag, value)| (*tag, value.as_slice()))
    }

    /// Reads items; equal types are joined wherever they stand.
    ///
    /// Clients split a long value at 254 or at 255 bytes, so a receiver joins whatever comes (protocol.md §5.3).
    ///
    /// # Errors
    /// [`TlvError::TooLong`], [`TlvError::NoLength`] and [`TlvError::Truncated`].
    pub fn decode(bytes: &[u8]) -> Result<Self, TlvError> {
        if bytes.len() > MAX_LEN {
            return Err(TlvError::TooLong { got: bytes.len() });
        }
        let mut out = Self::new();
        let mut rest = bytes;
        while let Some((&tag, after_tag)) = rest.split_first() {
            let offset = bytes.len().saturating_sub(rest.len());
            let (&len, after_len) = after_tag.split_first().ok_or(TlvError::NoLength { tag, offset })?;
            let wanted = usize::from(len);
            let (value, next) = after_len.split_at_checked(wanted).ok_or(TlvError::Truncated {
                tag,
                offset,
                wanted,
                left: after_len.len(),
            })?;
            out.append(tag, value);
            rest = next;
        }
        Ok(out)
    }

    /// The bytes of this; values longer than 255 bytes repeat their type.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (tag, value) in &self.items {
            if value.is_empty() {
                out.extend_from_slice(&[*tag, 0]);
            }
            for chunk in value.chunks(FRAGMENT) {
                out.push(*tag);
                out.push(u8::try_from(chunk.len()).unwrap_or(u8::MAX));
                out.extend_from_slice(chunk);
            }
        }
        out
    }

    /// The step number, if one byte of it is there.
    pub fn state(&self) -> Option<u8> {
        match self.get(tag::STATE) {
            Some([state]) => Some(*state),
            _ => None,
        }
    }

    /// Checks the step number.
    ///
    /// # Errors
    /// [`TlvError::WrongState`] when another step came.
    pub fn expect_state(&self, step: &'static str, expected: u8) -> Result<(), TlvError> {
        match self.state() {
            Some(got) if got == expected => Ok(()),
            got => Err(TlvError::WrongState { step, expected, got }),
        }
    }

    /// The error item with its delay, if the peer sent one.
    pub fn peer_error(&self) -> Option<PeerError> {
        let code = PeerErrorCode::from_byte(self.get(tag::ERROR)?.first().copied().unwrap_or(1));
        let retry_delay = self.get(tag::RETRY_DELAY).map(|bytes| {
            let seconds = bytes.iter().take(8).rev().fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte));
            Duration::from_secs(seconds)
        });
        Some(PeerError { code, retry_delay })
    }

    /// The value of an item that must be there.
    ///
    /// # Errors
    /// [`TlvError::Missing`].
    pub fn require(&self, step: &'static str, tag: u8, item: &'static str) -> Result<&[u8], TlvError> {
        self.get(tag).ok_or(TlvError::Missing { step, item })
    }

    /// The value of an item that must be there with exactly `N` bytes.
    ///
    /// # Errors
    /// [`TlvError::Missing`] and [`TlvError::WrongLength`].
    pub fn require_array<const N: usize>(
        &self,
        step: &'static str,
        tag: u8,
        item: &'static str,
    ) -> Result<[u8; N], TlvError> {
        let value = self.require(step, tag, item)?;
        value.try_into().map_err(|_| TlvError::WrongLength { step, item, expected: N, got: value.len() })
    }

    /// The value of an item that must be there as text.
    ///
    /// # Errors
    /// [`TlvError::Missing`] and [`TlvError::NotText`].
    pub fn require_text(&self, step: &'static str, tag: u8, item: &'static str) -> Result<&str, TlvError> {
        std::str::from_utf8(self.require(step, tag, item)?).map_err(|_| TlvError::NotText { step, item })
    }
}

/// Types and lengths only: values may be proofs, keys and identities.
impl std::fmt::Debug for Tlv8 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tlv8")?;
        f.debug_map().entries(self.items.iter().map(|(tag, value)| (tag, value.len()))).finish()
    }
}

#[cfg(test)]
mod tests;
