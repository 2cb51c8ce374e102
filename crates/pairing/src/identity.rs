//! Long-term identities: ours with its private key, a peer's with the public key that is pinned.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use rand_core::CryptoRng;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The longest identifier that is taken, in bytes; real ones are UUIDs and UDIDs.
pub const MAX_IDENTIFIER_LEN: usize = 128;

/// Why an identity or a signature is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The public key is no Ed25519 key, or one with which anything verifies.
    #[error("the Ed25519 public key {fingerprint} is invalid or weak: the peer has no proper identity")]
    WeakKey {
        /// The fingerprint of the key.
        fingerprint: Fingerprint,
    },
    /// The signature is not one of this key over these bytes.
    #[error("the signature is not one of the key {fingerprint}")]
    BadSignature {
        /// The fingerprint of the key.
        fingerprint: Fingerprint,
    },
    /// The identifier is empty, too long, or has characters that no identifier has.
    #[error(
        "an identifier of {len} bytes is refused: 1 to {MAX_IDENTIFIER_LEN} letters, digits and -._: are taken"
    )]
    Identifier {
        /// Its length in bytes.
        len: usize,
    },
}

/// Checks that an identifier is 1 to 128 ASCII letters, digits, `-`, `.`, `_` or `:`.
///
/// # Errors
/// [`IdentityError::Identifier`].
pub fn check_identifier(identifier: &str) -> Result<(), IdentityError> {
    let fits = (1..=MAX_IDENTIFIER_LEN).contains(&identifier.len());
    if fits && identifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte)) {
        Ok(())
    } else {
        Err(IdentityError::Identifier { len: identifier.len() })
    }
}

/// The first eight bytes of a public key's SHA-256, for people to compare.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 8]);

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// A peer's Ed25519 public key: what is pinned.
#[derive(Clone, Copy)]
pub struct PeerKey([u8; 32]);

impl PeerKey {
    /// Takes a key from the wire or from a record.
    ///
    /// # Errors
    /// [`IdentityError::WeakKey`] for what is no point of the curve or has a small order, all zeros included.
    pub fn new(bytes: [u8; 32]) -> Result<Self, IdentityError> {
        let weak = IdentityError::WeakKey { fingerprint: fingerprint(&bytes) };
        match VerifyingKey::from_bytes(&bytes) {
            Ok(key) if !key.is_weak() => Ok(Self(bytes)),
            _ => Err(weak),
        }
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What a person compares.
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.0)
    }

    /// Checks a signature, strictly (RFC 8032 §5.1.7).
    ///
    /// # Errors
    /// [`IdentityError::BadSignature`].
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), IdentityError> {
        VerifyingKey::from_bytes(&self.0)
            .and_then(|key| key.verify_strict(message, &Signature::from_bytes(signature)))
            .map_err(|_| IdentityError::BadSignature { fingerprint: self.fingerprint() })
    }
}

impl PartialEq for PeerKey {
    fn eq(&self, other: &Self) -> bool {
        bool::from(self.0.ct_eq(&other.0))
    }
}

impl Eq for PeerKey {}

impl std::fmt::Debug for PeerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PeerKey({})", self.fingerprint())
    }
}

fn fingerprint(bytes: &[u8; 32]) -> Fingerprint {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    Fingerprint([a, b, c, d, e, f, g, h])
}

/// Our own long-term identity: an identifier, an Ed25519 key and the key that resolves our announcements.
#[derive(Clone)]
pub struct Identity {
    identifier: String,
    signing_key: SigningKey,
    alt_irk: AltIrk,
}

/// `altIRK`, 16 bytes that make announcements recognisable; wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct AltIrk([u8; 16]);

impl AltIrk {
    /// Takes the 16 bytes.
    pub fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub fn expose(&self) -> &[u8; 16] {
        &self.0
    }
}

impl std::fmt::Debug for AltIrk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AltIrk(redacted)")
    }
}

/// The identifier of a host: the upper-case UUIDv3 of its name in the DNS namespace.
///
/// pymobiledevice3 uses the same, so that a phone sees one host. Source: protocol.md §5.5.
pub fn host_identifier(host_name: &str) -> String {
    Uuid::new_v3(&Uuid::NAMESPACE_DNS, host_name.as_bytes()).hyphenated().to_string().to_uppercase()
}

impl Identity {
    /// A fresh key pair under an identifier.
    ///
    /// # Errors
    /// [`IdentityError::Identifier`].
    pub fn generate(identifier: impl Into<String>, rng: &mut dyn CryptoRng) -> Result<Self, IdentityError> {
        let (mut secret, mut irk) = (Zeroizing::new([0; 32]), [0; 16]);
        rng.fill_bytes(secret.as_mut_slice());
        rng.fill_bytes(&mut irk);
        Self::from_parts(identifier, &secret, AltIrk::new(irk))
    }

    /// An identity that was kept.
    ///
    /// # Errors
    /// [`IdentityError::Identifier`].
    pub fn from_parts(
        identifier: impl Into<String>,
        private_key: &[u8; 32],
        alt_irk: AltIrk,
    ) -> Result<Self, IdentityError> {
        let identifier = identifier.into();
        check_identifier(&identifier)?;
        Ok(Self { identifier, signing_key: SigningKey::from_bytes(private_key), alt_irk })
    }

    /// The identifier that peers know.
    pub fn identifier(&self) -> &str {
        &self.identifier
    }

    /// The public key that peers pin.
    pub fn public_key(&self) -> PeerKey {
        PeerKey(self.signing_key.verifying_key().to_bytes())
    }

    /// The private key, to keep it.
    pub fn private_key(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.signing_key.to_bytes())
    }

    /// The key that makes announcements recognisable.
    pub fn alt_irk(&self) -> &AltIrk {
        &self.alt_irk
    }

    /// Signs the concatenation of the parts.
    pub fn sign(&self, parts: &[&[u8]]) -> [u8; 64] {
        self.signing_key.sign(&parts.concat()).to_bytes()
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("identifier", &self.identifier)
            .field("public_key", &self.public_key())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;

    #[test]
    fn the_host_identifier_is_the_one_of_pymobiledevice3() {
        // uuid3(NAMESPACE_DNS, 'python.org') of the Python manual.
        assert_eq!(host_identifier("python.org"), "6FA459EA-EE8A-3CA4-894E-DB77E160355E");
    }

    #[test]
    fn zero_and_small_order_keys_are_refused() {
        assert!(matches!(PeerKey::new([0; 32]), Err(IdentityError::WeakKey { .. })));
        let mut one = [0; 32];
        one[0] = 1;
        let mut not_a_point = [0; 32];
        not_a_point[0] = 2;
        assert!(matches!(PeerKey::new(one), Err(IdentityError::WeakKey { .. })));
        assert!(matches!(PeerKey::new(not_a_point), Err(IdentityError::WeakKey { .. })));
    }

    #[test]
    fn identifiers_that_could_be_paths_are_refused() {
        for bad in ["", "a/b", "..\\x", "a b", "é", &"x".repeat(129)] {
            assert!(check_identifier(bad).is_err(), "{bad:?}");
        }
        assert!(check_identifier("00008132-001211363E85001C").is_ok());
    }

    #[test]
    fn debug_texts_hold_no_secret() {
        let identity = Identity::generate("HOST", &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
        let text = format!("{identity:?} {:?}", identity.alt_irk());
        let fingerprint = identity.public_key().fingerprint();
        assert_eq!(
            text,
            format!(
                r#"Identity {{ identifier: "HOST", public_key: PeerKey({fingerprint}), .. }} AltIrk(redacted)"#
            )
        );
    }

    #[test]
    fn signatures_verify_only_for_their_bytes() {
        let identity = Identity::generate("HOST", &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
        let signature = identity.sign(&[b"a", b"bc"]);
        assert!(identity.public_key().verify(b"abc", &signature).is_ok());
        assert!(matches!(
            identity.public_key().verify(b"abd", &signature),
            Err(IdentityError::BadSignature { .. })
        ));
    }
}
