//! SRP-6a as RemotePairing uses it: the 3072-bit group of RFC 5054, g = 5, SHA-512, user `Pair-Setup`.
//!
//! k and u hash operands padded to 384 bytes. The proof M1 and the key hash A, B and S without padding in some clients
//! and padded in others ([`OperandForm`]); the two differ only when one of the three starts with a zero byte. Which one
//! a phone uses is not public, so the host side picks a private value that leaves A and S without a leading zero byte,
//! the device side accepts both, and only a B with a leading zero byte (1 of 256) is left to a second attempt.
//!
//! Source: protocol.md §5.5, platform.md "Libraries"; vectors in `tests/fixtures/srp6a_vectors.txt`.

mod client;
mod group;
mod server;

pub use client::{Client, ClientAnswer};
pub use group::ELEMENT_LEN;
pub use server::{Server, ServerSession};

use sha2::{Digest as _, Sha512};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The user name of every pair-setup. Source: protocol.md §5.5.
const USER: &[u8] = b"Pair-Setup";
/// Length of the salt, in bytes. Source: protocol.md §5.5.
pub const SALT_LEN: usize = 16;
/// Length of a proof and of the session key, in bytes: one SHA-512.
pub const PROOF_LEN: usize = 64;
/// How often a private value is drawn again for one whose public value has no leading zero byte: 1 draw of 128 fails.
const MAX_DRAWS: usize = 64;

/// Why SRP stops.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SrpError {
    /// A public key that is empty or longer than an element.
    #[error("an SRP public key of {got} bytes where {ELEMENT_LEN} are expected: not a RemotePairing peer")]
    PublicKeyLength {
        /// Bytes that came.
        got: usize,
    },
    /// A public key that is a multiple of N, with which any PIN would do.
    #[error("an SRP public key that is zero modulo N: the peer tries to pair without knowing the PIN")]
    ZeroPublicKey,
    /// A public key made so that the shared secret is known beforehand.
    #[error(
        "an SRP public key with which the shared secret is the same for all: not a proper RemotePairing peer"
    )]
    WeakPublicKey,
    /// The other side's proof is not the one of this PIN.
    #[error("the SRP proof is wrong: the PIN differs, or the messages were changed on the way")]
    WrongProof,
    /// No private value was usable.
    #[error("{MAX_DRAWS} private values in a row were unusable: the random number generator is broken")]
    Randomness,
}

/// How A, B and S enter the proof and the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OperandForm {
    /// Without leading zero bytes, as srptools (pymobiledevice3) does.
    Stripped,
    /// As 384 bytes, as idevice does.
    Padded,
}

impl OperandForm {
    /// The form that is left to try.
    pub fn other(self) -> Self {
        match self {
            Self::Stripped => Self::Padded,
            Self::Padded => Self::Stripped,
        }
    }

    fn apply(self, bytes: &[u8]) -> &[u8] {
        match self {
            Self::Padded => bytes,
            Self::Stripped => {
                let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
                bytes.get(zeros..).unwrap_or_default()
            }
        }
    }
}

impl std::fmt::Display for OperandForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Stripped => "operands without leading zero bytes",
            Self::Padded => "operands padded to 384 bytes",
        })
    }
}

/// K, the key that both sides have after a correct PIN: 64 bytes.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SessionKey([u8; PROOF_LEN]);

impl SessionKey {
    /// The key itself, to derive others from.
    pub fn expose(&self) -> &[u8; PROOF_LEN] {
        &self.0
    }
}

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionKey(redacted)")
    }
}

fn hash(parts: &[&[u8]]) -> [u8; 64] {
    let mut hasher = Sha512::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// x = H(salt | H(user ":" PIN)). Source: RFC 5054 §2.4.
fn private_key(salt: &[u8; SALT_LEN], pin: &str) -> group::Exponent {
    let mut inner = hash(&[USER, b":", pin.as_bytes()]);
    let mut digest = hash(&[salt, &inner]);
    let x = group::exponent(&digest);
    inner.zeroize();
    digest.zeroize();
    x
}

/// k = H(N | PAD(g)). Source: RFC 5054 §2.5.3.
fn multiplier() -> group::Element {
    group::element_of_digest(&hash(&[&group::modulus_bytes(), &group::to_bytes(&group::generator())]))
}

/// u = H(PAD(A) | PAD(B)), unless the client hashes A without its leading zeros. Source: RFC 5054 §2.6.
fn scrambler(a: &[u8], b: &[u8; ELEMENT_LEN]) -> group::Exponent {
    group::exponent(&hash(&[a, b]))
}

/// K = H(S).
fn session_key(secret: &[u8; ELEMENT_LEN], form: OperandForm) -> SessionKey {
    SessionKey(hash(&[form.apply(secret)]))
}

/// M1 = H(H(N) xor H(g) | H(user) | salt | A | B | K), with a one-byte g. Source: protocol.md §5.5.
fn client_proof(
    salt: &[u8; SALT_LEN],
    a: &[u8; ELEMENT_LEN],
    b: &[u8; ELEMENT_LEN],
    key: &SessionKey,
    form: OperandForm,
) -> [u8; PROOF_LEN] {
    let (n, g) = (hash(&[&group::modulus_bytes()]), hash(&[&[group::GENERATOR]]));
    let mut mixed = [0; 64];
    for (out, (n, g)) in mixed.iter_mut().zip(n.iter().zip(&g)) {
        *out = n ^ g;
    }
    hash(&[&mixed, &hash(&[USER]), salt, form.apply(a), form.apply(b), key.expose()])
}

/// M2 = H(A | M1 | K). Source: RFC 2945 §3, protocol.md §5.5.
fn server_proof(
    a: &[u8; ELEMENT_LEN],
    client_proof: &[u8; PROOF_LEN],
    key: &SessionKey,
    form: OperandForm,
) -> [u8; PROOF_LEN] {
    hash(&[form.apply(a), client_proof, key.expose()])
}

#[cfg(test)]
mod tests;
