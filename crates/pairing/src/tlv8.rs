//! TLV8: type, length and value, a byte each for the first two, in which every pairing step travels.
//!
//! Source: protocol.md §5.3.

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

/// Why bytes are not a TLV8.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlvError {
    /// The input is longer than [`MAX_LEN`].
    #[error("a pairing TLV of {got} bytes is longer than the {MAX_LEN} that are read")]
    TooLong {
        /// Bytes that came.
        got: usize,
    },
    /// An item says that it is longer than what is left.
    #[error("pairing TLV item 0x{tag:02x} at offset {offset} wants {wanted} bytes, {left} are left")]
    Truncated {
        /// The type of the item.
        tag: u8,
        /// Where the item starts.
        offset: usize,
        /// The length that it states.
        wanted: usize,
        /// The bytes that follow.
        left: usize,
    },
    /// A type byte without a length.
    #[error("pairing TLV ends after the type byte 0x{tag:02x} at offset {offset}")]
    NoLength {
        /// The type of the item.
        tag: u8,
        /// Where the item starts.
        offset: usize,
    },
    /// A step lacks an item.
    #[error("{step} lacks its {item}: the peer speaks another version or left the step out")]
    Missing {
        /// The step, for example `M2`.
        step: &'static str,
        /// The item by name.
        item: &'static str,
    },
    /// An item has another length than the protocol gives it.
    #[error("{step} has a {item} of {got} bytes where {expected} are expected")]
    WrongLength {
        /// The step, for example `M2`.
        step: &'static str,
        /// The item by name.
        item: &'static str,
        /// The length of the protocol.
        expected: usize,
        /// The length that came.
        got: usize,
    },
    /// A step came out of order or twice.
    #[error(
        "expected {step} (state {expected}), the peer sent state {got:?}: a step came twice or out of order"
    )]
    WrongState {
        /// The step that was expected.
        step: &'static str,
        /// Its state number.
        expected: u8,
        /// The state number that came, if any.
        got: Option<u8>,
    },
    /// An item that must be text is not UTF-8.
    #[error("{step} has a {item} that is not UTF-8")]
    NotText {
        /// The step.
        step: &'static str,
        /// The item by name.
        item: &'static str,
    },
}

/// The error codes of pairing. Source: protocol.md §5.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PeerErrorCode {
    /// 1: no more is said.
    Unknown,
    /// 2: a proof, a PIN or a signature is wrong.
    Authentication,
    /// 3: too many attempts lately; comes with a delay.
    BackOff,
    /// 4: the peer has no record of us.
    UnknownPeer,
    /// 5: the peer has no room for another pairing.
    MaxPeers,
    /// 6: the peer stopped pair-setup after too many attempts.
    MaxTries,
    /// 7: the peer doesn't permit it.
    Permission,
    /// 8: ownership could not be shown.
    Ownership,
    /// 9: no access.
    Access,
    /// 0xA: not supported there.
    Unsupported,
    /// Any other code.
    Other(u8),
}

impl PeerErrorCode {
    /// The code of a byte on the wire.
    pub fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Unknown,
            2 => Self::Authentication,
            3 => Self::BackOff,
            4 => Self::UnknownPeer,
            5 => Self::MaxPeers,
            6 => Self::MaxTries,
            7 => Self::Permission,
            8 => Self::Ownership,
            9 => Self::Access,
            0x0a => Self::Unsupported,
            other => Self::Other(other),
        }
    }

    /// The byte of this code on the wire.
    pub fn to_byte(self) -> u8 {
        match self {
            Self::Unknown => 1,
            Self::Authentication => 2,
            Self::BackOff => 3,
            Self::UnknownPeer => 4,
            Self::MaxPeers => 5,
            Self::MaxTries => 6,
            Self::Permission => 7,
            Self::Ownership => 8,
            Self::Access => 9,
            Self::Unsupported => 0x0a,
            Self::Other(byte) => byte,
        }
    }
}

impl std::fmt::Display for PeerErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = match self {
            Self::Unknown => "1, unknown error",
            Self::Authentication => "2, authentication failed",
            Self::BackOff => "3, back off",
            Self::UnknownPeer => "4, unknown peer",
            Self::MaxPeers => "5, no room for another pairing",
            Self::MaxTries => "6, too many attempts",
            Self::Permission => "7, not permitted",
            Self::Ownership => "8, ownership failure",
            Self::Access => "9, no access",
            Self::Unsupported => "10, unsupported",
            Self::Other(byte) => return write!(f, "{byte}, not a code that is known"),
        };
        f.write_str(text)
    }
}

/// An error item with the delay that may come with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerError {
    /// What the peer says is wrong.
    pub code: PeerErrorCode,
    /// How long the peer wants to be left alone.
    pub retry_delay: Option<Duration>,
}

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

/// The reply that names an error, with a delay for [`PeerErrorCode::BackOff`].
///
/// The order error, delay, state is the one of the captured back-off reply (fixture `m2_backoff_issue879.bin`).
pub fn error_reply(state: u8, error: PeerError) -> Tlv8 {
    let reply = Tlv8::new().with(tag::ERROR, [error.code.to_byte()]);
    let reply = match error.retry_delay.map(|delay| delay.as_secs()) {
        None => reply,
        // Two bytes in the capture, and the only width that every client reads.
        Some(seconds) => {
            reply.with(tag::RETRY_DELAY, u16::try_from(seconds).unwrap_or(u16::MAX).to_le_bytes())
        }
    };
    reply.with_state(state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn real_back_off_reply_reads_8316_seconds_and_is_written_the_same() {
        let bytes = include_bytes!("../tests/fixtures/m2_backoff_issue879.bin");
        let tlv = Tlv8::decode(bytes).unwrap();
        let error = tlv.peer_error().unwrap();
        assert_eq!(
            error,
            PeerError { code: PeerErrorCode::BackOff, retry_delay: Some(Duration::from_secs(8316)) }
        );
        assert_eq!(tlv.state(), Some(2));
        assert_eq!(error_reply(2, error).encode(), bytes);
    }

    #[test]
    fn long_values_are_split_at_255_and_joined_at_any_length() {
        let value = vec![7u8; 384];
        let bytes = Tlv8::new().with(tag::PUBLIC_KEY, &value).encode();
        assert_eq!(bytes.len(), 384 + 4);
        assert_eq!(&bytes[..2], &[tag::PUBLIC_KEY, 255]);
        assert_eq!(&bytes[257..259], &[tag::PUBLIC_KEY, 129]);
        let mut at_254 = vec![tag::PUBLIC_KEY, 254];
        at_254.extend(&value[..254]);
        at_254.extend([tag::PUBLIC_KEY, 130]);
        at_254.extend(&value[254..]);
        assert_eq!(Tlv8::decode(&at_254).unwrap().get(tag::PUBLIC_KEY), Some(value.as_slice()));
    }

    #[test]
    fn truncation_and_length_bombs_are_typed_errors() {
        assert_eq!(Tlv8::decode(&[6]), Err(TlvError::NoLength { tag: 6, offset: 0 }));
        assert_eq!(
            Tlv8::decode(&[6, 1, 2, 3, 255, 0]),
            Err(TlvError::Truncated { tag: 3, offset: 3, wanted: 255, left: 1 })
        );
        assert_eq!(Tlv8::decode(&vec![0; MAX_LEN + 1]), Err(TlvError::TooLong { got: MAX_LEN + 1 }));
    }

    #[test]
    fn debug_shows_lengths_and_no_values() {
        let text = format!("{:?}", Tlv8::new().with(tag::PROOF, b"secret").with_state(3));
        assert_eq!(text, "Tlv8{4: 6, 6: 1}");
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_fail_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            if let Ok(tlv) = Tlv8::decode(&bytes) {
                prop_assert_eq!(&Tlv8::decode(&tlv.encode()).unwrap(), &tlv);
            }
        }

        #[test]
        fn encode_then_decode_gives_the_items_back(
            items in proptest::collection::btree_map(any::<u8>(), proptest::collection::vec(any::<u8>(), 0..700), 0..12)
        ) {
            let tlv = items.iter().fold(Tlv8::new(), |tlv, (tag, value)| tlv.with(*tag, value));
            prop_assert_eq!(Tlv8::decode(&tlv.encode()).unwrap(), tlv);
        }
    }
}
