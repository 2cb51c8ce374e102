//! Opening a tunnel on a control channel.

use std::io;
use std::net::{SocketAddr, SocketAddrV6};

use iosmux_pairing::control::host::WishedTransport;
use iosmux_pairing::io::host::HostError;
use iosmux_tunnel::io::{
    Options, QuicError, QuicIdentity, TunDevice, TunError, Tunnel, TunnelError, TunnelLink, connect_quic,
    connect_tcp,
};
use iosmux_tunnel::parameters::Role;
use iosmux_tunnel::transport::TransportError;
use iosmux_tunnel::{QUIC_MTU, TCP_MTU, Transport};
use tokio::task::JoinError;

use super::config::FleetConfig;
use super::dial::{self, DialError};
use super::trust::ControlChannel;
use super::verdict::too_old;
use crate::model::{self, Concern};
use crate::phone::{Failure, Kind};

/// Why there is no tunnel.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error(transparent)]
    Listener(#[from] HostError),
    #[error("the phone's listener: {0}")]
    Dial(#[from] DialError),
    #[error(transparent)]
    Tunnel(#[from] TunnelError),
    #[error(transparent)]
    Tun(#[from] TunError),
    #[error("there is no key for a tunnel over TCP")]
    NoKey,
    #[error("the thread that opens the interface died: {0}")]
    Thread(#[from] JoinError),
}

impl From<QuicError> for OpenError {
    fn from(error: QuicError) -> Self {
        Self::Tunnel(error.into())
    }
}

/// A tunnel that moves packets.
pub(crate) struct Opened {
    pub(crate) shown: model::Tunnel,
    pub(crate) running: Tunnel,
}

/// Asks the phone at `phone` for a listener, and opens a tunnel to it with an interface of its own.
pub(crate) async fn open(
    channel: &mut ControlChannel,
    phone: SocketAddrV6,
    identity: &model::Identity,
    config: &FleetConfig,
) -> Result<Opened, OpenError> {
    let wanted = config.transport(&identity.udid);
    let transport = match identity.os_version.as_deref() {
        Some(version) => Transport::choose(version, wanted)?,
        None => wanted.unwrap_or(Transport::Tcp),
    };
    let link = match transport {
        Transport::Tcp => over_tcp(channel, phone).await?,
        Transport::Quic => over_quic(channel, phone).await?,
    };
    let parameters = *link.parameters();
    let suite = link.suite().map(|suite| suite.to_string());
    let pattern = config.tunnel_interface.clone();
    // Opening an interface blocks for some milliseconds, and other phones would wait.
    let open = move || TunDevice::open(pattern.as_deref(), &parameters, Role::Host);
    let device = tokio::task::spawn_blocking(open).await??;
    let shown = model::Tunnel {
        address: parameters.server_address,
        rsd_port: parameters.server_rsd_port,
        interface: device.name().to_owned(),
        mtu: parameters.mtu,
        transport,
        suite,
    };
    Ok(Opened { shown, running: Tunnel::run_on_tun(link, device, Options::default())? })
}

async fn over_tcp(channel: &mut ControlChannel, phone: SocketAddrV6) -> Result<TunnelLink, OpenError> {
    let (answer, psk) = channel.listener(WishedTransport::Tcp).await?;
    let psk = psk.ok_or(OpenError::NoKey)?;
    let listener = SocketAddrV6::new(*phone.ip(), answer.port, 0, phone.scope_id());
    Ok(connect_tcp(dial::connect(listener).await?, psk.expose(), TCP_MTU).await?)
}

async fn over_quic(channel: &mut ControlChannel, phone: SocketAddrV6) -> Result<TunnelLink, OpenError> {
    // An RSA key takes a while to find.
    let identity = tokio::task::spawn_blocking(QuicIdentity::generate).await??;
    let wish = WishedTransport::Quic { public_key: identity.public_key().to_vec() };
    let (answer, _) = channel.listener(wish).await?;
    let listener = SocketAddrV6::new(*phone.ip(), answer.port, 0, phone.scope_id());
    let device_key = answer.device_public_key.as_deref();
    Ok(connect_quic(SocketAddr::V6(listener), &identity, device_key, QUIC_MTU).await?)
}

/// Whether another attempt would end in the same way. A system that is short of something for a moment is no such case.
fn wants_rights(error: &io::Error) -> bool {
    use io::ErrorKind::{NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | PermissionDenied)
}

impl OpenError {
    /// What it means for the next attempt.
    pub(crate) fn failure(&self) -> Failure {
        let text = self.to_string();
        match self {
            Self::Transport(error @ TransportError::TooOld(_)) => too_old(error),
            Self::Transport(_) => {
                Failure::new(Kind::Hold, text, "remove `transport` of this device from the configuration")
                    .about(Concern::Configuration)
            }
            Self::Tun(TunError::Open { source }) if wants_rights(source) => Failure::new(
                Kind::Hold,
                text,
                "give the daemon CAP_NET_ADMIN and /dev/net/tun, then start the tunnel again",
            )
            .about(Concern::Rights),
            _ => Failure::retry(text),
        }
    }
}
