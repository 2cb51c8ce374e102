//! `WS /connect` for a phone of another registry.

use futures_util::stream::{SplitSink, SplitStream, StreamExt as _};
use futures_util::{SinkExt as _, TryFutureExt as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::connect::{Client, DIAL, DONE, Ending, NO_CONNECTION, Wish, limits, next_bytes};
use super::invalid::HOPS_HEADER;
use super::url;

type Upstream = WebSocketStream<TcpStream>;

/// What stays as it is in a query.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Carries frames to the upstream and back until one of the ends is done; an upstream's own reason is passed on.
pub(super) async fn carry(client: &mut Client, url: &str, wish: &Wish) -> Ending {
    let failed = |why: &str| Ending::new(NO_CONNECTION, format!("failed to reach upstream {url}: {why}"));
    let upstream = match timeout(DIAL, dial(url, wish)).await {
        Ok(Ok(upstream)) => upstream,
        Ok(Err(why)) => return failed(&why),
        Err(_) => return failed("timed out"),
    };
    let (mut sink, mut frames) = client.split();
    let (far_sink, far_frames) = upstream.split();
    let ending = tokio::select! {
        ending = to_upstream(&mut frames, far_sink) => ending,
        ending = from_upstream(far_frames, &mut sink) => ending,
    };
    ending
}

async fn dial(url: &str, wish: &Wish) -> Result<Upstream, String> {
    let (host, port) = url::parts(url).ok_or("no address")?;
    let quoted = |text: &str| utf8_percent_encode(text, PLAIN).to_string();
    let mut target = format!("{}/connect?udid={}", url.replacen("http", "ws", 1), quoted(&wish.udid));
    if let Some(port) = wish.port {
        target.push_str(&format!("&port={port}"));
    }
    if let Some(address) = &wish.address {
        target.push_str(&format!("&address={}", quoted(address)));
    }
    let mut request = target.into_client_request().map_err(|error| error.to_string())?;
    request.headers_mut().insert(HOPS_HEADER, wish.hops.saturating_sub(1).into());
    let stream = TcpStream::connect((host, port)).map_err(|error| error.to_string()).await?;
    let _ = stream.set_nodelay(true);
    let opened = client_async_with_config(request, stream, Some(limits())).await;
    opened.map(|(upstream, _)| upstream).map_err(|error| error.to_string())
}

async fn to_upstream(frames: &mut SplitStream<&mut Client>, mut far: SplitSink<Upstream, Message>) -> Ending {
    loop {
        let data = match next_bytes(frames).await {
            Ok(data) => data,
            Err(ending) => return ending,
        };
        if far.send(Message::Binary(data)).await.is_err() {
            return Ending::new(DONE, "");
        }
    }
}

async fn from_upstream(mut far: SplitStream<Upstream>, sink: &mut SplitSink<&mut Client, Message>) -> Ending {
    while let Some(Ok(message)) = far.next().await {
        match message {
            Message::Binary(data) => {
                if sink.send(Message::Binary(data)).await.is_err() {
                    break;
                }
            }
            Message::Close(Some(frame)) => return Ending::new(frame.code.into(), frame.reason.as_str()),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            Message::Text(_) | Message::Close(None) => break,
        }
    }
    Ending::new(DONE, "")
}
