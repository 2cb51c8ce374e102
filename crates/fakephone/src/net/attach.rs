//! One attach: everything a phone listens on while it has a link; dropped, all of it closes.

use std::io;
use std::sync::Arc;

use iosmux_link::LinkAddress;
use iosmux_mdns::io::Announcer;
use tokio::sync::mpsc;

use super::error::{Error, ListenError};
use super::face::Face;
use super::network::Network;
use super::services::Offer;
use super::shared::{Shared, listen};
use super::tunnels::Tunnels;

/// The fixed RSD port of a private link. Source: protocol.md §2 (RSD port).
pub const RSD_PORT: u16 = 58783;

/// The link's RSD, the tunnels that were opened over it, and the announcement for paired hosts.
#[derive(Debug)]
pub(super) struct Attach {
    phone: Arc<Shared>,
    link: LinkAddress,
    face: Face,
    tunnels: Arc<Tunnels>,
    network: Option<Network>,
    /// What ends the phone.
    broken: mpsc::Receiver<Error>,
}

impl Attach {
    /// Opens both RSD ports.
    pub(super) fn open(phone: Arc<Shared>, link: LinkAddress) -> Result<Attach, ListenError> {
        let open = |port| {
            let address = link.socket(port);
            listen(address).map_err(|source| ListenError { address, source })
        };
        let ports = vec![open(RSD_PORT)?, open(0)?];
        let (breaks, broken) = mpsc::channel(1);
        let tunnels = Arc::new(Tunnels::new(Arc::clone(&phone), link, breaks));
        let offer = Offer::link(&phone.identity, link, Arc::clone(&tunnels));
        let face = Face::new(Arc::clone(&phone), offer, ports);
        Ok(Attach { phone, link, face, tunnels, network: None, broken })
    }

    /// The port that belongs into the announcement.
    pub(super) fn announced_port(&self) -> io::Result<u16> {
        match self.face.ports() {
            [_, announced, ..] => Ok(announced.local_addr()?.port()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Serves until something breaks; cancelling loses nothing.
    pub(super) async fn run(&mut self) -> Error {
        let mut hosts = self.phone.accessory.hosts();
        loop {
            let paired = !hosts.borrow_and_update().is_empty();
            if self.network.is_none() && paired && self.phone.is_announced() {
                match Network::open(&self.phone, self.link, &self.tunnels) {
                    Ok(network) => self.network = Some(network),
                    Err(error) => return error,
                }
            }
            tokio::select! {
                never = self.face.run() => match never {},
                never = Network::run(&mut self.network) => match never {},
                Some(error) = self.broken.recv() => return error,
                // The phone holds the other end.
                Ok(()) = hosts.changed() => {}
            }
        }
    }

    /// Closes everything; what is announced can still say goodbye.
    pub(super) fn close(self) -> Option<Announcer> {
        self.network.map(Network::close)
    }
}
