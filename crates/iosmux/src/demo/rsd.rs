//! RSD as the VM speaks it: dialling a phone and reading its Handshake, on the link and inside of a tunnel.

use std::io;
use std::net::{SocketAddr, SocketAddrV6};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use iosmux_capture::Recorder;
use iosmux_tunnel::io::Stream;
use iosmux_xpc::rsd::{self, Handshake};
use iosmux_xpc::session::SessionConfig;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

pub(super) use rsd::io::Remote;

/// The port that a phone listens on beside the announced one. Source: protocol.md §2 (RSD port).
const RSD_PORT: u16 = 58783;
const CONNECT_DEADLINE: Duration = Duration::from_secs(3);
/// Between two looks for a route.
const ROUTE_PAUSE: Duration = Duration::from_millis(20);

/// Reads the Handshake of a phone on the link; the connection stays open.
///
/// Dials the announced port, and when nobody listens there the fixed one. Gives the one that answered as well.
pub(super) async fn on_link(
    announced: SocketAddrV6,
    recorder: Option<&Recorder>,
) -> Result<(Remote, SocketAddrV6)> {
    let fixed = SocketAddrV6::new(*announced.ip(), RSD_PORT, 0, announced.scope_id());
    let mut refusals = Vec::new();
    for peer in [announced, fixed] {
        match connect(peer).await {
            Ok(stream) => return Ok((handshake(stream, peer, recorder).await?, peer)),
            Err(error) => refusals.push(format!("{error:#}")),
        }
    }
    Err(anyhow!("the phone was found but can't be reached: {}", refusals.join("; ")))
}

/// Reads the Handshake inside of a tunnel.
pub(super) async fn in_tunnel(peer: SocketAddrV6, recorder: Option<&Recorder>) -> Result<Remote> {
    let stream = connect_routed(peer).await.context("RSD inside of the tunnel can't be reached")?;
    handshake(stream, peer, recorder).await
}

/// A TCP connection over an interface that has just come up: the kernel looks at carriers once a second at most when it
/// is busy with many of them, and there is no route before.
async fn connect_routed(peer: SocketAddrV6) -> Result<TcpStream> {
    let start = Instant::now();
    loop {
        match connect(peer).await {
            Err(error) if is_unrouted(&error) && start.elapsed() < CONNECT_DEADLINE => {
                sleep(ROUTE_PAUSE).await;
            }
            connected => return connected,
        }
    }
}

fn is_unrouted(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable))
}

/// A TCP connection, or a sentence with the address.
pub(super) async fn connect(peer: SocketAddrV6) -> Result<TcpStream> {
    match timeout(CONNECT_DEADLINE, TcpStream::connect(peer)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(anyhow::Error::new(error).context(peer)),
        Err(_) => Err(anyhow!("{peer}: no answer in {} s", CONNECT_DEADLINE.as_secs())),
    }
}

/// The stream, recorded if there is a recorder.
pub(super) fn recorded(
    stream: TcpStream,
    peer: SocketAddrV6,
    recorder: Option<&Recorder>,
) -> Result<Box<dyn Stream>> {
    Ok(match recorder {
        Some(recorder) => {
            let local = stream.local_addr()?;
            Box::new(recorder.connection(local, SocketAddr::V6(peer), stream))
        }
        None => Box::new(stream),
    })
}

/// Closes a connection in a way that a recording holds its end.
pub(super) async fn close(remote: Remote) {
    remote.connection.close().await;
    drop(remote.connection);
    let mut events = remote.events;
    let ended = async { while events.next().await.is_some_and(|event| event.is_ok()) {} };
    // A phone may hold its side open: it has said what was asked.
    let _ = timeout(Duration::from_millis(200), ended).await;
}

async fn handshake(stream: TcpStream, peer: SocketAddrV6, recorder: Option<&Recorder>) -> Result<Remote> {
    let ours = Handshake::host(rsd::host_uuid("vm"));
    let stream = recorded(stream, peer, recorder)?;
    let remote = rsd::io::handshake(stream, Some(&ours), SessionConfig::default()).await;
    remote.with_context(|| format!("read the catalogue of {peer}"))
}
