//! The listeners that hosts ask for, and the tunnels that come of them.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener as StdTcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use iosmux_link::LinkAddress;
use iosmux_pairing::control::device::Listening;
use iosmux_pairing::io::random;
use iosmux_pairing::listener::{CreateListener, Transport};
use iosmux_tunnel::io::{QuicIdentity, QuicListener, TunnelError};
use iosmux_tunnel::{DeviceParameters, Psk, TCP_MTU};
use iosmux_xpc::NotSourced;
use rand_core::Rng as _;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinSet, spawn_blocking};

use super::error::Error;
use super::shared::{BACKLOG, Shared, listen};
use super::tunnel::{Door, Pending};
use crate::accessory::{Opener, Refusal};
use crate::fault::Step;
use crate::not_sourced::{LISTENER_KEY, QUIC_AFTER_REMOVAL, UDP_LISTENER};

/// The tunnels of one attach; dropped, all of them end.
#[derive(Debug)]
pub(super) struct Tunnels {
    phone: Arc<Shared>,
    link: LinkAddress,
    places: Arc<Semaphore>,
    quic: OnceCell<Arc<QuicIdentity>>,
    tasks: Mutex<JoinSet<()>>,
    /// Where a failure goes that is this computer's: no phone can work on it.
    breaks: mpsc::Sender<Error>,
}

/// A host that may ask for listeners; each is for this host alone.
#[derive(Debug)]
pub(super) struct Requester {
    pub(super) tunnels: Arc<Tunnels>,
    pub(super) peer: Ipv6Addr,
}

impl Opener for Requester {
    async fn open(&self, request: CreateListener) -> Result<Listening, Refusal> {
        self.tunnels.open(self.peer, &request).await
    }
}

impl Tunnels {
    /// No tunnels yet.
    pub(super) fn new(phone: Arc<Shared>, link: LinkAddress, breaks: mpsc::Sender<Error>) -> Tunnels {
        let places = Arc::new(Semaphore::new(phone.limits.tunnels));
        Tunnels { phone, link, places, quic: OnceCell::new(), tasks: Mutex::default(), breaks }
    }

    async fn open(&self, peer: Ipv6Addr, request: &CreateListener) -> Result<Listening, Refusal> {
        if self.phone.hangs(Step::Listener) {
            return std::future::pending().await;
        }
        let place = self.place()?;
        let (door, port, device_public_key) = match request.transport {
            Transport::Tcp => {
                Psk::new(&request.key).map_err(|_| LISTENER_KEY)?;
                let listener = listen(self.link.socket(0))?;
                let port = listener.local_addr()?.port();
                let door = Door::Tcp { listener, psk: request.key.clone(), peer };
                (door, port, self.phone.accessory.public_key())
            }
            Transport::Quic => self.quic_door(request).await?,
            Transport::Udp => return Err(UDP_LISTENER.into()),
        };
        let (parameters, rsd) = inside()?;
        tracing::info!(%peer, port, transport = request.transport.name(), "listens for a tunnel");
        let pending = Pending { phone: Arc::clone(&self.phone), door, parameters, rsd };
        self.spawn(pending, place);
        Ok(Listening { port, device_public_key, service_name: None })
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let limit = self.phone.limits.tunnels;
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| Refusal::Busy { limit })
    }

    async fn quic_door(&self, request: &CreateListener) -> Result<(Door, u16, Vec<u8>), Refusal> {
        self.check_quic()?;
        let identity = self.quic.get_or_try_init(generate).await?;
        let address = self.link.socket(0);
        let listener = match QuicListener::bind(address, identity, Some(&request.key)) {
            Ok(listener) => listener,
            Err(TunnelError::Quic(error)) if is_about_the_key(&error) => return Err(LISTENER_KEY.into()),
            Err(error) => return Err(error.into()),
        };
        let port = listener.local_addr()?.port();
        Ok((Door::Quic(listener), port, identity.public_key().to_vec()))
    }

    /// From iOS 18.2 on there is none, and what is answered then is not known. Source: protocol.md §5.11.
    fn check_quic(&self) -> Result<(), NotSourced> {
        let version = self.phone.identity.version.as_ref().map(ToString::to_string);
        let offered = version.and_then(|version| iosmux_tunnel::Transport::offered_by(&version).ok());
        match offered {
            Some(offered) if !offered.contains(&iosmux_tunnel::Transport::Quic) => Err(QUIC_AFTER_REMOVAL),
            _ => Ok(()),
        }
    }

    fn spawn(&self, pending: Pending, place: OwnedSemaphorePermit) {
        let breaks = self.breaks.clone();
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that have ended; without this the set only grows.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            let _place = place;
            if let Err(error) = pending.run().await {
                // One reason is enough.
                let _ = breaks.try_send(error);
            }
        });
    }
}

async fn generate() -> Result<Arc<QuicIdentity>, TunnelError> {
    let made = spawn_blocking(QuicIdentity::generate).await;
    let made = made.map_err(|error| TunnelError::Relay { source: io::Error::other(error) })?;
    Ok(Arc::new(made.map_err(TunnelError::Quic)?))
}

/// Whether it is the host's key that is wrong.
fn is_about_the_key(error: &iosmux_tunnel::io::QuicError) -> bool {
    matches!(error, iosmux_tunnel::io::QuicError::Certificate { what: "read", .. })
}

/// A new network for a tunnel, and the RSD port on the phone's end of it, which does not exist yet: its number is told
/// before there is anything to tell it over.
fn inside() -> io::Result<(DeviceParameters, TcpListener)> {
    let [server_address, client_address] = ends();
    let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_freebind_v6(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::V6(SocketAddrV6::new(server_address, 0, 0, 0)).into())?;
    socket.listen(i32::try_from(BACKLOG).unwrap_or(i32::MAX))?;
    let rsd = TcpListener::from_std(StdTcpListener::from(socket))?;
    let server_rsd_port = rsd.local_addr()?.port();
    Ok((DeviceParameters { server_address, server_rsd_port, client_address, max_mtu: TCP_MTU }, rsd))
}

/// A unique local /64, whose subnet is zero: the phone's end ::1, the host's ::2. Source: protocol.md §5.9; RFC 4193 §3.2.
fn ends() -> [Ipv6Addr; 2] {
    let mut global_id = [0; 5];
    random().fill_bytes(&mut global_id);
    let [a, b, c, d, e] = global_id;
    let end = |last| Ipv6Addr::from([0xfd, a, b, c, d, e, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    [end(1), end(2)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tunnel_has_a_network_of_its_own() {
        let [phone, host] = ends();
        assert!(phone.is_unique_local() && host.is_unique_local());
        assert_eq!(phone.segments()[..7], host.segments()[..7]);
        assert_eq!((phone.segments()[7], host.segments()[7]), (1, 2));
        assert_ne!(ends()[0], phone);
    }
}
