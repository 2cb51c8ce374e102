//! TLS 1.3 inside of QUIC, both ends: self-signed certificates, of which at most the key is compared.
//! Source: protocol.md §5.8.

use super::error::QuicError;
use super::quic_identity::{QuicIdentity, key_of_certificate, normal_key};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme, version,
};
use std::sync::Arc;

/// The application protocol. Source: protocol.md §5.8.
const ALPN: &[u8] = b"RemotePairingTunnelProtocol";

/// The host's side. `device_key` is the DER SubjectPublicKeyInfo that the device must have; without one any will do.
pub(crate) fn client(
    identity: &QuicIdentity,
    device_key: Option<&[u8]>,
) -> Result<QuicClientConfig, QuicError> {
    let verifier = PeerKey::new(device_key)?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(&verifier.provider));
    let builder = builder.with_protocol_versions(&[&version::TLS13]).map_err(|error| unusable(&error))?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let (chain, key) = chain(identity);
    let mut config = builder.with_client_auth_cert(chain, key).map_err(|error| unusable(&error))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    QuicClientConfig::try_from(config).map_err(|error| unusable(&error))
}

/// The device's side. `host_key` is the DER SubjectPublicKeyInfo of the createListener request.
pub(crate) fn server(
    identity: &QuicIdentity,
    host_key: Option<&[u8]>,
) -> Result<QuicServerConfig, QuicError> {
    let verifier = PeerKey::new(host_key)?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&verifier.provider));
    let builder = builder.with_protocol_versions(&[&version::TLS13]).map_err(|error| unusable(&error))?;
    let builder = builder.with_client_cert_verifier(Arc::new(verifier));
    let (chain, key) = chain(identity);
    let mut config = builder.with_single_cert(chain, key).map_err(|error| unusable(&error))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    QuicServerConfig::try_from(config).map_err(|error| unusable(&error))
}

fn chain(identity: &QuicIdentity) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let key = PrivatePkcs8KeyDer::from(identity.private_key().to_vec());
    (vec![CertificateDer::from(identity.certificate().to_vec())], PrivateKeyDer::Pkcs8(key))
}

fn unusable(error: &dyn std::error::Error) -> QuicError {
    QuicError::Certificate { what: "used", detail: error.to_string() }
}

/// Accepts a peer by its key alone, or any peer that holds the key of its certificate.
#[derive(Debug)]
struct PeerKey {
    expected: Option<Vec<u8>>,
    provider: Arc<CryptoProvider>,
}

impl PeerKey {
    fn new(expected: Option<&[u8]>) -> Result<Self, QuicError> {
        let expected = expected.map(normal_key).transpose()?;
        Ok(Self { expected, provider: Arc::new(ring::default_provider()) })
    }

    fn check(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let Some(expected) = &self.expected else { return Ok(()) };
        let got = key_of_certificate(certificate)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let wrong = Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);
        if got == *expected { Ok(()) } else { Err(wrong) }
    }

    fn check_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }
}

/// QUIC has no TLS 1.2.
fn no_tls12() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::General("QUIC needs TLS 1.3".to_owned()))
}

impl ServerCertVerifier for PeerKey {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(certificate).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for PeerKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(certificate).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
