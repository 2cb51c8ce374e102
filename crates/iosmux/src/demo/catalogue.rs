//! The RSD handshake with a phone that was found: who it is and what it offers.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use iosmux_capture::Recorder;
use iosmux_xpc::rsd::{self, Catalogue, Handshake};
use iosmux_xpc::session::SessionConfig;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The port that a phone listens on beside the announced one. Source: protocol.md §2 (RSD port).
const RSD_PORT: u16 = 58783;
const CONNECT_DEADLINE: Duration = Duration::from_secs(3);

/// A phone as it introduced itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Phone {
    pub(crate) udid: String,
    pub(crate) product_type: String,
    pub(crate) os_version: String,
    pub(crate) build_version: String,
    pub(crate) services: usize,
    pub(crate) address: Ipv6Addr,
    pub(crate) port: u16,
}

/// Reads the phone's Handshake and closes the connection.
pub(super) async fn read(announced: SocketAddrV6, recorder: Option<&Recorder>) -> Result<Phone> {
    let (stream, peer) = connect(announced).await?;
    let ours = Handshake::host(rsd::host_uuid("vm"));
    let config = SessionConfig::default();
    let remote = match recorder {
        Some(recorder) => {
            let local = stream.local_addr()?;
            let stream = recorder.connection(local, SocketAddr::V6(peer), stream);
            rsd::io::handshake(stream, Some(&ours), config).await
        }
        None => rsd::io::handshake(stream, Some(&ours), config).await,
    };
    let remote = remote.with_context(|| format!("read the catalogue of {peer}"))?;
    remote.connection.close().await;
    // The end of the connection belongs to the recording.
    drop(remote.connection);
    let mut events = remote.events;
    let ended = async { while events.next().await.is_some_and(|event| event.is_ok()) {} };
    // A phone may hold its side open: it has said what was asked.
    let _ = timeout(Duration::from_millis(200), ended).await;
    Phone::new(&remote.handshake.into(), peer)
}

/// Dials the announced port, and when nobody listens there the fixed one.
async fn connect(announced: SocketAddrV6) -> Result<(TcpStream, SocketAddrV6)> {
    let fixed = SocketAddrV6::new(*announced.ip(), RSD_PORT, 0, announced.scope_id());
    let mut refusals = Vec::new();
    for peer in [announced, fixed] {
        match timeout(CONNECT_DEADLINE, TcpStream::connect(peer)).await {
            Ok(Ok(stream)) => return Ok((stream, peer)),
            Ok(Err(error)) => refusals.push(format!("{peer}: {error}")),
            Err(_) => refusals.push(format!("{peer}: no answer in {} s", CONNECT_DEADLINE.as_secs())),
        }
    }
    Err(anyhow!("the phone was found but can't be reached: {}", refusals.join("; ")))
}

impl Phone {
    fn new(catalogue: &Catalogue, peer: SocketAddrV6) -> Result<Self> {
        let property = |name: &'static str| {
            let value = catalogue.property(name).map(str::to_owned);
            value.with_context(|| format!("the Handshake of {peer} has no {name}"))
        };
        Ok(Self {
            udid: property("UniqueDeviceID")?,
            product_type: property("ProductType")?,
            os_version: property("OSVersion")?,
            build_version: property("BuildVersion")?,
            services: catalogue.services.len(),
            address: *peer.ip(),
            port: peer.port(),
        })
    }
}
