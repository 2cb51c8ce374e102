//! A tunnel from the VM to a phone, with an interface in the VM.

use std::net::SocketAddrV6;

use anyhow::{Context, Result};
use iosmux_pairing::control::host::WishedTransport;
use iosmux_tunnel::io::{Options, TunDevice, Tunnel, connect_tcp};
use iosmux_tunnel::parameters::Role;
use iosmux_tunnel::{Parameters, TCP_MTU, Transport};

use super::pair::ControlChannel;
use super::rsd;

/// Not `tun…`: pymobiledevice3 passes over those. Source: platform.md (peers).
const INTERFACE: &str = "iosmux-tun%d";

/// A tunnel that is up. Dropping it takes it down.
pub(super) struct OpenTunnel {
    pub(super) interface: String,
    pub(super) transport: Transport,
    pub(super) parameters: Parameters,
    /// Moves the packets.
    running: Tunnel,
}

impl OpenTunnel {
    /// Asks the phone for a listener on its end of the link, and opens a tunnel to it.
    pub(super) async fn open(udid: &str, mut channel: ControlChannel, phone: SocketAddrV6) -> Result<Self> {
        let opened = Self::over_tcp(&mut channel, phone).await;
        channel.close().await;
        opened.with_context(|| format!("open a tunnel to {udid}"))
    }

    async fn over_tcp(channel: &mut ControlChannel, phone: SocketAddrV6) -> Result<Self> {
        let (answer, psk) = channel.listener(WishedTransport::Tcp).await?;
        let psk = psk.context("there is no key for a tunnel over TCP")?;
        let listener = SocketAddrV6::new(*phone.ip(), answer.port, 0, phone.scope_id());
        let link = connect_tcp(rsd::connect(listener).await?, psk.expose(), TCP_MTU).await?;
        let parameters = *link.parameters();
        let device = TunDevice::open(Some(INTERFACE), &parameters, Role::Host)?;
        let interface = device.name().to_owned();
        let running = Tunnel::run(link, device, Options::default())?;
        Ok(Self { interface, transport: Transport::Tcp, parameters, running })
    }

    /// Takes it down and waits until its connection is closed on this side.
    pub(super) async fn close(self) {
        let ended = self.running.stop().await;
        tracing::debug!(?ended, interface = %self.interface, "the tunnel is closed");
    }

    /// Where the phone's RSD is inside of it.
    pub(super) fn rsd(&self) -> SocketAddrV6 {
        SocketAddrV6::new(self.parameters.server_address, self.parameters.server_rsd_port, 0, 0)
    }
}
