//! A phone on the link, before it trusts anybody: who it is, and the one service that matters then.

use std::net::SocketAddrV6;

use anyhow::{Context, Result};
use iosmux_capture::Recorder;
use iosmux_pairing::envelope::remotexpc::SERVICE;
use iosmux_xpc::rsd::Catalogue;

use super::rsd::{self, Remote};

/// A phone that has introduced itself on the link.
pub(super) struct LinkPhone {
    pub(super) udid: String,
    /// Its RSD.
    pub(super) at: SocketAddrV6,
    /// Where it pairs.
    pub(super) tunnel_service: SocketAddrV6,
    /// How many services it offers before trust.
    pub(super) services: usize,
    /// The conversation stays open while its services are in use.
    remote: Remote,
}

impl LinkPhone {
    /// Reads the phone's Handshake.
    pub(super) async fn meet(announced: SocketAddrV6, recorder: Option<&Recorder>) -> Result<Self> {
        let (remote, at) = rsd::on_link(announced, recorder).await?;
        let catalogue: Catalogue = remote.handshake.clone().into();
        let udid = catalogue.property("UniqueDeviceID").map(str::to_owned);
        let udid = udid.with_context(|| format!("the Handshake of {at} has no UniqueDeviceID"))?;
        let service = catalogue.services.get(SERVICE);
        let service = service.with_context(|| format!("{udid} offers no {SERVICE}: iOS 17 or later does"))?;
        Ok(Self {
            udid,
            at,
            tunnel_service: SocketAddrV6::new(*at.ip(), service.port, 0, at.scope_id()),
            services: catalogue.services.len(),
            remote,
        })
    }

    /// Ends the conversation; tunnels live on.
    pub(super) async fn leave(self) {
        rsd::close(self.remote).await;
    }
}
