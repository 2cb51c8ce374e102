//! One tunnel: the port that waits for its host, then an interface with the trusted RSD on it, until either side ends it.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::Duration;

use iosmux_tunnel::io::{
    Ended, Options, QuicListener, TunDevice, Tunnel, TunnelError, TunnelLink, accept_tcp,
};
use iosmux_tunnel::parameters::Role;
use iosmux_tunnel::{DeviceParameters, Parameters};
use tokio::net::TcpListener;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::error::Error;
use super::face::Face;
use super::services::Offer;
use super::shared::{Place, Shared};
use crate::fault::{FaultStream, Step};

/// The phone's interfaces; not `tun…`, because pymobiledevice3 passes over those. Source: platform.md (peers).
const INTERFACE: &str = "rsd%d";
/// How long a listener waits for its host. The bound is our own.
const PATIENCE: Duration = Duration::from_secs(30);

/// A listener of a tunnel, for the host that asked for it.
#[derive(Debug)]
pub(super) enum Door {
    /// TLS with a pre-shared key; other addresses are turned away.
    Tcp { listener: TcpListener, psk: Zeroizing<Vec<u8>>, peer: Ipv6Addr },
    /// QUIC; hosts with another key are turned away.
    Quic(QuicListener),
}

/// A tunnel that nobody has come for yet.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) phone: Arc<Shared>,
    pub(super) door: Door,
    pub(super) parameters: DeviceParameters,
    /// RSD on the phone's end, which does not exist yet.
    pub(super) rsd: TcpListener,
}

impl Pending {
    /// Waits for the host and runs the tunnel to its end; an error is one of this computer.
    pub(super) async fn run(self) -> Result<(), Error> {
        let Pending { phone, door, parameters, rsd } = self;
        let Ok((link, _place)) = timeout(PATIENCE, door.enter(&phone, &parameters)).await else {
            tracing::info!("nobody came for a tunnel");
            return Ok(());
        };
        // Ports and keys are for one tunnel.
        drop(door);
        match serve(&phone, link, rsd).await {
            Ok(ended) => tracing::info!(?ended, "the tunnel ended"),
            Err(Failure::Tunnel(error)) => tracing::info!(%error, "the tunnel failed"),
            Err(Failure::Phone(error)) => return Err(error),
        }
        Ok(())
    }
}

impl Door {
    /// The first whole tunnel that the right host opens; what others try is turned away.
    async fn enter(&self, phone: &Shared, offer: &DeviceParameters) -> (TunnelLink, Option<Place>) {
        loop {
            let (link, place) = match self {
                Door::Quic(listener) => (listener.accept(offer).await, None),
                Door::Tcp { listener, psk, peer } => {
                    let (stream, from, place) = phone.accept(listener).await;
                    if !matches!(from, SocketAddr::V6(from) if from.ip() == peer) {
                        tracing::warn!(%from, %peer, "the tunnel is for another host: refused");
                        continue;
                    }
                    if phone.hangs(Step::Tunnel) {
                        FaultStream::new(stream, &[]).stay_silent().await;
                        continue;
                    }
                    (accept_tcp(stream, psk, offer).await, Some(place))
                }
            };
            match link {
                Ok(link) => return (link, place),
                Err(error) => tracing::info!(%error, "a tunnel was not opened"),
            }
        }
    }
}

enum Failure {
    Tunnel(TunnelError),
    Phone(Error),
}

/// Makes the interface, serves on it and takes it away again.
async fn serve(phone: &Arc<Shared>, link: TunnelLink, rsd: TcpListener) -> Result<Ended, Failure> {
    let parameters: Parameters = *link.parameters();
    let device = TunDevice::open(Some(INTERFACE), &parameters, Role::Device);
    let device = device.map_err(|error| Failure::Phone(Error::Tun(error)))?;
    let Parameters { server_address, server_rsd_port, mtu, .. } = parameters;
    tracing::info!(
        interface = device.name(),
        %server_address,
        server_rsd_port,
        mtu,
        suite = link.suite().map(|suite| suite.name()),
        "tunnel"
    );
    let mut tunnel = Tunnel::run(link, device, Options::default()).map_err(Failure::Tunnel)?;
    let at = SocketAddr::V6(SocketAddrV6::new(server_address, 0, 0, 0));
    let mut face = Face::new(Arc::clone(phone), Offer::tunnel(&phone.identity, at), vec![rsd]);
    let ended = tokio::select! {
        ended = tunnel.ended() => ended,
        never = face.run() => match never {},
    };
    let counters = tunnel.counters();
    tracing::debug!(?counters, "packets of the tunnel");
    ended.map_err(Failure::Tunnel)
}
