//! Why the network face can't be, or can't go on.

use std::io;
use std::net::SocketAddr;

use iosmux_link::LinkError;
use iosmux_tunnel::io::TunError;

use crate::accessory::AccessoryError;
use crate::identity::NoUdid;

/// Why a phone could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody knows which phone it is.
    #[error(transparent)]
    Identity(#[from] NoUdid),
    /// It has no long-term identity.
    #[error(transparent)]
    Accessory(#[from] AccessoryError),
    /// A tunnel has no interface.
    #[error("the phone's tunnels need /dev/net/tun: {0}")]
    Tun(TunError),
    /// The kernel can't be asked about the link.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A port can't be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// It can't be announced.
    #[error("the phone can't be announced: {0}")]
    Announce(#[from] iosmux_mdns::io::Error),
}

/// A port that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("can't listen at {address}: {source}")]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// What the kernel said.
    pub source: io::Error,
}
