//! What every connection of one phone needs.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use iosmux_xpc::session::SessionConfig;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use iosmux_xpc::io::{Connection, Events};

use super::visits::Visits;
use crate::accessory::{Accessory, AccessoryError, DialogueError, PairingConfig};
use crate::fault::{Fault, FaultStream, Lease, Step};
use crate::identity::Identity;
use crate::lockdown::LockdownValues;
use crate::not_sourced::Gaps;

/// Connections that may wait to be accepted, for each port. The bound is our own.
pub(super) const BACKLOG: u32 = 64;
/// The pause after a failed accept: without it a phone out of file descriptors spins.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How much peers may ask of one phone. The bounds are our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneLimits {
    /// TCP connections at the same time, RSD and services together; one more is closed unserved.
    pub connections: usize,
    /// Tunnels at the same time, those that wait for their host included.
    pub tunnels: usize,
    /// From connecting to a whole RSDCheckin, and from the first byte of a later lockdown message to its last.
    pub lockdown_deadline: Duration,
    /// Limits of every RemoteXPC session.
    pub session: SessionConfig,
}

impl Default for PhoneLimits {
    fn default() -> Self {
        PhoneLimits {
            connections: 64,
            tunnels: 4,
            lockdown_deadline: Duration::from_secs(10),
            session: SessionConfig::default(),
        }
    }
}

/// One phone, as its connections see it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) identity: Identity,
    pub(super) values: Arc<LockdownValues>,
    pub(super) faults: Vec<Fault>,
    pub(super) limits: PhoneLimits,
    pub(super) gaps: Gaps,
    pub(super) accessory: Accessory,
    pub(super) visits: watch::Sender<Visits>,
    connections: Arc<Semaphore>,
    /// How many Handshakes on the link are still to hide who it is.
    locked: AtomicU32,
}

/// A place among a phone's connections.
pub(super) type Place = OwnedSemaphorePermit;

/// A session's connection ends when this is dropped.
pub(super) type Alive = oneshot::Sender<std::convert::Infallible>;

impl Shared {
    pub(super) fn new(
        identity: Identity,
        faults: Vec<Fault>,
        limits: PhoneLimits,
        pairing: PairingConfig,
    ) -> Result<Shared, AccessoryError> {
        let close_after_pairing = faults.contains(&Fault::CloseAfterPairing);
        let locked = faults.iter().find_map(|fault| match fault {
            Fault::Locked(count) => Some(*count),
            _ => None,
        });
        Ok(Shared {
            accessory: Accessory::new(pairing, &identity, close_after_pairing)?,
            values: Arc::new(LockdownValues::from_properties(&identity.handshake().properties)),
            connections: Arc::new(Semaphore::new(limits.connections)),
            locked: AtomicU32::new(locked.unwrap_or(0)),
            gaps: Gaps::default(),
            visits: watch::Sender::default(),
            identity,
            faults,
            limits,
        })
    }

    /// Says how a control channel ended, and counts the gap if it was one.
    pub(super) fn channel_ended(&self, service: &str, ended: Result<(), DialogueError>) {
        let Err(error) = ended else { return };
        match error.gap() {
            Some(gap) => self.gaps.count(gap, service),
            None => tracing::info!(service, %error, "a control channel ended"),
        }
    }

    /// The next connection and its place; those beyond the limit are closed at once.
    pub(super) async fn accept(&self, listener: &TcpListener) -> (TcpStream, SocketAddr, Place) {
        loop {
            match listener.accept().await {
                Ok((stream, from)) => match Arc::clone(&self.connections).try_acquire_owned() {
                    Ok(place) => return (stream, from, place),
                    Err(_) => {
                        tracing::warn!(%from, limit = self.limits.connections, "too many connections: refused");
                    }
                },
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Whether nothing is ever said.
    pub(super) fn is_silent(&self) -> bool {
        self.faults.contains(&Fault::Silent)
    }

    /// Whether anything is announced.
    pub(super) fn is_announced(&self) -> bool {
        !self.faults.contains(&Fault::NoAnnounce)
    }

    /// Whether nothing is said at a step.
    pub(super) fn hangs(&self, step: Step) -> bool {
        self.is_silent() || self.faults.contains(&Fault::Hang(step))
    }

    /// Whether the Handshake that is about to be sent at this step hides who it is; each time counts.
    pub(super) fn hides(&self, step: Step) -> bool {
        let one_less = |left: u32| left.checked_sub(1);
        step == Step::Rsd && self.locked.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }

    /// The faults of connections to services.
    pub(super) fn service_faults(&self) -> Vec<Fault> {
        self.faults.iter().copied().filter(|fault| fault.on_every_connection()).collect()
    }

    /// Awaits a RemoteXPC client. The session's task has the stream and the place; it ends with the third value.
    pub(super) fn remote_xpc(
        &self,
        stream: TcpStream,
        place: Place,
        faults: &[Fault],
    ) -> (Connection, Events, Alive) {
        let (alive, until) = oneshot::channel();
        let stream = FaultStream::new(stream, faults).on_lease(Lease { held: Box::new(place), until });
        let (connection, events) = Connection::server(stream, self.limits.session.clone());
        (connection, events, alive)
    }
}

/// Listens at an address.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v6()?;
    // Connections of the attach before may still linger on the fixed port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
