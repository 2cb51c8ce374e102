//! What a phone offers to those it trusts: the Handshake inside of its tunnel.

use std::net::{Ipv6Addr, SocketAddrV6};

use anyhow::{Context, Result, ensure};
use iosmux_capture::Recorder;
use iosmux_xpc::rsd::Catalogue;

use super::rsd;
use super::tunnel::OpenTunnel;

/// A phone as it introduced itself, and how it was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Phone {
    pub(crate) udid: String,
    pub(crate) product_type: String,
    pub(crate) os_version: String,
    pub(crate) build_version: String,
    /// How many it offers inside of the tunnel.
    pub(crate) services: usize,
    /// Its RSD on the link.
    pub(crate) address: Ipv6Addr,
    pub(crate) port: u16,
    pub(crate) transport: String,
    pub(crate) tunnel: TunnelEnd,
}

/// The tunnel to a phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TunnelEnd {
    /// The phone's end.
    pub(crate) address: Ipv6Addr,
    pub(crate) rsd_port: u16,
    /// The VM's interface.
    pub(crate) interface: String,
    /// In bytes.
    pub(crate) mtu: u16,
}

/// Reads the Handshake inside of the tunnel and closes the connection; `udid` and `link` are what the link said.
pub(super) async fn read(
    tunnel: &OpenTunnel,
    udid: &str,
    link: SocketAddrV6,
    recorder: Option<&Recorder>,
) -> Result<Phone> {
    let at = tunnel.rsd();
    let remote = rsd::in_tunnel(at, recorder).await?;
    let catalogue: Catalogue = remote.handshake.clone().into();
    rsd::close(remote).await;
    let property = |name: &'static str| {
        let value = catalogue.property(name).map(str::to_owned);
        value.with_context(|| format!("the Handshake of {at} has no {name}"))
    };
    let inside = property("UniqueDeviceID")?;
    ensure!(inside == udid, "the phone calls itself {udid} on the link and {inside} inside of the tunnel");
    Ok(Phone {
        udid: inside,
        product_type: property("ProductType")?,
        os_version: property("OSVersion")?,
        build_version: property("BuildVersion")?,
        services: catalogue.services.len(),
        address: *link.ip(),
        port: link.port(),
        transport: tunnel.transport.to_string(),
        tunnel: TunnelEnd {
            address: *at.ip(),
            rsd_port: at.port(),
            interface: tunnel.interface.clone(),
            mtu: tunnel.parameters.mtu,
        },
    })
}
