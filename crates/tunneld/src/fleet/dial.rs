//! Bounded connections to phones.

use std::io;
use std::net::{SocketAddr, SocketAddrV6};
use std::time::{Duration, Instant};

use iosmux_capture::Recorder;
use iosmux_tunnel::io::Stream;
use iosmux_xpc::session::SessionConfig;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// The longest that a connection may take to come about.
pub(crate) const DEADLINE: Duration = Duration::from_secs(3);
/// Between two looks for a route.
const ROUTE_PAUSE: Duration = Duration::from_millis(20);

/// The longest message of a phone, in bytes: a trusted Handshake has 15 KiB (protocol.md §4.1), pairing has less.
const MESSAGE: usize = 1 << 20;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    /// The system said why.
    #[error("{peer}: {source}")]
    Refused { peer: SocketAddrV6, source: io::Error },
    /// Nothing was said.
    #[error("{peer}: no answer in {} s", DEADLINE.as_secs())]
    Silent { peer: SocketAddrV6 },
}

/// A TCP connection.
pub(crate) async fn connect(peer: SocketAddrV6) -> Result<TcpStream, DialError> {
    match timeout(DEADLINE, TcpStream::connect(peer)).await {
        Ok(connected) => connected.map_err(|source| DialError::Refused { peer, source }),
        Err(_) => Err(DialError::Silent { peer }),
    }
}

/// A session for RSD and pairing: what a phone can make us hold is less than services need.
pub(crate) fn session() -> SessionConfig {
    let mut config = SessionConfig::default();
    (config.limits.message, config.limits.outbound_queue) = (MESSAGE, MESSAGE);
    config
}

/// A TCP connection over an interface that has just come up: the kernel looks at carriers once a second at most when it
/// is busy with many of them, and there is no route before.
pub(crate) async fn connect_routed(peer: SocketAddrV6) -> Result<TcpStream, DialError> {
    let start = Instant::now();
    loop {
        match connect(peer).await {
            Err(error) if is_unrouted(&error) && start.elapsed() < DEADLINE => sleep(ROUTE_PAUSE).await,
            connected => return connected,
        }
    }
}

fn is_unrouted(error: &DialError) -> bool {
    let DialError::Refused { source, .. } = error else { return false };
    matches!(source.kind(), io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable)
}

/// The stream, recorded if there is a recorder.
pub(crate) fn recorded(
    stream: TcpStream,
    peer: SocketAddrV6,
    recorder: Option<&Recorder>,
) -> Result<Box<dyn Stream>, DialError> {
    let Some(recorder) = recorder else { return Ok(Box::new(stream)) };
    let local = stream.local_addr().map_err(|source| DialError::Refused { peer, source })?;
    Ok(Box::new(recorder.connection(local, SocketAddr::V6(peer), stream)))
}
