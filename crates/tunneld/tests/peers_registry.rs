//! The registry beside those that it stands in for: each endpoint's answer and the live pymobiledevice3's, in the same run; then the clients of
//! pymobiledevice3, idevice and go-ios ask ours.
#![cfg(feature = "peer-tests")]

mod registry;

use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use iosmux_tunneld::http::Ended;
use iosmux_tunneld::model::{Device, Snapshot, State, Tunnel};
use registry::{
    Answer, DEADLINE, DOWN, Registry, UP, WAITING, device, request, snapshot, tunnel_to, websocket,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// Python takes its time on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const JSON: &str = "content-type: application/json\r\n";

fn peer(name: &str) -> PathBuf {
    let Some(path) = std::env::var_os(name) else {
        panic!("{name} is not set: run `cargo xtask test peers`, which provides the peers and sets it")
    };
    PathBuf::from(path)
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/registry").join(name)
}

/// The live server.
struct Live {
    child: Child,
    address: SocketAddr,
}

impl Live {
    /// With the same tunnels as ours.
    async fn start(ours: &Snapshot) -> Live {
        let tunnels = ours.devices.iter().filter_map(|device| {
            let (tunnel, link) = (device.tunnel.as_ref()?, device.link.as_ref()?);
            Some(json!({
                "udid": device.identity.udid,
                "key": link.scoped(),
                "interface": tunnel.interface,
                "address": tunnel.address,
                "port": tunnel.rsd_port,
            }))
        });
        let tunnels = Value::Array(tunnels.collect()).to_string();
        let mut command = Command::new(peer("IOSMUX_PEER_PYTHON"));
        command.arg(script("live.py")).args([&tunnels, WAITING, DOWN]).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(PATIENCE, lines.next_line()).await.expect("it does not start").unwrap();
        let said: Value = serde_json::from_str(&line.expect("it ended")).unwrap();
        let port = u16::try_from(said["port"].as_u64().unwrap()).unwrap();
        Live { child, address: ([127, 0, 0, 1], port).into() }
    }
}

/// What clients can tell answers apart by.
fn seen(answer: &Answer, of: SocketAddr) -> Value {
    let header = |name: &str| answer.header(name).map(|value| value.replace(&of.to_string(), "HOST"));
    json!({
        "status": answer.status,
        "content-type": header("content-type"),
        "allow": header("allow"),
        "location": header("location"),
        "content-length": header("content-length"),
        "body": answer.body,
    })
}

async fn ask(to: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let headers = format!("host: {to}\r\n{headers}");
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(&request(method, path, &headers, body)).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("no answer").unwrap();
    Answer::parse(&answer)
}

async fn compare(ours: &Registry, live: &Live, method: &str, path: &str, headers: &str, body: &str) {
    let answers = [ours.address, live.address]
        .map(|to| async move { seen(&ask(to, method, path, headers, body).await, to) });
    let [ours, theirs] = answers;
    assert_eq!(
        ours.await,
        theirs.await,
        "{method} {path} {headers:?} {body}: ours is left, the live server's right"
    );
}

#[tokio::test]
async fn each_endpoint_answers_as_the_live_server_does() {
    let ours = Registry::start().await;
    let live = Live::start(&snapshot()).await;
    let plain = UP.replace('-', "");
    let hops = |value: &str| format!("x-tunneld-hops-remaining: {value}\r\n");
    for headers in [
        "",
        "4",
        "0",
        "-1",
        " 7 ",
        "+2",
        "1_0",
        "3.0",
        "abc",
        "1.5",
        "1e2",
        "0x1",
        "_1",
        "1__0",
        "99999999999999999999",
    ] {
        let headers = if headers.is_empty() { String::new() } else { hops(headers) };
        compare(&ours, &live, "GET", "/", &headers, "").await;
    }
    compare(&ours, &live, "GET", "/", "x-tunneld-hops-remaining:\r\n", "").await;
    let start = format!("/start-tunnel?udid={UP}");
    for path in [
        "/hello",
        "/hello?udid=x",
        "/%68ello",
        "/hello/",
        "/hello//",
        "/cancel/?udid=a%20b",
        "//hello",
        "/Hello",
        "/nowhere",
        "/connect",
        "/connect?udid=x",
        "/upstream",
        "/upstream/",
        "/cancel",
        "/cancel?",
        "/cancel?udid",
        "/cancel?udid=",
        "/cancel?UDID=x",
        "/cancel?udid=x",
        "/cancel?udid=a&udid=b",
        "/cancel?udid=caf%C3%A9+%22%5C%00%7f%ff%F0%9F%98%80",
        "/cancel?udid=%ed%a0%80%c3",
        "/cancel?udid=a;b&c",
        &format!("/cancel?udid={plain}"),
        "/start-tunnel",
        "/start-tunnel?ip=x",
        &start,
        &format!("{start}&ip=nowhere"),
        &format!("{start}&connection_type=wifi"),
        &format!("{start}&connection_type="),
        "/start-tunnel?udid=unknown",
        "/start-tunnel?udid=unknown&connection_type=usb",
        "/start-tunnel?udid=unknown&connection_type=usbmux",
        "/start-tunnel?udid=unknown&connection_type=wifi",
        "/start-tunnel?udid=unknown&connection_type=nonsense",
        &format!("/start-tunnel?udid={DOWN}"),
        &format!("/start-tunnel?udid={DOWN}&connection_type=usb"),
        &format!("/start-tunnel?udid={DOWN}&ip=fe80::9%25eth9"),
        &format!("/start-tunnel?udid={WAITING}&connection_type=wifi"),
    ] {
        compare(&ours, &live, "GET", path, "", "").await;
    }
    for path in
        ["/", "/hello", "/shutdown", "/clear_tunnels", "/cancel?udid=x", &start, "/nowhere", "/hello/"]
    {
        for method in ["POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "NONSENSE"] {
            compare(&ours, &live, method, path, "", "").await;
        }
    }
    for path in [
        "/hello",
        "/connect",
        "/connect?udid=x&port=0",
        "/connect?udid=x&port=65536",
        "/connect?udid=x&port=y",
        "/nowhere",
    ] {
        compare(&ours, &live, "GET", path, &websocket(), "").await;
    }
    // Python's exception has a traceback of its own; the rest is the same.
    let failed = format!("/start-tunnel?udid={WAITING}");
    let shape = async |to| {
        let answer = ask(to, "GET", &failed, "", "").await;
        let error = answer.json()["error"].clone();
        assert!(error["exception"].is_string() && error["traceback"].is_string(), "{error}");
        (answer.status, answer.header("content-type").map(str::to_owned), error.as_object().unwrap().len())
    };
    assert_eq!(shape(ours.address).await, shape(live.address).await);
}

#[tokio::test]
async fn upstreams_are_managed_as_by_the_live_server() {
    let ours = Registry::start().await;
    let live = Live::start(&snapshot()).await;
    for (headers, body) in [
        ("", ""),
        (JSON, ""),
        (JSON, "{"),
        (JSON, "{\"url\":"),
        (JSON, "{\"url\""),
        (JSON, "x"),
        (JSON, "{\"url\":\"a\"}x"),
        (JSON, "[1"),
        (JSON, "[]"),
        (JSON, "5"),
        (JSON, "null"),
        (JSON, "\"x\""),
        (JSON, "{}"),
        (JSON, "{\"URL\":\"a\"}"),
        (JSON, "{\"url\":5}"),
        (JSON, "{\"url\":null}"),
        (JSON, "{\"url\":{\"a\":[1,2.5,\"\u{e9}\"]}}"),
        (JSON, "{\"url\":true}"),
        ("", "{\"url\":\"lab\"}"),
        ("content-type: text/plain\r\n", "{\"url\":\"lab\"}"),
        ("content-type: application/vnd.x+json; charset=utf-8\r\n", "{\"url\":\"ftp://lab\"}"),
        ("content-type: application/x-www-form-urlencoded\r\n", "url=lab"),
    ] {
        compare(&ours, &live, "POST", "/upstream", headers, body).await;
        compare(&ours, &live, "DELETE", "/upstream", headers, body).await;
    }
    for url in [
        "lab",
        "lab-1:80",
        "http://Lab:5",
        "https://x",
        "http://x/y",
        "http://x/",
        "http://x/;p",
        "http://x?q",
        "http://x?",
        "http://x#",
        "http://x:99999",
        "http://x:abc",
        "http://x:",
        "http://x:0",
        "http://x:+1",
        "http://",
        "",
        "  [::1]:7 ",
        "::1",
        "http://u:p@h:1",
        "http://[::1",
        "a'b:x",
        "ftp://a\\\"b'c",
        "http://x/#f",
        "HTTP://X",
        "//x",
        "x//y",
        "http:x//y",
        "http://caf\u{e9}",
        "http://[fe80::A%Eth0]:9",
        "1http://x",
        "a:b//c",
        "\\tlab\\n",
        "http://x\\n:1",
    ] {
        let body = format!("{{\"url\":\"{url}\"}}");
        compare(&ours, &live, "POST", "/upstream", JSON, &body).await;
    }
    compare(&ours, &live, "GET", "/upstream", "", "").await;
    for url in ["lab", "http://x", "https://never", "HTTP://[::1]:7/", ""] {
        compare(&ours, &live, "DELETE", "/upstream", JSON, &format!("{{\"url\":\"{url}\"}}")).await;
    }
    compare(&ours, &live, "GET", "/upstream", "", "").await;
}

#[tokio::test]
async fn tunnels_are_cancelled_cleared_and_ended_as_by_the_live_server() {
    let ours = Registry::start().await;
    let mut live = Live::start(&snapshot()).await;
    let gone = || drop(ours.picture.send_replace(Arc::default()));
    compare(&ours, &live, "GET", &format!("/cancel?udid={UP}"), "", "").await;
    gone();
    assert_eq!(ours.asked(), [format!("cancel {UP}")]);
    compare(&ours, &live, "GET", "/", "", "").await;
    compare(&ours, &live, "GET", "/clear_tunnels", "", "").await;
    compare(&ours, &live, "GET", "/", "", "").await;
    compare(&ours, &live, "GET", "/shutdown", "", "").await;
    let ended = timeout(PATIENCE, live.child.wait()).await.expect("the live server goes on").unwrap();
    assert_eq!(ours.ended().await, Ended::Asked, "the live one ended with {ended}");
}

/// A port that greets and sends everything back.
async fn echo() -> u16 {
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                let _ = writer.write_all(b"hello ").await;
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
            });
        }
    });
    port
}

fn with_tunnel(udid: &str, tunnel: Tunnel) -> Snapshot {
    let device = Device { tunnel: Some(tunnel), ..device(udid, State::CatalogueKnown) };
    Snapshot { devices: vec![device], ..Snapshot::default() }
}

/// What a client of WS /connect sees: the bytes and the end.
async fn talk(to: SocketAddr, query: &str, send: &[Message], wanted: usize) -> (usize, u16, String) {
    let request = format!("ws://{to}/connect?{query}").into_client_request().unwrap();
    let stream = TcpStream::connect(to).await.unwrap();
    let (mut socket, _) = timeout(PATIENCE, client_async(request, stream)).await.unwrap().unwrap();
    for message in send {
        socket.send(message.clone()).await.unwrap();
    }
    let mut bytes = 0;
    loop {
        if wanted > 0 && bytes >= wanted {
            return (bytes, 0, String::new());
        }
        match timeout(PATIENCE, socket.next()).await.unwrap() {
            Some(Ok(Message::Binary(data))) => bytes += data.len(),
            Some(Ok(Message::Close(frame))) => {
                let (code, reason) =
                    frame.map_or((1005, String::new()), |f| (f.code.into(), f.reason.as_str().to_owned()));
                return (bytes, code, reason);
            }
            Some(Ok(_)) => {}
            other => panic!("{to} {query}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn bridges_end_as_the_live_servers_do() {
    let (port, closed) =
        (echo().await, TcpListener::bind("[::1]:0").await.unwrap().local_addr().unwrap().port());
    let picture = with_tunnel(UP, tunnel_to(Ipv6Addr::LOCALHOST, port));
    let ours = Registry::start().await;
    let live = Live::start(&picture).await;
    ours.picture.send_replace(Arc::new(picture));
    let data = Message::Binary(vec![7; 1000].into());
    let (plain, text) = (UP.replace('-', ""), Message::text("words"));
    for (query, send, wanted) in [
        (format!("udid={UP}"), vec![data.clone()], 1006),
        (format!("udid={plain}&address=::1&port={port}"), vec![data.clone()], 1006),
        (format!("udid={UP}&address=fd00::9"), vec![], 0),
        ("udid=unknown".to_owned(), vec![], 0),
        (format!("udid={UP}"), vec![text], 0),
    ] {
        let (mine, theirs) = (
            talk(ours.address, &query, &send, wanted).await,
            talk(live.address, &query, &send, wanted).await,
        );
        // How much of the greeting comes before a refusal is a race there and here.
        assert!(wanted == 0 || mine.0 == theirs.0, "{query}: {mine:?} {theirs:?}");
        assert_eq!((mine.1, mine.2), (theirs.1, theirs.2), "{query}");
    }
    let query = format!("udid={UP}&port={closed}");
    let (mine, theirs) = (talk(ours.address, &query, &[], 0).await, talk(live.address, &query, &[], 0).await);
    assert_eq!(mine.1, theirs.1);
    // What the system says about the port is worded by each language.
    let before = |reason: &str| reason.split(": ").next().unwrap().to_owned();
    assert_eq!(before(&mine.2), before(&theirs.2));
}

#[tokio::test]
async fn registries_of_both_kinds_list_and_relay_for_each_other() {
    let port = echo().await;
    let near = with_tunnel("NEAR", tunnel_to(Ipv6Addr::LOCALHOST, port));
    let far = with_tunnel("FAR", tunnel_to(Ipv6Addr::LOCALHOST, port));
    let (ours, behind) = (Registry::start().await, Live::start(&far).await);
    ours.picture.send_replace(Arc::new(near.clone()));
    let (live, behind_live) = (Live::start(&near).await, Registry::start().await);
    behind_live.picture.send_replace(Arc::new(far));
    let add = async |to: SocketAddr, upstream: SocketAddr| {
        let added = ask(to, "POST", "/upstream", JSON, &format!("{{\"url\":\"{upstream}\"}}")).await;
        assert_eq!(added.status, 200);
    };
    add(ours.address, behind.address).await;
    add(live.address, behind_live.address).await;
    // And in a circle.
    add(behind.address, ours.address).await;
    add(behind_live.address, live.address).await;
    let list = async |of: SocketAddr, upstream: SocketAddr| {
        ask(of, "GET", "/", "", "").await.body.replace(&upstream.to_string(), "UPSTREAM")
    };
    let listed = list(ours.address, behind.address).await;
    assert_eq!(listed, list(live.address, behind_live.address).await);
    assert!(listed.contains("\"origin\":\"http://UPSTREAM\""), "{listed}");
    let data = [Message::Binary(vec![7; 1000].into())];
    for (to, query) in
        [(ours.address, "udid=FAR"), (live.address, "udid=FAR"), (ours.address, "udid=FAR&address=::1")]
    {
        assert_eq!(talk(to, query, &data, 1006).await.0, 1006, "{query}");
    }
    for query in ["udid=NOBODY", "udid=FAR&address=fd00::9"] {
        let (mine, theirs) =
            (talk(ours.address, query, &[], 0).await, talk(live.address, query, &[], 0).await);
        assert_eq!((mine.1, mine.2), (theirs.1, theirs.2), "{query}");
    }
}

async fn output(mut command: Command) -> Value {
    let ran = timeout(PATIENCE, command.stdin(Stdio::null()).kill_on_drop(true).output()).await;
    let ran = ran.expect("a client does not end").unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error} in {said:?}"))
}

#[tokio::test]
async fn pymobiledevice3s_clients_list_and_connect() {
    let port = echo().await;
    let ours = Registry::start().await;
    ours.picture.send_replace(Arc::new(with_tunnel(UP, tunnel_to(Ipv6Addr::LOCALHOST, 1))));
    let mut command = Command::new(peer("IOSMUX_PEER_PYTHON"));
    command.arg(script("clients.py")).args([&ours.address.port().to_string(), UP, "::1", &port.to_string()]);
    let said = output(command).await;
    let entry = json!({
        "tunnel-address": "::1",
        "tunnel-port": 1,
        "interface": "fe80::1c2d:3e4f:5061:7283%eth4",
        "auxiliary-metadata": {},
        "origin": null,
    });
    let expected =
        json!({"listed": {UP: [entry]}, "devices": 0, "unknown": null, "echoed": true, "refused port": 0});
    assert_eq!(said, expected);
}

#[tokio::test]
async fn idevices_client_lists() {
    let ours = Registry::start().await;
    let listed =
        timeout(DEADLINE, idevice::tunneld::get_tunneld_devices(ours.address)).await.unwrap().unwrap();
    assert_eq!(listed.keys().collect::<Vec<_>>(), [UP]);
    let entry = &listed[UP];
    assert_eq!((entry.tunnel_address.as_str(), entry.tunnel_port), ("fd00:5c6f::1", 50_001));
    assert_eq!(entry.interface, "fe80::1c2d:3e4f:5061:7283%eth4");
}

/// `ios …`, which finds our agent as it finds its own.
fn go_ios(ours: &Registry, arguments: &[&str], home: &Path) -> Command {
    let port = ours.agent.unwrap().port().to_string();
    let mut command = Command::new(peer("IOSMUX_PEER_GOIOS"));
    command.args(arguments);
    command
        .env("GO_IOS_AGENT_PORT", port)
        .env("ENABLE_GO_IOS_AGENT", "no")
        .env("HOME", home)
        .current_dir(home);
    command
}

#[tokio::test]
async fn go_ios_lists_and_ends() {
    let ours = Registry::start().await;
    let home = tempfile::tempdir().unwrap();
    let listed = output(go_ios(&ours, &["tunnel", "ls"], home.path())).await;
    let entry = json!({
        "address": "fd00:5c6f::1", "rsdPort": 50_001, "udid": UP, "userspaceTun": false, "userspaceTunPort": 0,
    });
    assert_eq!(listed, json!([entry]));

    // It takes the tunnel down, and waits for the next one.
    ours.follows.store(true, Ordering::Relaxed);
    let udid = format!("--udid={UP}");
    let refreshed = output(go_ios(&ours, &["tunnel", "refresh", &udid], home.path())).await;
    assert_eq!(refreshed, entry);
    assert_eq!(ours.asked(), [format!("stop {UP}"), format!("start {UP}")]);
    let stopped = output(go_ios(&ours, &["tunnel", "stop", &udid], home.path())).await;
    assert_eq!(stopped, json!({"status": "stopped", "udid": UP}));

    let mut stop = go_ios(&ours, &["tunnel", "stopagent"], home.path());
    let ran = timeout(PATIENCE, stop.stdin(Stdio::null()).output()).await.unwrap().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    assert_eq!(ours.ended().await, Ended::Asked);
}
