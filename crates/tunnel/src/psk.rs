//! The key of the TCP transport.

use std::fmt;
use thiserror::Error;
use zeroize::ZeroizeOnDrop;

/// Length of the key in bytes. Source: protocol.md §5.7.
pub const LEN: usize = 32;

/// A pre-shared key that is wiped when dropped and never shown.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Psk([u8; LEN]);

/// Bytes that can't be the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PskError {
    /// Not 32 bytes.
    #[error(
        "a pre-shared key of {LEN} bytes was expected, {0} came; use pair-verify's shared secret as it is"
    )]
    Length(usize),
    /// All bytes are zero, which everybody can guess.
    #[error("the pre-shared key is all zero; pair-verify's shared secret never is, use that")]
    Zero,
}

impl Psk {
    /// Any 32 bytes that aren't all zero. Source: protocol.md §5.7 (the device takes whatever the host chose).
    pub fn new(key: &[u8]) -> Result<Self, PskError> {
        let key: &[u8; LEN] = key.try_into().map_err(|_| PskError::Length(key.len()))?;
        if key.iter().fold(0, |any, byte| any | byte) == 0 { Err(PskError::Zero) } else { Ok(Self(*key)) }
    }

    /// The bytes, for the TLS library only.
    #[cfg(feature = "io")]
    pub(crate) fn expose(&self) -> &[u8; LEN] {
        &self.0
    }
}

impl fmt::Debug for Psk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Psk(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_real_key_is_taken_and_none_is_shown() {
        assert_eq!(Psk::new(&[1; 31]).unwrap_err(), PskError::Length(31));
        assert_eq!(Psk::new(&[1; 33]).unwrap_err(), PskError::Length(33));
        assert_eq!(Psk::new(&[0; 32]).unwrap_err(), PskError::Zero);
        assert_eq!(format!("{:?}", Psk::new(&[0x42; 32]).unwrap()), "Psk(secret)");
    }
}
