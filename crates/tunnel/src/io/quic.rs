//! The QUIC transport of iOS 17.0 to 18.1, both ends: CDTunnel on the client's first stream, then one packet per
//! datagram. Source: protocol.md §5.8, §5.10.

use super::connect::{Carrier, PROBE_AFTER, SILENCE, TunnelLink, in_time};
use super::error::{QuicError, TunnelError};
use super::handshake;
use super::quic_identity::QuicIdentity;
use super::quic_tls;
use super::stream::StreamLink;
use crate::QUIC_MTU;
use crate::parameters::{DeviceParameters, Parameters, Role};
use quinn::{
    ClientConfig, Connection, Endpoint, EndpointConfig, IdleTimeout, RecvStream, SendStream, ServerConfig,
    TokioRuntime, TransportConfig, VarInt,
};
use std::io;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Join;

/// Silence after which a device's QUIC tunnel is over; hosts ping at half of it. Source: protocol.md §5.8. Our host asks
/// for [`SILENCE`], and pings accordingly.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The UDP payload that packets are cut for, in bytes, without probing for less. Source: protocol.md §5.8.
const UDP_PAYLOAD: u16 = 1452;

/// How much of the stream a peer may send ahead, in bytes. Source: protocol.md §5.8 (initial_max_data).
const STREAM_WINDOW: u32 = 1024 * 1024;

/// The stream on which CDTunnel was spoken; it stays open with the tunnel.
type Control = StreamLink<Join<RecvStream, SendStream>>;

/// An open QUIC tunnel.
#[derive(Debug)]
pub(crate) struct QuicLink {
    pub(crate) connection: Connection,
    _endpoint: Endpoint,
    _control: Control,
}

/// Host: opens a tunnel to the port that createListener gave.
///
/// `identity` holds the key that createListener was given; `device_key` is the device's, if it is to be compared (DER
/// SubjectPublicKeyInfo). Asks for `mtu` bytes, at most [`QUIC_MTU`].
pub async fn connect_quic(
    address: SocketAddr,
    identity: &QuicIdentity,
    device_key: Option<&[u8]>,
    mtu: u16,
) -> Result<TunnelLink, TunnelError> {
    let mut config = ClientConfig::new(Arc::new(quic_tls::client(identity, device_key)?));
    config.transport_config(transport(Role::Host)?);
    let local = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    let endpoint = endpoint(local, None)?;
    in_time(async {
        // The name is an address, so that none is sent: the certificate is known by its key.
        let connecting =
            endpoint.connect_with(config, address, "::1").map_err(|error| lost("setup", &error))?;
        let connection = connecting.await.map_err(|error| lost("the handshake", &error))?;
        let (send, recv) =
            connection.open_bi().await.map_err(|error| lost("the CDTunnel handshake", &error))?;
        let mut control = StreamLink::new(tokio::io::join(recv, send));
        let asked = handshake::request(&mut control, mtu.min(QUIC_MTU)).await;
        let parameters = asked.map_err(|error| reason(&connection, error))?;
        open(endpoint, connection, control, parameters, Role::Host)
    })
    .await
}

/// Device: a listener for one createListener request.
#[derive(Debug)]
pub struct QuicListener {
    endpoint: Endpoint,
}

impl QuicListener {
    /// Listens at `address`. `host_key` is the key of the createListener request (DER SubjectPublicKeyInfo): hosts with
    /// another are refused.
    pub fn bind(
        address: SocketAddr,
        identity: &QuicIdentity,
        host_key: Option<&[u8]>,
    ) -> Result<Self, TunnelError> {
        let mut config = ServerConfig::with_crypto(Arc::new(quic_tls::server(identity, host_key)?));
        config.transport_config(transport(Role::Device)?);
        Ok(Self { endpoint: endpoint(address, Some(config))? })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> Result<SocketAddr, TunnelError> {
        self.endpoint.local_addr().map_err(|source| QuicError::Socket { source }.into())
    }

    /// Waits for a host and opens a tunnel with it; grants at most [`QUIC_MTU`].
    pub async fn accept(&self, offer: &DeviceParameters) -> Result<TunnelLink, TunnelError> {
        let offer = DeviceParameters { max_mtu: offer.max_mtu.min(QUIC_MTU), ..*offer };
        let incoming = self.endpoint.accept().await;
        let incoming = incoming.ok_or(TunnelError::Closed { during: "waiting for a host" })?;
        in_time(async {
            let connection = incoming.await.map_err(|error| lost("the handshake", &error))?;
            let accepted = connection.accept_bi().await;
            let (send, recv) = accepted.map_err(|error| lost("the CDTunnel handshake", &error))?;
            let mut control = StreamLink::new(tokio::io::join(recv, send));
            let answered = handshake::answer(&mut control, &offer).await;
            let parameters = answered.map_err(|error| reason(&connection, error))?;
            open(self.endpoint.clone(), connection, control, parameters, Role::Device)
        })
        .await
    }
}

fn open(
    endpoint: Endpoint,
    connection: Connection,
    control: Control,
    parameters: Parameters,
    role: Role,
) -> Result<TunnelLink, TunnelError> {
    let (needed, got) = (usize::from(parameters.mtu), connection.max_datagram_size());
    if got.is_none_or(|room| room < needed) {
        return Err(QuicError::Datagrams { needed, got }.into());
    }
    let carrier = Carrier::Quic(QuicLink { connection, _endpoint: endpoint, _control: control });
    Ok(TunnelLink { parameters, role, suite: None, carrier })
}

/// Why the handshake's stream failed: a peer that does not like our certificate says so after the connection is up.
fn reason(connection: &Connection, error: TunnelError) -> TunnelError {
    match (error, connection.close_reason()) {
        (TunnelError::Connection { .. }, Some(closed)) => lost("the CDTunnel handshake", &closed).into(),
        (error, _) => error,
    }
}

fn transport(role: Role) -> Result<Arc<TransportConfig>, QuicError> {
    let (silence, ping) = match role {
        Role::Host => (SILENCE, PROBE_AFTER),
        Role::Device => (IDLE_TIMEOUT, IDLE_TIMEOUT.div_f32(2.0)),
    };
    let idle = IdleTimeout::try_from(silence).map_err(|error| lost("setup", &error))?;
    let mut config = TransportConfig::default();
    config.initial_mtu(UDP_PAYLOAD).min_mtu(UDP_PAYLOAD).mtu_discovery_config(None);
    config.max_idle_timeout(Some(idle)).keep_alive_interval(Some(ping));
    config.receive_window(VarInt::from_u32(STREAM_WINDOW));
    config.max_concurrent_bidi_streams(VarInt::from_u32(1)).max_concurrent_uni_streams(VarInt::from_u32(0));
    Ok(Arc::new(config))
}

fn endpoint(address: SocketAddr, config: Option<ServerConfig>) -> Result<Endpoint, QuicError> {
    let socket = |source: io::Error| QuicError::Socket { source };
    let bound = UdpSocket::bind(address).map_err(socket)?;
    Endpoint::new(EndpointConfig::default(), config, bound, Arc::new(TokioRuntime)).map_err(socket)
}

fn lost(during: &'static str, error: &dyn std::error::Error) -> QuicError {
    QuicError::Connection { during, detail: error.to_string() }
}
