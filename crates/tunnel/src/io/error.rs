//! What can go wrong with a tunnel.

use super::suite::Suite;
use crate::cdtunnel::{DecodeError, EncodeError};
use crate::framer::OutOfStep;
use crate::parameters::ParametersError;
use crate::psk::PskError;
use std::io;
use std::time::Duration;
use thiserror::Error;

/// A tunnel that could not be opened, or that broke.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TunnelError {
    /// The key can't be one.
    #[error(transparent)]
    Psk(#[from] PskError),
    /// TLS failed.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// QUIC failed.
    #[error(transparent)]
    Quic(#[from] QuicError),
    /// The peer's CDTunnel message can't be read.
    #[error(transparent)]
    Message(#[from] DecodeError),
    /// Our CDTunnel message can't be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The peer sent the other side's CDTunnel message.
    #[error("a CDTunnel {expected} was expected, a {got} came; both ends play the same role")]
    Role {
        /// Type of message.
        expected: &'static str,
        /// Type of message.
        got: &'static str,
    },
    /// What the ends agreed on isn't acceptable.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// The peer's stream isn't packets.
    #[error(transparent)]
    OutOfStep(#[from] OutOfStep),
    /// The peer took too long.
    #[error("{what} took longer than {} s; check that the phone is awake, unlocked and still attached", after.as_secs())]
    Timeout {
        /// The step.
        what: &'static str,
        /// The limit.
        after: Duration,
    },
    /// The peer closed the connection in the middle of a step.
    #[error(
        "the peer closed the connection during {during}; check that the listener is this pairing's and still open"
    )]
    Closed {
        /// The step.
        during: &'static str,
    },
    /// The connection to the peer failed.
    #[error("the tunnel's connection failed during {during}: {source}")]
    Connection {
        /// The step.
        during: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The packet device failed.
    #[error("the packet device failed: {source}; it may have been deleted")]
    Device {
        /// What the system said.
        source: io::Error,
    },
    /// The relay's thread or runtime could not be started, or died.
    #[error("the tunnel's relay could not run: {source}")]
    Relay {
        /// What the system said.
        source: io::Error,
    },
}

/// TLS could not be set up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The two ends have different keys.
    #[error(
        "the two ends have different pre-shared keys ({detail}); the key must be that of the pair-verify, or of the \
         createListener request, that this listener belongs to: verify again"
    )]
    WrongKey {
        /// What the TLS library said.
        detail: String,
    },
    /// No suite is offered by one and known to the other.
    #[error("no cipher suite in common: this end has {}; the peer has none of them ({detail})", names(ours))]
    NoCommonSuite {
        /// What this end has.
        ours: Vec<Suite>,
        /// What the TLS library said.
        detail: String,
    },
    /// The peer isn't speaking TLS 1.2.
    #[error("TLS 1.2 was expected, something else came ({detail}); check the port and the transport")]
    NotTls {
        /// What the TLS library said.
        detail: String,
    },
    /// The peer closed before the end of the handshake: some do that when the keys differ.
    #[error(
        "the peer closed the connection during the TLS handshake; some do so when the pre-shared keys differ"
    )]
    Closed,
    /// The negotiated suite is none that was asked for.
    #[error("the TLS library negotiated suite {0}, which was not offered")]
    StrangeSuite(String),
    /// Anything else.
    #[error("TLS failed during {during}: {detail}")]
    Library {
        /// The step.
        during: &'static str,
        /// What the TLS library said.
        detail: String,
    },
}

/// QUIC could not be set up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum QuicError {
    /// The key or certificate could not be made or used.
    #[error("the QUIC certificate can't be {what}: {detail}")]
    Certificate {
        /// `made`, `read` or `used`.
        what: &'static str,
        /// What the library said.
        detail: String,
    },
    /// The UDP socket failed.
    #[error("the QUIC socket failed: {source}")]
    Socket {
        /// What the system said.
        source: io::Error,
    },
    /// The peer, or the way to it, refused.
    #[error(
        "the QUIC connection failed during {during}: {detail}; iOS 18.2 and later have no QUIC, use tcp there"
    )]
    Connection {
        /// The step.
        during: &'static str,
        /// What the library said.
        detail: String,
    },
    /// The peer takes no datagrams of the MTU's size.
    #[error("datagrams of {needed} bytes are needed, the peer takes {}; agree on a smaller MTU", room(*got))]
    Datagrams {
        /// Bytes.
        needed: usize,
        /// Bytes, or none at all.
        got: Option<usize>,
    },
}

fn names(suites: &[Suite]) -> String {
    suites.iter().map(|suite| suite.name()).collect::<Vec<_>>().join(", ")
}

fn room(got: Option<usize>) -> String {
    got.map_or_else(|| "none".to_owned(), |bytes| format!("up to {bytes}"))
}
