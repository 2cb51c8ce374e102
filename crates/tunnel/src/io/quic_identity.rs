//! The RSA key and the self-signed certificate of one end of a QUIC tunnel. Source: protocol.md §5.7, §5.8.

use super::error::QuicError;
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::{X509, X509Builder, X509Name};
use zeroize::Zeroizing;

/// Bits of the key. Source: protocol.md §5.7.
const KEY_BITS: u32 = 2048;

/// Days that a certificate is valid from its making; nobody checks, and a tunnel lives for hours.
const DAYS: u32 = 365;

/// A key and a certificate that it signed itself; the key is wiped when dropped and never shown.
pub struct QuicIdentity {
    certificate: Vec<u8>,
    private_key: Zeroizing<Vec<u8>>,
    public_key: Vec<u8>,
}

impl QuicIdentity {
    /// Makes a new RSA-2048 key. Takes some tenths of a second.
    pub fn generate() -> Result<Self, QuicError> {
        let key = Rsa::generate(KEY_BITS).and_then(PKey::from_rsa);
        Self::of(&key.map_err(|error| failed("made", &error))?)
    }

    /// Uses an RSA key in PKCS #8, DER.
    pub fn from_private_key(der: &[u8]) -> Result<Self, QuicError> {
        let key = PKey::private_key_from_pkcs8(der).map_err(|error| failed("read", &error))?;
        key.rsa().map_err(|error| failed("read", &error))?;
        Self::of(&key)
    }

    /// The public key as DER SubjectPublicKeyInfo: what createListener is given.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// The certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The private key, PKCS #8 DER, for the TLS library only.
    pub(crate) fn private_key(&self) -> &[u8] {
        &self.private_key
    }

    fn of(key: &PKey<Private>) -> Result<Self, QuicError> {
        let made = |error: ErrorStack| failed("made", &error);
        Ok(Self {
            certificate: certificate(key).and_then(|x509| x509.to_der()).map_err(made)?,
            private_key: Zeroizing::new(key.private_key_to_pkcs8().map_err(made)?),
            public_key: key.public_key_to_der().map_err(made)?,
        })
    }
}

impl std::fmt::Debug for QuicIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("QuicIdentity(secret)")
    }
}

/// The key inside of a certificate, as DER SubjectPublicKeyInfo.
pub(crate) fn key_of_certificate(der: &[u8]) -> Result<Vec<u8>, QuicError> {
    let key = X509::from_der(der).and_then(|x509| x509.public_key()).and_then(|key| key.public_key_to_der());
    key.map_err(|error| failed("read", &error))
}

/// A public key in the one form that is compared.
pub(crate) fn normal_key(der: &[u8]) -> Result<Vec<u8>, QuicError> {
    let key = PKey::public_key_from_der(der).and_then(|key| key.public_key_to_der());
    key.map_err(|error| failed("read", &error))
}

/// Version 3, because TLS libraries refuse others; nothing in it is looked at but the key.
fn certificate(key: &PKey<Private>) -> Result<X509, ErrorStack> {
    let name = X509Name::builder()?.build();
    let mut builder = X509Builder::new()?;
    builder.set_version(2)?;
    let serial = BigNum::from_u32(1)?.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(&name)?;
    let (from, to) = (Asn1Time::days_from_now(0)?, Asn1Time::days_from_now(DAYS)?);
    builder.set_not_before(&from)?;
    builder.set_not_after(&to)?;
    builder.set_pubkey(key)?;
    builder.sign(key, MessageDigest::sha256())?;
    Ok(builder.build())
}

fn failed(what: &'static str, error: &ErrorStack) -> QuicError {
    QuicError::Certificate { what, detail: error.to_string() }
}
