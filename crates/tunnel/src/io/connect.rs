//! Opening tunnels, both ends, over TCP with TLS and over any stream. QUIC is in [`super::quic`].

use super::error::TunnelError;
use super::handshake;
use super::link::Link as _;
use super::quic::QuicLink;
use super::stream::{Stream, StreamLink};
use super::suite::Suite;
use super::tls;
use super::tls_link::TlsLink;
use crate::parameters::{DeviceParameters, Parameters, Role};
use crate::psk::Psk;
use std::future::Future;
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;

/// The longest that the TLS and CDTunnel handshakes may take together.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);

/// The longest that a peer may stay silent to probes, or leave data unacknowledged, before the connection counts as
/// broken: a phone that was unplugged says no goodbye.
pub const SILENCE: Duration = Duration::from_secs(13);

/// Silence after which a peer is probed.
pub(crate) const PROBE_AFTER: Duration = Duration::from_secs(4);

/// Between probes: after three of them [`SILENCE`] has passed.
const PROBE_EVERY: Duration = Duration::from_secs(3);

/// A tunnel that is open and not running yet: give it to [`super::Tunnel::run`].
#[derive(Debug)]
pub struct TunnelLink {
    pub(crate) parameters: Parameters,
    pub(crate) role: Role,
    pub(crate) suite: Option<Suite>,
    pub(crate) carrier: Carrier,
}

/// The connection under a tunnel.
#[derive(Debug)]
pub(crate) enum Carrier {
    Tls(Box<TlsLink>),
    Stream(Box<StreamLink<Box<dyn Stream>>>),
    Quic(QuicLink),
}

impl TunnelLink {
    /// What both ends agreed on.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The side that this end is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The TLS suite, over TCP.
    pub fn suite(&self) -> Option<Suite> {
        self.suite
    }

    /// The same, with other parameters than those that were agreed on: for a simulated phone that lies.
    #[must_use]
    pub fn believing(mut self, parameters: Parameters) -> Self {
        self.parameters = parameters;
        self
    }

    /// The same, taken out of the current runtime.
    pub(crate) fn detached(mut self) -> Result<Self, TunnelError> {
        let detached = match &mut self.carrier {
            Carrier::Tls(link) => link.detach(),
            Carrier::Stream(link) => link.detach(),
            Carrier::Quic(_) => Ok(()),
        };
        detached.map_err(|source| TunnelError::Relay { source })?;
        Ok(self)
    }
}

/// Host: opens a tunnel over a connection to the port that createListener gave. `psk` is what createListener was given,
/// `mtu` what to ask for in bytes ([`crate::TCP_MTU`]).
///
/// Fails when the keys differ, when no suite is common, when the device's answer is not acceptable, and after
/// [`HANDSHAKE_TIMEOUT`].
pub async fn connect_tcp(stream: TcpStream, psk: &[u8], mtu: u16) -> Result<TunnelLink, TunnelError> {
    connect_tcp_with(stream, psk, mtu, &Suite::HOST).await
}

/// [`connect_tcp`] with suites of the caller's choice, the preferred one first.
pub async fn connect_tcp_with(
    stream: TcpStream,
    psk: &[u8],
    mtu: u16,
    suites: &[Suite],
) -> Result<TunnelLink, TunnelError> {
    let psk = Psk::new(psk)?;
    in_time(async {
        prepare(&stream)?;
        let (mut link, suite) = tls::open(stream, Role::Host, psk, suites).await?;
        let parameters = handshake::request(&mut link, mtu).await?;
        Ok(TunnelLink {
            parameters,
            role: Role::Host,
            suite: Some(suite),
            carrier: Carrier::Tls(Box::new(link)),
        })
    })
    .await
}

/// Device: answers a host that connected to a listener's port. `psk` is what the host's createListener gave.
pub async fn accept_tcp(
    stream: TcpStream,
    psk: &[u8],
    offer: &DeviceParameters,
) -> Result<TunnelLink, TunnelError> {
    accept_tcp_with(stream, psk, offer, &Suite::DEVICE).await
}

/// [`accept_tcp`] with suites of the caller's choice, the preferred one first.
pub async fn accept_tcp_with(
    stream: TcpStream,
    psk: &[u8],
    offer: &DeviceParameters,
    suites: &[Suite],
) -> Result<TunnelLink, TunnelError> {
    let psk = Psk::new(psk)?;
    in_time(async {
        prepare(&stream)?;
        let (mut link, suite) = tls::open(stream, Role::Device, psk, suites).await?;
        let parameters = handshake::answer(&mut link, offer).await?;
        let carrier = Carrier::Tls(Box::new(link));
        Ok(TunnelLink { parameters, role: Role::Device, suite: Some(suite), carrier })
    })
    .await
}

/// Host: opens a tunnel over any stream, for lockdown's CoreDeviceProxy. The stream should pass each write on at once.
pub async fn connect_stream(stream: impl Stream, mtu: u16) -> Result<TunnelLink, TunnelError> {
    let mut link = StreamLink::new(Box::new(stream) as Box<dyn Stream>);
    let parameters = in_time(handshake::request(&mut link, mtu)).await?;
    let carrier = Carrier::Stream(Box::new(link));
    Ok(TunnelLink { parameters, role: Role::Host, suite: None, carrier })
}

/// Device: answers a host over any stream.
pub async fn accept_stream(stream: impl Stream, offer: &DeviceParameters) -> Result<TunnelLink, TunnelError> {
    let mut link = StreamLink::new(Box::new(stream) as Box<dyn Stream>);
    let parameters = in_time(handshake::answer(&mut link, offer)).await?;
    let carrier = Carrier::Stream(Box::new(link));
    Ok(TunnelLink { parameters, role: Role::Device, suite: None, carrier })
}

/// Ends a handshake that takes too long.
pub(crate) async fn in_time<T>(
    handshake: impl Future<Output = Result<T, TunnelError>>,
) -> Result<T, TunnelError> {
    let timed_out = TunnelError::Timeout { what: "opening the tunnel", after: HANDSHAKE_TIMEOUT };
    tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await.unwrap_or(Err(timed_out))
}

/// Each packet leaves at once, and a phone that was unplugged is noticed.
fn prepare(stream: &TcpStream) -> Result<(), TunnelError> {
    let set = || -> io::Result<()> {
        stream.set_nodelay(true)?;
        let socket = socket2::SockRef::from(stream);
        let probes = socket2::TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EVERY);
        socket.set_tcp_keepalive(&probes.with_retries(3))?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(SILENCE))?;
        Ok(())
    };
    set().map_err(|source| TunnelError::Connection { during: "setup", source })
}
