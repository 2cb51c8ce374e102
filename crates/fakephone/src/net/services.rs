//! The service listeners of one peer.

use std::io;
use std::sync::Arc;

use iosmux_xpc::io::{Error, Event};
use iosmux_xpc::rsd::{Handshake, key};
use iosmux_xpc::{Dictionary, Object};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::kind::ServiceKind;
use super::link::LinkAddress;
use super::shared::{Place, Shared, listen};
use crate::fault::FaultStream;
use crate::lockdown::{self, Role};
use crate::not_sourced::{OPAQUE_SERVICE_PAYLOAD, REMOTE_XPC_SERVICE_PAYLOAD};

/// A listener per service, and the connections they accepted; dropped, all of them close.
#[derive(Debug)]
pub(super) struct PeerServices {
    handshake: Handshake,
    _tasks: JoinSet<()>,
}

impl PeerServices {
    /// Binds a port for every service of the catalogue.
    pub(super) fn open(phone: &Arc<Shared>, link: LinkAddress) -> io::Result<PeerServices> {
        let mut handshake = phone.identity.handshake().clone();
        let mut tasks = JoinSet::new();
        for (name, service) in handshake.services.iter_mut() {
            let listener = listen(link.socket(0))?;
            service.port = listener.local_addr()?.port();
            let kind = ServiceKind::of(name, service);
            tasks.spawn(accept(Arc::clone(phone), listener, kind, Arc::from(name)));
        }
        Ok(PeerServices { handshake, _tasks: tasks })
    }

    /// The Handshake with the ports of these listeners.
    pub(super) fn handshake(&self) -> &Handshake {
        &self.handshake
    }
}

async fn accept(phone: Arc<Shared>, listener: TcpListener, kind: ServiceKind, name: Arc<str>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            (stream, from, place) = phone.accept(&listener) => {
                tracing::debug!(%from, service = %name, "connected");
                let (phone, name) = (Arc::clone(&phone), Arc::clone(&name));
                connections.spawn(async move { serve(&phone, stream, place, kind, &name).await });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(phone: &Shared, stream: TcpStream, place: Place, kind: ServiceKind, name: &str) {
    let faults = phone.service_faults();
    if phone.is_silent() {
        return FaultStream::new(stream, &faults).stay_silent().await;
    }
    let role = match kind {
        ServiceKind::Lockdown => Role::Lockdown(Arc::clone(&phone.values)),
        ServiceKind::Shim => Role::Other,
        ServiceKind::RemoteXpc { first } => {
            if let Err(error) = remote_xpc(phone, stream, place, first, name).await {
                tracing::debug!(service = name, %error, "connection failed");
            }
            return;
        }
        ServiceKind::Opaque => return opaque(phone, stream, name).await,
    };
    let stream = FaultStream::new(stream, &faults);
    if let Err(error) = lockdown::serve(stream, role, name, &phone.gaps, phone.limits.lockdown_deadline).await
    {
        tracing::debug!(service = name, %error, "connection failed");
    }
}

/// Accepts the opening, says `first` and answers nothing: what services answer is step by step in later faces.
async fn remote_xpc(
    phone: &Shared,
    stream: TcpStream,
    place: Place,
    first: Option<u64>,
    name: &str,
) -> Result<(), Error> {
    let (connection, mut events, _alive) = phone.remote_xpc(stream, place, &phone.service_faults());
    while let Some(event) = events.next().await {
        match (event?, first) {
            (Event::Opened, Some(version)) => {
                let greeting = Dictionary::new().with(key::SERVICE_VERSION, version);
                connection.send(Object::Dictionary(greeting)).await?;
            }
            (Event::Opened, None) => {}
            _ => phone.gaps.count(REMOTE_XPC_SERVICE_PAYLOAD, name),
        }
    }
    Ok(())
}

/// Waits for the peer's first byte, which is the end of what is known.
async fn opaque(phone: &Shared, mut stream: TcpStream, name: &str) {
    if stream.read(&mut [0]).await.is_ok_and(|count| count > 0) {
        phone.gaps.count(OPAQUE_SERVICE_PAYLOAD, name);
    }
}
