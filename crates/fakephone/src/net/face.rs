//! One RSD of the phone: its ports, who is connected, and a set of service listeners for each of them. The link has one,
//! every tunnel has another.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

use futures_util::future::select_all;
use iosmux_xpc::rsd::Handshake;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use super::peers::{Action, ConnectionId, Event, Peers};
use super::rsd;
use super::services::{Offer, PeerServices};
use super::shared::{Place, Shared};
use crate::fault::Step;

/// UUIDs that wait to be looked at; a peer that sends more waits.
const INTRODUCTIONS: usize = 16;

/// RSD at one address; dropped, all of it closes.
#[derive(Debug)]
pub(super) struct Face {
    phone: Arc<Shared>,
    offer: Offer,
    ports: Vec<TcpListener>,
    peers: Peers,
    services: HashMap<Ipv6Addr, PeerServices>,
    connections: HashMap<ConnectionId, AbortHandle>,
    tasks: JoinSet<ConnectionId>,
    introductions: (mpsc::Sender<Event>, mpsc::Receiver<Event>),
    next_id: ConnectionId,
}

impl Face {
    /// RSD on these ports.
    pub(super) fn new(phone: Arc<Shared>, offer: Offer, ports: Vec<TcpListener>) -> Face {
        let rules = phone.identity.version.as_ref().is_some_and(|version| version.has_peer_rules());
        Face {
            phone,
            offer,
            ports,
            peers: Peers::new(rules),
            services: HashMap::new(),
            connections: HashMap::new(),
            tasks: JoinSet::new(),
            introductions: mpsc::channel(INTRODUCTIONS),
            next_id: 0,
        }
    }

    /// Its ports, in the order that they were given.
    pub(super) fn ports(&self) -> &[TcpListener] {
        &self.ports
    }

    /// Serves; cancelling loses nothing.
    pub(super) async fn run(&mut self) -> Infallible {
        loop {
            tokio::select! {
                (stream, from, place) = accept(&self.phone, &self.ports) => self.on_connection(stream, from, place),
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
        let in_tunnel = self.offer.step() == Step::Catalogue;
        self.phone.visits.send_modify(|visits| {
            *(if in_tunnel { &mut visits.rsd_in_tunnel } else { &mut visits.rsd_on_link }) += 1;
        });
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
        let step = self.offer.step();
        let task = self.tasks.spawn(async move {
            if let Err(error) =
                rsd::serve((connection, step), stream, place, handshake, phone, introductions).await
            {
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
        let services = PeerServices::open(&self.phone, &self.offer)?;
        let handshake = services.handshake().clone();
        self.services.insert(peer, services);
        Ok(handshake)
    }
}

/// The next connection on any of the ports; cancelling loses none.
async fn accept(phone: &Shared, ports: &[TcpListener]) -> (TcpStream, SocketAddr, Place) {
    let (accepted, ..) = select_all(ports.iter().map(|port| Box::pin(phone.accept(port)))).await;
    accepted
}
