//! `WS /connect`: a client's binary frames to a port of a phone, inside of its tunnel, for clients that can't reach the tunnel's interface.

use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONNECTION, UPGRADE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error};

use super::relay;
use super::{invalid, usable};
use crate::fleet::Fleet;
use crate::http::answer::bytes;
use crate::http::context::Context;
use crate::http::query::{Query, integer};
use crate::model::Snapshot;

/// No tunnel has that UDID, or none any more. Source: protocol.md §6, as the others.
const NO_TUNNEL: u16 = 4404;
/// The phone's port, or the upstream, does not take the connection.
pub(super) const NO_CONNECTION: u16 = 4502;
const TOO_MANY: u16 = 1013;
const NOT_BINARY: u16 = 1003;
pub(super) const DONE: u16 = 1000;

/// How long the phone or an upstream may take for a connection.
pub(super) const DIAL: Duration = Duration::from_secs(10);
/// How long a client may take for the end.
const CLOSE: Duration = Duration::from_secs(1);
/// The largest frame; clients send 64 KiB.
const FRAME: usize = 1 << 20;
const CHUNK: usize = 64 << 10;
/// The longest reason that fits into a frame of control, in bytes. Source: RFC 6455 §5.5.
const REASON: usize = 123;

/// A client's end.
pub(super) type Client = WebSocketStream<TokioIo<Upgraded>>;

/// What a client wants.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) udid: String,
    pub(super) port: Option<u16>,
    pub(super) address: Option<String>,
    pub(super) hops: i64,
}

impl Wish {
    /// Reads it; what FastAPI would refuse is none.
    fn read(query: &Query, headers: &HeaderMap) -> Option<Self> {
        let port = match query.get("port") {
            None => None,
            Some(text) => Some(u16::try_from(integer(text)?).ok().filter(|port| *port > 0)?),
        };
        let address = query.get("address").map(str::to_owned);
        let hops = invalid::hops(headers).ok()?;
        Some(Self { udid: query.get("udid")?.to_owned(), port, address, hops })
    }

    /// Where it leads, when the tunnel is one of ours.
    fn target(&self, snapshot: &Snapshot) -> Option<(Ipv6Addr, u16)> {
        let tunnel = snapshot.device(&self.udid).and_then(usable)?;
        let named = self.address.as_ref().is_none_or(|address| *address == tunnel.address.to_string());
        named.then(|| (tunnel.address, self.port.unwrap_or(tunnel.rsd_port)))
    }
}

/// How a bridge ended.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    pub(super) code: u16,
    pub(super) reason: String,
}

impl Ending {
    pub(super) fn new(code: u16, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    fn frame(self) -> CloseFrame {
        let mut reason = self.reason;
        let end = (0..=REASON.min(reason.len())).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
        reason.truncate(end);
        CloseFrame { code: CloseCode::from(self.code), reason: reason.into() }
    }
}

/// Whether a request wants to become a websocket.
pub(super) fn is_upgrade(headers: &HeaderMap) -> bool {
    let has = |name, wanted: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(wanted))
    };
    has(CONNECTION, "upgrade") && has(UPGRADE, "websocket")
}

/// What bounds a websocket's memory.
pub(super) fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(FRAME))
        .max_frame_size(Some(FRAME))
        .read_buffer_size(CHUNK)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * FRAME)
}

/// Answers a request for a websocket, on any path.
pub(super) fn open(context: Arc<Context>, path: &str, mut request: Request) -> Response {
    let query = Query::parse(request.uri().query());
    let wish = Wish::read(&query, request.headers())
        .filter(|_| path == "/connect" && request.method() == Method::GET);
    let Some(wish) = wish else { return bytes(StatusCode::FORBIDDEN, None, "") };
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, _) = request.into_parts();
    match create_response(&axum::http::Request::from_parts(parts, ())) {
        Ok(response) => {
            tokio::spawn(bridge(context, wish, upgrade));
            response.map(|()| Body::empty())
        }
        Err(error) => bytes(StatusCode::BAD_REQUEST, Some("text/plain; charset=utf-8"), error.to_string()),
    }
}

async fn bridge(context: Arc<Context>, wish: Wish, upgrade: OnUpgrade) {
    let mut stop = context.stopped();
    let Ok(upgraded) = upgrade.await else { return };
    let mut client =
        WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(limits())).await;
    let Ok(_permit) = context.bridges.try_acquire() else {
        return close(client, Ending::new(TOO_MANY, "too many concurrent /connect bridges")).await;
    };
    let target = wish.target(&context.fleet.snapshot());
    let carried = async {
        match target {
            Some(target) => tokio::select! {
                ending = carry(&mut client, target) => ending,
                ending = without_tunnel(&context.fleet, &wish, target) => ending,
            },
            None => match context.upstreams.owner(&wish.udid, wish.address.as_deref(), wish.hops).await {
                Some(url) => relay::carry(&mut client, &url, &wish).await,
                None => Ending::new(NO_TUNNEL, format!("no tunnel exists for udid: {}", wish.udid)),
            },
        }
    };
    let ending = tokio::select! {
        ending = carried => ending,
        _ = stop.wait_for(|stop| *stop) => Ending::new(DONE, ""),
    };
    close(client, ending).await;
}

/// Waits until a wish leads there no longer: that its interface is gone is not told to who only reads from a connection.
async fn without_tunnel(fleet: &Fleet, wish: &Wish, target: (Ipv6Addr, u16)) -> Ending {
    let elsewhere = |snapshot: &Arc<Snapshot>| wish.target(snapshot) != Some(target);
    // A fleet that has ended has no tunnels either.
    let _ = fleet.watch().wait_for(elsewhere).await;
    Ending::new(NO_TUNNEL, format!("the tunnel to udid {} has ended", wish.udid))
}

/// Carries bytes until one of the ends is done.
async fn carry(client: &mut Client, (address, port): (Ipv6Addr, u16)) -> Ending {
    let failed =
        |why: &str| Ending::new(NO_CONNECTION, format!("failed to connect to [{address}]:{port}: {why}"));
    let phone = match timeout(DIAL, TcpStream::connect((address, port))).await {
        Ok(Ok(phone)) => phone,
        Ok(Err(error)) => return failed(&error.to_string()),
        Err(_) => return failed("timed out"),
    };
    let _ = phone.set_nodelay(true);
    let (mut sink, mut frames) = client.split();
    let (reader, writer) = phone.into_split();
    let ending = tokio::select! {
        ending = to_phone(&mut frames, writer) => ending,
        ending = from_phone(reader, &mut sink) => ending,
    };
    ending
}

async fn to_phone(frames: &mut SplitStream<&mut Client>, mut phone: impl AsyncWrite + Unpin) -> Ending {
    loop {
        match next_bytes(frames).await {
            Ok(data) if phone.write_all(&data).await.is_ok() => {}
            Ok(_) => return Ending::new(DONE, ""),
            Err(ending) => return ending,
        }
    }
}

async fn from_phone(mut phone: impl AsyncRead + Unpin, sink: &mut SplitSink<&mut Client, Message>) -> Ending {
    let mut buffer = vec![0; CHUNK];
    loop {
        let Ok(length @ 1..) = phone.read(&mut buffer).await else { return Ending::new(DONE, "") };
        let data = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
        if sink.send(Message::Binary(data)).await.is_err() {
            return Ending::new(DONE, "");
        }
    }
}

/// The next bytes of a client, or how its stream ended.
pub(super) async fn next_bytes(frames: &mut SplitStream<&mut Client>) -> Result<Bytes, Ending> {
    loop {
        match frames.next().await {
            Some(Ok(Message::Binary(data))) => return Ok(data),
            Some(Ok(Message::Text(_))) => {
                return Err(Ending::new(NOT_BINARY, "only binary websocket messages are supported"));
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Err(Error::Capacity(error))) => return Err(Ending::new(1009, error.to_string())),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Ending::new(DONE, "")),
        }
    }
}

/// Says goodbye, and waits a moment for the same.
async fn close(mut client: Client, ending: Ending) {
    let goodbye = async {
        if client.close(Some(ending.frame())).await.is_ok() {
            while let Some(Ok(_)) = client.next().await {}
        }
    };
    let _ = timeout(CLOSE, goodbye).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_fit_into_a_frame() {
        let frame = Ending::new(NO_TUNNEL, "\u{e9}".repeat(100)).frame();
        assert_eq!((u16::from(frame.code), frame.reason.len()), (4404, 122));
        assert_eq!(Ending::new(DONE, "").frame().reason.len(), 0);
    }

    #[test]
    fn an_upgrade_has_both_headers() {
        let headers = |connection: &str, upgrade: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONNECTION, connection.parse().unwrap());
            headers.insert(UPGRADE, upgrade.parse().unwrap());
            is_upgrade(&headers)
        };
        assert!(headers("keep-alive, Upgrade", "WebSocket"));
        assert!(!headers("keep-alive", "websocket"));
        assert!(!headers("upgrade", "h2c"));
        assert!(!is_upgrade(&HeaderMap::new()));
    }

    #[test]
    fn what_a_client_wants_is_read_or_refused() {
        let wish = |query| Wish::read(&Query::parse(Some(query)), &HeaderMap::new());
        let whole = wish("udid=A&port=+62078&address=fd00::1").unwrap();
        assert_eq!((whole.port, whole.address.as_deref(), whole.hops), (Some(62078), Some("fd00::1"), 4));
        for refused in ["", "port=1", "udid=A&port=0", "udid=A&port=65536", "udid=A&port=", "udid=A&port=x"] {
            assert!(wish(refused).is_none(), "{refused}");
        }
    }
}
