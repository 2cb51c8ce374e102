//! RemotePairing as a phone on a network offers it to the hosts that it paired with: `_remotepairing._tcp`.
//!
//! Source: protocol.md §2, §5.1 item 2.

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;

use iosmux_link::LinkAddress;
use iosmux_mdns::Service;
use iosmux_mdns::io::{AnnounceConfig, Announcer};
use iosmux_pairing::io::wire::RpPairing;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::error::{Error, ListenError};
use super::shared::{Place, Shared, listen};
use super::tunnels::{Requester, Tunnels};
use crate::accessory::{self, Channel};
use crate::fault::FaultStream;

/// Source: protocol.md §2.
const SERVICE_TYPE: &str = "_remotepairing._tcp";

/// The port for paired hosts and its announcement; dropped, both end.
#[derive(Debug)]
pub(super) struct Network {
    phone: Arc<Shared>,
    tunnels: Arc<Tunnels>,
    port: TcpListener,
    announcer: Announcer,
    connections: JoinSet<()>,
}

impl Network {
    /// Listens and announces, under an identifier that only paired hosts recognise.
    pub(super) fn open(
        phone: &Arc<Shared>,
        link: LinkAddress,
        tunnels: &Arc<Tunnels>,
    ) -> Result<Network, Error> {
        let address = link.socket(0);
        let failed = |source| ListenError { address, source };
        let port = listen(address).map_err(failed)?;
        let number = port.local_addr().map_err(failed)?.port();
        // Opaque, and another one each time. Source: protocol.md §2.
        let identifier = Uuid::new_v4().hyphenated().to_string().to_uppercase();
        let service = Service::new(&identifier, SERVICE_TYPE, phone.identity.host_name.as_str(), number)
            .with_addresses([link.address])
            .with_txt(phone.accessory.announcement(&identifier));
        let announcer = Announcer::start(AnnounceConfig::new(link.index, service))?;
        tracing::info!(port = number, "announced for paired hosts");
        Ok(Network {
            phone: Arc::clone(phone),
            tunnels: Arc::clone(tunnels),
            port,
            announcer,
            connections: JoinSet::new(),
        })
    }

    /// Serves, if there is anything to; cancelling loses nothing.
    pub(super) async fn run(network: &mut Option<Network>) -> Infallible {
        let Some(network) = network else { return pending().await };
        loop {
            tokio::select! {
                (stream, from, place) = network.phone.accept(&network.port) => network.serve(stream, from, place),
                Some(_) = network.connections.join_next() => {}
            }
        }
    }

    fn serve(&mut self, stream: TcpStream, from: SocketAddr, place: Place) {
        let SocketAddr::V6(from) = from else { return };
        let (phone, tunnels) = (Arc::clone(&self.phone), Arc::clone(&self.tunnels));
        self.connections.spawn(async move {
            let _place = place;
            let stream = FaultStream::new(stream, &phone.service_faults());
            if phone.is_silent() {
                return stream.stay_silent().await;
            }
            let requester = Requester { tunnels, peer: *from.ip() };
            let wire = RpPairing::new(stream);
            let ended = accessory::run(wire, &phone.accessory, Channel::Network, &requester).await;
            phone.channel_ended(SERVICE_TYPE, ended);
        });
    }

    /// Closes the port; the announcement can still say goodbye.
    pub(super) fn close(self) -> Announcer {
        self.announcer
    }
}
