//! One attach: everything a phone listens on while it has a link; dropped, all of it closes.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

use iosmux_xpc::rsd::Handshake;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use super::link::LinkAddress;
use super::peers::{Action, ConnectionId, Event, Peers};
use super::rsd;
use super::services::PeerServices;
use super::shared::{Place, Shared, listen};

/// The fixed RSD port of a private link. Source: protocol.md §2 (RSD port).
pub const RSD_PORT: u16 = 58783;

/// UUIDs that wait to be looked at; a peer that sends more waits.
const INTRODUCTIONS: usize = 16;

/// The listeners of one attach and the connections they accepted.
#[derive(Debug)]
pub(super) struct Attach {
    phone: Arc<Shared>,
    link: LinkAddress,
    fixed: TcpListener,
    announced: TcpListener,
    peers: Peers,
    services: HashMap<Ipv6Addr, PeerServices>,
    connections: HashMap<ConnectionId, AbortHandle>,
    tasks: JoinSet<ConnectionId>,
    introductions: (mpsc::Sender<Event>, mpsc::Receiver<Event>),
    next_id: ConnectionId,
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

impl Attach {
    /// Opens both RSD ports.
    pub(super) fn open(phone: Arc<Shared>, link: LinkAddress) -> Result<Attach, ListenError> {
        let open = |port| {
            let address = link.socket(port);
            listen(address).map_err(|source| ListenError { address, source })
        };
        let rules = phone.identity.version.as_ref().is_some_and(|version| version.has_peer_rules());
        Ok(Attach {
            phone,
            link,
            fixed: open(RSD_PORT)?,
            announced: open(0)?,
            peers: Peers::new(rules),
            services: HashMap::new(),
            connections: HashMap::new(),
            tasks: JoinSet::new(),
            introductions: mpsc::channel(INTRODUCTIONS),
            next_id: 0,
        })
    }

    /// The port that belongs into the announcement.
    pub(super) fn announced_port(&self) -> io::Result<u16> {
        Ok(self.announced.local_addr()?.port())
    }

    /// Serves; cancelling loses nothing.
    pub(super) async fn run(&mut self) -> std::convert::Infallible {
        loop {
            tokio::select! {
                (stream, from, place) = self.phone.accept(&self.fixed) => self.on_connection(stream, from, place),
                (stream, from, place) = self.phone.accept(&self.announced) => self.on_connection(stream, from, place),
                Some(event) = self.introductions.1.recv() => self.carry_out(event, &mut None),
                Some(ended) = self.tasks.join_next() => {
                    // A task that was aborted left the tables when it was.
                    if let Ok(connection) = ended {
                        self.connections.remove(&connection);
                        self.carry_out(Event::Closed { connection }, &mut None);
                    }
                }
            }
        }
    }

    fn on_connection(&mut self, stream: TcpStream, from: SocketAddr, place: Place) {
        let SocketAddr::V6(from) = from else { return };
        let connection = self.next_id;
        self.next_id += 1;
        tracing::debug!(%from, connection, "RSD connected");
        self.carry_out(Event::Connected { peer: *from.ip(), connection }, &mut Some((stream, place)));
    }

    fn carry_out(&mut self, event: Event, new: &mut Option<(TcpStream, Place)>) {
        for action in self.peers.on(event) {
            match action {
                Action::CloseServices(peer) => {
                    tracing::info!(%peer, "service listeners closed");
                    self.services.remove(&peer);
                }
                Action::OpenServices(peer) => {
                    if let Err(error) = self.handshake(peer) {
                        tracing::warn!(%peer, %error, "services can't listen");
                    }
                }
                Action::CloseConnection(connection) => {
                    tracing::info!(connection, "RSD connection replaced");
                    if let Some(task) = self.connections.remove(&connection) {
                        task.abort();
                    }
                }
                Action::Refuse(connection) => {
                    tracing::warn!(connection, "too many peers: RSD connection refused");
                }
                Action::Serve(connection, peer) => {
                    if let Some((stream, place)) = new.take() {
                        self.serve(connection, peer, stream, place);
                    }
                }
            }
        }
    }

    fn serve(&mut self, connection: ConnectionId, peer: Ipv6Addr, stream: TcpStream, place: Place) {
        let handshake = match self.handshake(peer) {
            Ok(handshake) => handshake,
            Err(error) => {
                tracing::warn!(%peer, %error, "services can't listen: RSD connection refused");
                self.carry_out(Event::Closed { connection }, &mut None);
                return;
            }
        };
        let (phone, introductions) = (Arc::clone(&self.phone), self.introductions.0.clone());
        let task = self.tasks.spawn(async move {
            if let Err(error) = rsd::serve(connection, stream, place, handshake, phone, introductions).await {
                tracing::debug!(connection, %error, "RSD connection failed");
            }
            connection
        });
        self.connections.insert(connection, task);
    }

    /// What the peer is told; opens its listeners when there are none.
    fn handshake(&mut self, peer: Ipv6Addr) -> io::Result<Handshake> {
        if let Some(services) = self.services.get(&peer) {
            return Ok(services.handshake().clone());
        }
        let services = PeerServices::open(&self.phone, self.link)?;
        let handshake = services.handshake().clone();
        self.services.insert(peer, services);
        Ok(handshake)
    }
}
