//! Key derivation and sealing: HKDF-SHA512 and ChaCha20-Poly1305 with the protocol's labels.

use chacha20poly1305::aead::{Aead as _, KeyInit as _};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use hkdf::Hkdf;
use sha2::Sha512;
use zeroize::Zeroizing;

/// A derived key of 32 bytes, wiped when dropped.
pub type SecretKey = Zeroizing<[u8; 32]>;

/// Why a key could not be derived or used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// HKDF refused its parameters.
    #[error("a key could not be derived")]
    Derive,
    /// The plaintext is too long for the cipher.
    #[error("a message is too long to be sealed")]
    Seal,
    /// The ciphertext was not sealed with this key and nonce, or was changed.
    #[error(
        "a sealed message doesn't open: another key, a message that came twice, or bytes changed on the way"
    )]
    Open,
}

/// The salt and info of one derivation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    salt: &'static str,
    info: &'static str,
}

/// Seals M5 and M6; from K. Source: protocol.md §5.5.
pub const SETUP_ENCRYPT: Label = Label { salt: "Pair-Setup-Encrypt-Salt", info: "Pair-Setup-Encrypt-Info" };
/// The prefix of what the host signs in M5; from K. Source: protocol.md §5.5.
pub const SETUP_CONTROLLER_SIGN: Label =
    Label { salt: "Pair-Setup-Controller-Sign-Salt", info: "Pair-Setup-Controller-Sign-Info" };
/// The prefix of what the device signs in M6; from K. Source: protocol.md §5.5.
pub const SETUP_ACCESSORY_SIGN: Label =
    Label { salt: "Pair-Setup-Accessory-Sign-Salt", info: "Pair-Setup-Accessory-Sign-Info" };
/// Seals V2 and V3; from the X25519 secret. Source: protocol.md §5.4.
pub const VERIFY_ENCRYPT: Label =
    Label { salt: "Pair-Verify-Encrypt-Salt", info: "Pair-Verify-Encrypt-Info" };
/// The channel from host to device. Source: protocol.md §5.6.
pub const MAIN_CLIENT: Label = Label { salt: "", info: "ClientEncrypt-main" };
/// The channel from device to host. Source: protocol.md §5.6.
pub const MAIN_SERVER: Label = Label { salt: "", info: "ServerEncrypt-main" };

/// Nonce of M5. Source: protocol.md §5.5.
pub const NONCE_M5: [u8; 12] = labelled_nonce(*b"PS-Msg05");
/// Nonce of M6. Source: protocol.md §5.5.
pub const NONCE_M6: [u8; 12] = labelled_nonce(*b"PS-Msg06");
/// Nonce of V2. Source: protocol.md §5.4.
pub const NONCE_V2: [u8; 12] = labelled_nonce(*b"PV-Msg02");
/// Nonce of V3. Source: protocol.md §5.4.
pub const NONCE_V3: [u8; 12] = labelled_nonce(*b"PV-Msg03");

/// Four zero bytes and eight of text. Source: protocol.md §5.4.
const fn labelled_nonce(label: [u8; 8]) -> [u8; 12] {
    let [a, b, c, d, e, f, g, h] = label;
    [0, 0, 0, 0, a, b, c, d, e, f, g, h]
}

/// The nonce of the main channel: the counter as little-endian u64, then four zero bytes. Source: protocol.md §5.6.
pub fn counter_nonce(counter: u64) -> [u8; 12] {
    let [a, b, c, d, e, f, g, h] = counter.to_le_bytes();
    [a, b, c, d, e, f, g, h, 0, 0, 0, 0]
}

/// Derives 32 bytes with HKDF-SHA512.
///
/// # Errors
/// [`KeyError::Derive`], which 32 bytes never cause.
pub fn derive(secret: &[u8], label: Label) -> Result<SecretKey, KeyError> {
    // HKDF without a salt and with an empty one are the same (RFC 5869 §2.2).
    let hkdf = Hkdf::<Sha512>::new(Some(label.salt.as_bytes()), secret);
    let mut key = Zeroizing::new([0; 32]);
    hkdf.expand(label.info.as_bytes(), key.as_mut_slice()).map_err(|_| KeyError::Derive)?;
    Ok(key)
}

/// Seals `plain` without associated data; the tag of 16 bytes is appended.
///
/// # Errors
/// [`KeyError::Seal`].
pub fn seal(key: &SecretKey, nonce: &[u8; 12], plain: &[u8]) -> Result<Vec<u8>, KeyError> {
    cipher(key).encrypt(&Nonce::from(*nonce), plain).map_err(|_| KeyError::Seal)
}

/// Opens what [`seal`] made.
///
/// # Errors
/// [`KeyError::Open`].
pub fn open(key: &SecretKey, nonce: &[u8; 12], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    cipher(key).decrypt(&Nonce::from(*nonce), sealed).map(Zeroizing::new).map_err(|_| KeyError::Open)
}

fn cipher(key: &SecretKey) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(Key::cast_from_core(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_messages_open_only_with_their_key_and_nonce() {
        let key = derive(b"secret", SETUP_ENCRYPT).unwrap();
        let sealed = seal(&key, &NONCE_M5, b"identity").unwrap();
        assert_eq!(sealed.len(), 8 + 16);
        assert_eq!(open(&key, &NONCE_M5, &sealed).unwrap().as_slice(), b"identity");
        assert_eq!(open(&key, &NONCE_M6, &sealed).unwrap_err(), KeyError::Open);
        let other = derive(b"secret", VERIFY_ENCRYPT).unwrap();
        assert_eq!(open(&other, &NONCE_M5, &sealed).unwrap_err(), KeyError::Open);
        assert_eq!(open(&key, &NONCE_M5, &sealed[..15]).unwrap_err(), KeyError::Open);
    }

    #[test]
    fn nonces_have_the_documented_layout() {
        assert_eq!(&NONCE_V3, b"\0\0\0\0PV-Msg03");
        assert_eq!(counter_nonce(0x0102), [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}
