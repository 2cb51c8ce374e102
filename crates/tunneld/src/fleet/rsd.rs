//! RSD: who a phone is on the link, and what it offers inside of its tunnel.
//!
//! A connection is dialled once for each, read and closed: from iOS 27.2 on a second one replaces the first, and a changed
//! UUID closes every listener (protocol.md §4.1). So nothing here is ever used to see whether a phone still lives.

use std::net::SocketAddrV6;
use std::time::Duration;

use iosmux_capture::Recorder;
use iosmux_pairing::envelope::remotexpc::SERVICE;
use iosmux_usb::Udid;
use iosmux_xpc::rsd::{self, Catalogue, Handshake, host_uuid, io::Remote, key};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::dial::{self, DialError};
use crate::discover::RSD_PORT;
use crate::model::{Identity, same_udid};
use crate::phone::{Failure, Kind, printable};

/// Characters of what a phone says of itself that are kept.
const LONGEST_TEXT: usize = 64;
/// How long a phone may take to close its side.
const FAREWELL: Duration = Duration::from_millis(200);

/// Why RSD was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RsdFailure {
    #[error("the phone can't be reached at {0}")]
    Unreachable(String),
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("{at}: {source}")]
    Handshake { at: SocketAddrV6, source: rsd::io::HandshakeError },
}

/// A phone that has introduced itself on the link.
pub(crate) struct OnLink {
    pub(crate) identity: Identity,
    /// Where the service for pairing and tunnels listens; none before iOS 17.
    pub(crate) tunnel_service: Option<SocketAddrV6>,
    /// The connection, open still: it goes when the tunnel is up.
    pub(crate) remote: Remote,
}

/// Reads RSD on the link: at the announced port, and when nobody listens there at the fixed one.
pub(crate) async fn on_link(
    announced: SocketAddrV6,
    host_name: &str,
    recorder: Option<&Recorder>,
) -> Result<OnLink, Failure> {
    let failed = |error: RsdFailure| match error {
        RsdFailure::Unreachable(_) => Failure::unreachable(error.to_string()),
        _ => Failure::retry(error.to_string()),
    };
    let (remote, at) = reach(announced, host_name, recorder).await.map_err(failed)?;
    let hides = remote.handshake.properties.get(key::SENSITIVE_PROPERTIES_VISIBLE).and_then(|v| v.as_bool());
    let catalogue: Catalogue = remote.handshake.clone().into();
    let Some(udid) = catalogue.udid() else {
        return Err(match hides {
            Some(false) => Failure::new(
                Kind::Locked,
                "the phone does not say who it is (SensitivePropertiesVisible is false)",
                "unlock the phone",
            ),
            _ => Failure::retry(format!("the Handshake of {at} has no UniqueDeviceID")),
        });
    };
    // In the one form that it is found by: with another spelling, one neighbour could stand in for another's phone.
    let udid = Udid::from_text(udid).map_err(|_| {
        let begins: String = udid.chars().take(LONGEST_TEXT).collect();
        Failure::retry(format!("the Handshake of {at} has a UniqueDeviceID that is none: {begins:?}"))
    })?;
    let owned = |text: Option<&str>| Some(printable(text?).chars().take(LONGEST_TEXT).collect());
    let identity = Identity {
        udid: udid.into(),
        product_type: owned(catalogue.product_type()),
        os_version: owned(catalogue.os_version()),
        build: owned(catalogue.build()),
    };
    let service = catalogue.services.get(SERVICE);
    let tunnel_service = service.map(|service| SocketAddrV6::new(*at.ip(), service.port, 0, at.scope_id()));
    Ok(OnLink { identity, tunnel_service, remote })
}

/// Reads RSD inside of a tunnel and closes the connection.
pub(crate) async fn in_tunnel(
    at: SocketAddrV6,
    udid: &str,
    host_name: &str,
    recorder: Option<&Recorder>,
) -> Result<Catalogue, Failure> {
    let read = async { handshake(dial::connect_routed(at).await?, at, host_name, recorder).await };
    let remote = read.await.map_err(|error| Failure::retry(format!("inside of the tunnel: {error}")))?;
    let catalogue: Catalogue = remote.handshake.clone().into();
    close(remote).await;
    match catalogue.udid() {
        Some(inside) if same_udid(inside, udid) => Ok(catalogue),
        inside => Err(Failure::retry(format!(
            "the phone calls itself {udid} on the link and {} inside of the tunnel",
            inside.unwrap_or("nothing")
        ))),
    }
}

/// Closes a connection in a way that a recording holds its end.
pub(crate) async fn close(remote: Remote) {
    remote.connection.close().await;
    drop(remote.connection);
    let mut events = remote.events;
    let ended = async { while events.next().await.is_some_and(|event| event.is_ok()) {} };
    // A phone may hold its side open: it has said what was asked.
    let _ = timeout(FAREWELL, ended).await;
}

async fn reach(
    announced: SocketAddrV6,
    host_name: &str,
    recorder: Option<&Recorder>,
) -> Result<(Remote, SocketAddrV6), RsdFailure> {
    let fixed = SocketAddrV6::new(*announced.ip(), RSD_PORT, 0, announced.scope_id());
    let mut refusals = Vec::new();
    for peer in [announced, fixed] {
        match dial::connect(peer).await {
            Ok(stream) => return Ok((handshake(stream, peer, host_name, recorder).await?, peer)),
            Err(error) => refusals.push(error.to_string()),
        }
        if announced == fixed {
            break;
        }
    }
    Err(RsdFailure::Unreachable(refusals.join("; ")))
}

async fn handshake(
    stream: TcpStream,
    at: SocketAddrV6,
    host_name: &str,
    recorder: Option<&Recorder>,
) -> Result<Remote, RsdFailure> {
    let ours = Handshake::host(host_uuid(host_name));
    let stream = dial::recorded(stream, at, recorder)?;
    let remote = rsd::io::handshake(stream, Some(&ours), dial::session()).await;
    remote.map_err(|source| RsdFailure::Handshake { at, source })
}
