//! WS /connect: bytes to a phone's port and back, and every way that it ends; directly and through another registry.

mod registry;

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use iosmux_tunneld::http::HttpConfig;
use iosmux_tunneld::model::{Device, Snapshot, State};
use registry::{DEADLINE, Registry, UP, device, tunnel_to};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

type Socket = WebSocketStream<TcpStream>;

/// A port of a phone that sends everything back, prefixed once.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                let _ = writer.write_all(b"hello ").await;
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
            });
        }
    });
    address
}

/// A registry with one phone, whose tunnel leads to a port of this computer.
async fn with_phone(udid: &str, port: u16) -> Registry {
    let registry = Registry::start().await;
    show(&registry, udid, port);
    registry
}

fn show(registry: &Registry, udid: &str, port: u16) {
    let tunnel = Some(tunnel_to(Ipv6Addr::LOCALHOST, port));
    let device = Device { tunnel, ..device(udid, State::CatalogueKnown) };
    registry.picture.send_replace(Arc::new(Snapshot { devices: vec![device], ..Snapshot::default() }));
}

async fn open(registry: &Registry, query: &str) -> Result<Socket, Error> {
    let stream = TcpStream::connect(registry.address).await.unwrap();
    let url = format!("ws://{}/connect?{query}", registry.address);
    let request = url.into_client_request().unwrap();
    timeout(DEADLINE, client_async(request, stream)).await.unwrap().map(|(socket, _)| socket)
}

async fn read(socket: &mut Socket, wanted: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < wanted {
        match timeout(DEADLINE, socket.next()).await.unwrap() {
            Some(Ok(Message::Binary(data))) => all.extend_from_slice(&data),
            other => panic!("{other:?} after {} bytes", all.len()),
        }
    }
    all
}

/// How the registry ends it: code and reason.
async fn ending(socket: &mut Socket) -> (u16, String) {
    loop {
        match timeout(DEADLINE, socket.next()).await.unwrap() {
            Some(Ok(Message::Close(Some(frame)))) => {
                return (frame.code.into(), frame.reason.as_str().to_owned());
            }
            Some(Ok(Message::Close(None))) => return (1005, String::new()),
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn carries_bytes(socket: &mut Socket) {
    assert_eq!(read(socket, 6).await, b"hello ");
    let data: Vec<u8> = (0..200_000_u32).map(|number| (number % 251) as u8).collect();
    for chunk in data.chunks(65_536) {
        socket.send(Message::Binary(Bytes::copy_from_slice(chunk))).await.unwrap();
    }
    assert!(read(socket, data.len()).await == data);
}

#[tokio::test]
async fn bytes_go_to_the_phone_and_back() {
    let echo = echo().await;
    let registry = with_phone(UP, echo.port()).await;
    let plain = UP.replace('-', "");
    for query in [
        format!("udid={UP}"),
        format!("udid={plain}"),
        format!("udid={UP}&address=::1"),
        format!("udid={UP}&port={}", echo.port()),
    ] {
        carries_bytes(&mut open(&registry, &query).await.unwrap()).await;
    }
}

#[tokio::test]
async fn each_end_has_its_code() {
    let closed = TcpListener::bind("[::1]:0").await.unwrap().local_addr().unwrap().port();
    let registry = with_phone(UP, closed).await;
    let mut unknown = open(&registry, "udid=unknown").await.unwrap();
    assert_eq!(ending(&mut unknown).await, (4404, "no tunnel exists for udid: unknown".to_owned()));
    let mut elsewhere = open(&registry, &format!("udid={UP}&address=fd00::9")).await.unwrap();
    assert_eq!(ending(&mut elsewhere).await.0, 4404);
    let (code, reason) = ending(&mut open(&registry, &format!("udid={UP}")).await.unwrap()).await;
    assert_eq!(code, 4502);
    assert!(reason.starts_with(&format!("failed to connect to [::1]:{closed}: ")), "{reason}");

    show(&registry, UP, echo().await.port());
    let mut text = open(&registry, &format!("udid={UP}")).await.unwrap();
    text.send(Message::text("words")).await.unwrap();
    assert_eq!(ending(&mut text).await, (1003, "only binary websocket messages are supported".to_owned()));
    let mut big = open(&registry, &format!("udid={UP}")).await.unwrap();
    let _ = big.send(Message::Binary(vec![0; (1 << 20) + 1].into())).await;
    assert_eq!(ending(&mut big).await.0, 1009);
}

#[tokio::test]
async fn the_phones_end_is_the_clients_and_the_clients_the_phones() {
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let registry = with_phone(UP, listener.local_addr().unwrap().port()).await;
    let mut socket = open(&registry, &format!("udid={UP}")).await.unwrap();
    let (mut phone, _) = timeout(DEADLINE, listener.accept()).await.unwrap().unwrap();
    phone.write_all(b"last words").await.unwrap();
    drop(phone);
    assert_eq!(read(&mut socket, 10).await, b"last words");
    assert_eq!(ending(&mut socket).await.0, 1000);

    let mut socket = open(&registry, &format!("udid={UP}")).await.unwrap();
    let (mut phone, _) = timeout(DEADLINE, listener.accept()).await.unwrap().unwrap();
    socket.close(None).await.unwrap();
    let mut rest = Vec::new();
    timeout(DEADLINE, phone.read_to_end(&mut rest)).await.unwrap().unwrap();
    // A client that dies without a word.
    let socket = open(&registry, &format!("udid={UP}")).await.unwrap();
    let (mut phone, _) = timeout(DEADLINE, listener.accept()).await.unwrap().unwrap();
    drop(socket);
    timeout(DEADLINE, phone.read_to_end(&mut rest)).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_bridge_ends_with_its_tunnel_and_gives_its_place_back() {
    // A phone that says nothing: whoever only reads learns of the end from the registry alone.
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let registry = with_phone(UP, port).await;
    let shown = |tunnel, state| {
        let device = Device { tunnel, ..device(UP, state) };
        registry.picture.send_replace(Arc::new(Snapshot { devices: vec![device], ..Snapshot::default() }));
    };
    let here = Some(tunnel_to(Ipv6Addr::LOCALHOST, port));
    for after in [None, Some(tunnel_to("fd00:5c6f::2".parse().unwrap(), port))] {
        shown(here.clone(), State::CatalogueKnown);
        let mut sockets = Vec::new();
        for _ in 0..200 {
            sockets.push(open(&registry, &format!("udid={UP}")).await.unwrap());
            // Its place is taken once the phone is dialled.
            let (mut phone, _) = timeout(DEADLINE, listener.accept()).await.unwrap().unwrap();
            tokio::spawn(async move { phone.read_to_end(&mut Vec::new()).await });
        }
        // In doubt, it is the same tunnel.
        shown(here.clone(), State::Suspect);
        sockets[0].send(Message::Ping(Bytes::new())).await.unwrap();
        let pong = timeout(DEADLINE, sockets[0].next()).await.unwrap();
        assert!(matches!(pong, Some(Ok(Message::Pong(_)))), "{pong:?}");
        let state = if after.is_some() { State::CatalogueKnown } else { State::Stopped };
        shown(after, state);
        for socket in &mut sockets {
            assert_eq!(ending(socket).await, (4404, format!("the tunnel to udid {UP} has ended")));
            // Both have said goodbye: its place is free.
            assert!(timeout(DEADLINE, socket.next()).await.unwrap().is_none());
        }
    }
}

#[tokio::test]
async fn two_hundred_bridges_and_not_one_more() {
    let registry = with_phone(UP, echo().await.port()).await;
    let mut sockets = Vec::new();
    for _ in 0..200 {
        let mut socket = open(&registry, &format!("udid={UP}")).await.unwrap();
        assert_eq!(read(&mut socket, 6).await, b"hello ");
        sockets.push(socket);
    }
    let mut refused = open(&registry, &format!("udid={UP}")).await.unwrap();
    assert_eq!(ending(&mut refused).await, (1013, "too many concurrent /connect bridges".to_owned()));
    assert_eq!(registry.get("/hello").await.status, 200);
}

#[tokio::test]
async fn the_end_of_the_daemon_ends_bridges() {
    let registry = with_phone(UP, echo().await.port()).await;
    let mut socket = open(&registry, &format!("udid={UP}")).await.unwrap();
    assert_eq!(read(&mut socket, 6).await, b"hello ");
    registry.end().await;
    assert_eq!(ending(&mut socket).await.0, 1000);
}

#[tokio::test]
async fn a_phone_of_another_registry_is_listed_and_reached() {
    let echo = echo().await;
    let far = with_phone("FAR", echo.port()).await;
    let upstreams = vec![far.address.to_string()];
    let near = Registry::start_with(HttpConfig { upstreams, ..HttpConfig::default() }).await;
    show(&near, "NEAR", echo.port());
    let listed = near.get("/").await.json();
    assert_eq!(listed["NEAR"][0]["origin"], json!(null));
    assert_eq!(listed["FAR"][0]["origin"], format!("http://{}", far.address));
    assert_eq!(listed["FAR"][0]["tunnel-address"], "::1");
    let none = near.request("GET", "/", "x-tunneld-hops-remaining: 0\r\n", "").await.json();
    assert_eq!(none.get("FAR"), None);
    carries_bytes(&mut open(&near, "udid=FAR").await.unwrap()).await;
    carries_bytes(&mut open(&near, "udid=FAR&address=::1").await.unwrap()).await;
    // What the other one says is passed on; what it does not have, it is not asked for.
    let closed = TcpListener::bind("[::1]:0").await.unwrap().local_addr().unwrap().port();
    let (code, reason) = ending(&mut open(&near, &format!("udid=FAR&port={closed}")).await.unwrap()).await;
    assert_eq!(code, 4502);
    assert!(reason.starts_with(&format!("failed to connect to [::1]:{closed}: ")), "{reason}");
    assert_eq!(ending(&mut open(&near, "udid=NOBODY").await.unwrap()).await.0, 4404);
}

#[tokio::test]
async fn registries_in_a_circle_list_each_phone_once() {
    let (one, two) = (with_phone("ONE", 1).await, with_phone("TWO", 2).await);
    let add = async |to: &Registry, other: &Registry| {
        let body = format!(r#"{{"url":"{}"}}"#, other.address);
        to.request("POST", "/upstream", "content-type: application/json\r\n", &body).await;
    };
    add(&one, &two).await;
    add(&two, &one).await;
    add(&one, &one).await;
    let listed = one.get("/").await.json();
    assert_eq!(listed.as_object().unwrap().len(), 2);
    for udid in ["ONE", "TWO"] {
        assert_eq!(listed[udid].as_array().unwrap().len(), 1, "{listed}");
    }
}

#[tokio::test]
async fn a_broken_upstream_delays_by_its_patience_only_and_breaks_nothing() {
    let bodies: [&'static [u8]; 5] = [
        b"HTTP/1.1 500 Oops\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\ncontent-length: 29\r\n\r\n{\"A\":3,\"B\":[1,null],\"UP\":[[]]}",
        b"nonsense\r\n\r\n",
        // Nothing at all.
        b"",
    ];
    let mut upstreams = Vec::new();
    for body in bodies {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        upstreams.push(listener.local_addr().unwrap().to_string());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let _ = stream.read(&mut [0; 4096]).await;
                    let _ = stream.write_all(body).await;
                    tokio::time::sleep(Duration::from_secs(30)).await;
                });
            }
        });
    }
    let registry = Registry::start_with(HttpConfig { upstreams, ..HttpConfig::default() }).await;
    let began = tokio::time::Instant::now();
    let listed = registry.get("/").await.json();
    assert!(listed[UP][0]["origin"].is_null(), "{listed}");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}
