//! The service listeners of one peer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use iosmux_link::LinkAddress;
use iosmux_pairing::io::wire::RemoteXpc;
use iosmux_xpc::io::{Error, Event};
use iosmux_xpc::rsd::Handshake;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::kind::ServiceKind;
use super::shared::{Place, Shared, listen};
use super::tunnels::{Requester, Tunnels};
use crate::accessory::{self, Channel};
use crate::fault::{FaultStream, Step};
use crate::identity::Identity;
use crate::lockdown::{self, Role};
use crate::not_sourced::{OPAQUE_SERVICE_PAYLOAD, REMOTE_XPC_SERVICE_PAYLOAD, TUNNEL_SERVICE_IN_TUNNEL};

/// What an RSD offers, and where.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    /// Every service has a port here; its own port is of no meaning.
    at: SocketAddr,
    /// With the ports of the capture.
    handshake: Handshake,
    /// What the tunnel service opens; inside of a tunnel it opens nothing.
    tunnels: Option<Arc<Tunnels>>,
}

impl Offer {
    /// The services of the link.
    pub(super) fn link(identity: &Identity, link: LinkAddress, tunnels: Arc<Tunnels>) -> Offer {
        Offer { at: link.socket(0), handshake: identity.handshake().clone(), tunnels: Some(tunnels) }
    }

    /// The services inside of a tunnel whose end on this side is `at`.
    pub(super) fn tunnel(identity: &Identity, at: SocketAddr) -> Offer {
        Offer { at, handshake: identity.tunnel_handshake(), tunnels: None }
    }

    /// The step at which a host reads this offer.
    pub(super) fn step(&self) -> Step {
        if self.tunnels.is_some() { Step::Rsd } else { Step::Catalogue }
    }

    fn port_of_any(&self) -> SocketAddr {
        let mut at = self.at;
        at.set_port(0);
        at
    }
}

/// A listener per service, and the connections they accepted; dropped, all of them close.
#[derive(Debug)]
pub(super) struct PeerServices {
    handshake: Handshake,
    _tasks: JoinSet<()>,
}

impl PeerServices {
    /// Binds a port for every service of the catalogue.
    pub(super) fn open(phone: &Arc<Shared>, offer: &Offer) -> io::Result<PeerServices> {
        let mut handshake = offer.handshake.clone();
        let mut tasks = JoinSet::new();
        for (name, service) in handshake.services.iter_mut() {
            let listener = listen(offer.port_of_any())?;
            service.port = listener.local_addr()?.port();
            let service = Arc::new(Service {
                phone: Arc::clone(phone),
                kind: ServiceKind::of(name, service),
                name: name.to_owned(),
                tunnels: offer.tunnels.clone(),
            });
            tasks.spawn(accept(service, listener));
        }
        Ok(PeerServices { handshake, _tasks: tasks })
    }

    /// The Handshake with the ports of these listeners.
    pub(super) fn handshake(&self) -> &Handshake {
        &self.handshake
    }
}

/// One service, as its connections see it.
struct Service {
    phone: Arc<Shared>,
    kind: ServiceKind,
    name: String,
    tunnels: Option<Arc<Tunnels>>,
}

async fn accept(service: Arc<Service>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            (stream, from, place) = service.phone.accept(&listener) => {
                tracing::debug!(%from, service = %service.name, "connected");
                service.phone.visits.send_modify(|visits| visits.services += 1);
                let service = Arc::clone(&service);
                connections.spawn(async move { service.serve(stream, from, place).await });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

impl Service {
    async fn serve(&self, stream: TcpStream, from: SocketAddr, place: Place) {
        let phone = &self.phone;
        let faults = phone.service_faults();
        if phone.is_silent() {
            return FaultStream::new(stream, &faults).stay_silent().await;
        }
        let role = match self.kind {
            ServiceKind::Lockdown => Role::Lockdown(Arc::clone(&phone.values)),
            ServiceKind::Shim => Role::Other,
            ServiceKind::RemoteXpc => return self.log(self.remote_xpc(stream, place).await),
            ServiceKind::Tunnel { version } => {
                return self.log(self.tunnel_service(stream, from, place, version).await);
            }
            ServiceKind::Opaque => return self.opaque(stream).await,
        };
        let stream = FaultStream::new(stream, &faults);
        let deadline = phone.limits.lockdown_deadline;
        self.log(lockdown::serve(stream, role, &self.name, &phone.gaps, deadline).await);
    }

    fn log<E: std::fmt::Display>(&self, ended: Result<(), E>) {
        if let Err(error) = ended {
            tracing::debug!(service = %self.name, %error, "connection failed");
        }
    }

    /// Accepts the opening and answers nothing: what services answer is step by step in later faces.
    async fn remote_xpc(&self, stream: TcpStream, place: Place) -> Result<(), Error> {
        let (_connection, mut events, _alive) =
            self.phone.remote_xpc(stream, place, &self.phone.service_faults());
        while let Some(event) = events.next().await {
            if !matches!(event?, Event::Opened) {
                self.phone.gaps.count(REMOTE_XPC_SERVICE_PAYLOAD, &self.name);
            }
        }
        Ok(())
    }

    /// Greets once the opening is complete, then pairs and opens tunnels. Source: protocol.md §5.1.
    async fn tunnel_service(
        &self,
        stream: TcpStream,
        from: SocketAddr,
        place: Place,
        version: Option<u64>,
    ) -> Result<(), iosmux_pairing::io::wire::WireError> {
        let (connection, mut events, _alive) =
            self.phone.remote_xpc(stream, place, &self.phone.service_faults());
        while let Some(event) = events.next().await {
            if matches!(event?, Event::Opened) {
                break;
            }
        }
        let mut wire = RemoteXpc::new(connection, events);
        if let Some(version) = version {
            wire.greet(version).await?;
        }
        if self.phone.hangs(Step::Pair) {
            return self.ignore(wire).await;
        }
        let (Some(tunnels), SocketAddr::V6(from)) = (&self.tunnels, from) else {
            return self.tunnel_service_in_tunnel(wire).await;
        };
        let requester = Requester { tunnels: Arc::clone(tunnels), peer: *from.ip() };
        let ended = accessory::run(wire, &self.phone.accessory, Channel::Rsd, &requester).await;
        self.phone.channel_ended(&self.name, ended);
        Ok(())
    }

    /// Plays [`Step::Pair`]: takes everything and answers nothing.
    async fn ignore(&self, mut wire: RemoteXpc) -> Result<(), iosmux_pairing::io::wire::WireError> {
        use iosmux_pairing::io::wire::Wire as _;
        while wire.next().await?.is_some() {}
        Ok(())
    }

    /// The trusted catalogue has the service too; what it answers there is not known.
    async fn tunnel_service_in_tunnel(
        &self,
        mut wire: RemoteXpc,
    ) -> Result<(), iosmux_pairing::io::wire::WireError> {
        use iosmux_pairing::io::wire::Wire as _;
        if wire.next().await?.is_some() {
            self.phone.gaps.count(TUNNEL_SERVICE_IN_TUNNEL, &self.name);
        }
        Ok(())
    }

    /// Waits for the peer's first byte, which is the end of what is known.
    async fn opaque(&self, mut stream: TcpStream) {
        if stream.read(&mut [0]).await.is_ok_and(|count| count > 0) {
            self.phone.gaps.count(OPAQUE_SERVICE_PAYLOAD, &self.name);
        }
    }
}
