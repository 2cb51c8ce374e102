//! The registry with a scripted fleet behind it: no phones, no hops.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use iosmux_tunnel::Transport;
use iosmux_tunneld::fleet::{self, Command, CommandError, Inbox};
use iosmux_tunneld::http::{Ended, HttpConfig, Server};
use iosmux_tunneld::model::{
    Counters, Device, Happening, HopTimes, Identity, Link, Reason, Search, Snapshot, Source, State, Tunnel,
    Unidentified,
};
use iosmux_xpc::rsd::Catalogue;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{broadcast, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A phone with a tunnel.
pub(crate) const UP: &str = "00008030-001C195E0E91802E";
/// A phone whose user is asked.
pub(crate) const WAITING: &str = "00008030-0000000000000001";
/// A phone whose tunnel fails.
pub(crate) const DOWN: &str = "00008030-0000000000000002";
/// A phone that is too old.
pub(crate) const OLD: &str = "0123456789abcdef0123456789abcdef01234567";
/// The longest that one answer may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A running registry.
pub(crate) struct Registry {
    pub(crate) address: SocketAddr,
    pub(crate) agent: Option<SocketAddr>,
    pub(crate) picture: watch::Sender<Arc<Snapshot>>,
    pub(crate) happenings: broadcast::Sender<Happening>,
    /// Whether the picture follows what the fleet is asked: a stopped tunnel is gone, a started one there.
    pub(crate) follows: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<String>>>,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<Ended>,
    fleet: JoinHandle<()>,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Registry {
    pub(crate) async fn start() -> Registry {
        Registry::start_with(HttpConfig::default()).await
    }

    /// With a free port each, whatever else is configured.
    pub(crate) async fn start_with(config: HttpConfig) -> Registry {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let listen = if config.listen.is_empty() { vec![any] } else { config.listen.clone() };
        let (fleet, inbox) = fleet::channel();
        let server = Server::bind(HttpConfig { listen, agent: Some(any), ..config }, fleet).await.unwrap();
        let (address, agent) = (server.addresses()[0], server.agent());
        let Inbox { mut commands, snapshot: picture, happenings } = inbox;
        picture.send_replace(Arc::new(snapshot()));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, painter) = (Arc::clone(&asked), picture.clone());
        let follows = Arc::new(AtomicBool::new(false));
        let following = Arc::clone(&follows);
        let fleet = tokio::spawn(async move {
            while let Some(command) = commands.recv().await {
                if following.load(Ordering::Relaxed) {
                    follow(&command, &painter);
                }
                obey(command, &seen);
            }
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(server.run(async move { drop(stopped.await) }));
        Registry { address, agent, picture, happenings, follows, asked, stop: Some(stop), server, fleet }
    }

    /// What the fleet was asked so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, "", "").await
    }

    /// A request with more header lines (each ending in CR LF) and a body.
    pub(crate) async fn request(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        self.request_at(self.address, method, path, headers, body).await
    }

    pub(crate) async fn request_at(
        &self,
        to: SocketAddr,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> Answer {
        let host = if headers.to_ascii_lowercase().contains("host:") {
            String::new()
        } else {
            format!("host: {to}\r\n")
        };
        let stream = TcpStream::connect(to).await.unwrap();
        exchange(stream, &request(method, path, &format!("{host}{headers}"), body)).await
    }

    /// Ends it as its caller does.
    pub(crate) async fn end(mut self) -> Ended {
        drop(self.stop.take());
        self.ended().await
    }

    /// Waits for its end.
    pub(crate) async fn ended(self) -> Ended {
        let ended = timeout(DEADLINE, self.server).await.expect("the server does not end").unwrap();
        self.fleet.abort();
        ended
    }

    /// Whether it still serves.
    pub(crate) fn is_running(&self) -> bool {
        !self.server.is_finished()
    }
}

/// A request's bytes; the connection ends behind the answer.
pub(crate) fn request(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let close = if headers.contains("onnection:") { "" } else { "connection: close\r\n" };
    format!("{method} {path} HTTP/1.1\r\n{headers}{close}{length}\r\n{body}").into_bytes()
}

pub(crate) async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &[u8]) -> Answer {
    let mut bytes = Vec::new();
    let exchanged = async {
        // A registry that refuses early may close before it read everything.
        let _ = stream.write_all(request).await;
        let _ = stream.read_to_end(&mut bytes).await;
    };
    timeout(DEADLINE, exchanged).await.expect("no answer in time");
    Answer::parse(&bytes)
}

pub(crate) async fn ask_socket(path: &Path, target: &str, headers: &str) -> Answer {
    exchange(UnixStream::connect(path).await.unwrap(), &request("GET", target, headers, "")).await
}

impl Answer {
    pub(crate) fn parse(bytes: &[u8]) -> Answer {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {text:?}"));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
        let header = |line: &str| {
            let (name, value) = line.split_once(':').expect("a header");
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        Answer { status, headers: lines.map(header).collect(), body: body.to_owned() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// Status, the headers that clients read, and body.
    pub(crate) fn shown(&self) -> String {
        let mut shown = self.status.to_string();
        for name in ["content-type", "allow", "location", "x-content-type-options"] {
            if let Some(value) = self.header(name) {
                shown.push_str(&format!("\n{name}: {value}"));
            }
        }
        format!("{shown}\n\n{}", self.body)
    }
}

fn tunnel() -> Tunnel {
    Tunnel {
        address: "fd00:5c6f::1".parse().unwrap(),
        rsd_port: 50_001,
        interface: "tun7".to_owned(),
        mtu: 16_000,
        transport: Transport::Tcp,
        suite: Some("TLS_PSK_WITH_AES_256_GCM_SHA384".to_owned()),
    }
}

/// A tunnel that leads to this computer.
pub(crate) fn tunnel_to(address: Ipv6Addr, rsd_port: u16) -> Tunnel {
    Tunnel { address, rsd_port, ..tunnel() }
}

pub(crate) fn device(udid: &str, state: State) -> Device {
    let address = SocketAddrV6::new("fe80::1c2d:3e4f:5061:7283".parse().unwrap(), 58_783, 0, 4);
    let identity = Identity {
        udid: udid.to_owned(),
        product_type: Some("iPhone11,6".to_owned()),
        os_version: Some("17.0.3".to_owned()),
        build: Some("21A360".to_owned()),
    };
    let link = Link { interface: "eth4".to_owned(), address, source: Source::Mdns };
    Device { state, link: Some(link), ..Device::gone(identity, 2, Instant::now()) }
}

/// A small catalogue.
pub(crate) fn catalogue() -> Catalogue {
    let value = json!({
        "MessageType": "Handshake",
        "MessagingProtocolVersion": 3,
        "UUID": "0b4d2e8c-6f2a-4f0e-9a57-5d1c3f6b7a90",
        "Properties": {"UniqueDeviceID": UP, "OSVersion": "17.0.3"},
        "Services": {"com.apple.mobile.lockdown.remote.trusted": {
            "Entitlement": "com.apple.mobile.lockdown.remote.trusted", "Port": "50101",
            "Properties": {"ServiceVersion": 1},
        }},
    });
    Catalogue::from_json(&value).unwrap()
}

/// One phone in each kind of state.
pub(crate) fn snapshot() -> Snapshot {
    let ms = |ms| Some(Duration::from_millis(ms));
    let times = HopTimes { rsd: ms(8), pair: ms(130), tunnel: ms(41), catalogue: ms(12), total: ms(191) };
    let reason = |text: &str, next: Option<&str>| Some(Reason::new(text, next));
    let up = Device {
        tunnel: Some(tunnel()),
        catalogue: Some(Arc::new(catalogue())),
        times,
        newly_paired: true,
        ..device(UP, State::CatalogueKnown)
    };
    let waiting = Device {
        reason: reason("the phone asks its user", Some("unlock the phone and tap Trust")),
        ..device(WAITING, State::AwaitingTrust)
    };
    let down = Device {
        reason: reason("the tunnel's port does not answer", None),
        failures: 3,
        ..device(DOWN, State::Down)
    };
    let old = Device {
        reason: reason("iOS 16.7 has no tunnels", Some("use usbmuxd for this phone")),
        ..device(OLD, State::Unsupported)
    };
    let link = Link { interface: "eth5".to_owned(), source: Source::Neighbour, ..up.link.clone().unwrap() };
    let stranger = Unidentified {
        link,
        state: State::Locked,
        since: Instant::now(),
        reason: reason("it hides who it is", Some("unlock it once")),
        retry_at: None,
        failures: 1,
    };
    let search = Search { interface: "eth4".to_owned(), index: 4, usable: true, trouble: vec![] };
    let trouble = vec!["no right to send echoes".to_owned()];
    let other = Search { interface: "eth5".to_owned(), index: 5, usable: false, trouble };
    Snapshot {
        revision: 7,
        devices: vec![up, waiting, down, old],
        unidentified: vec![stranger],
        searches: vec![search, other],
    }
}

/// What the scripted fleet shows then.
fn follow(command: &Command, picture: &watch::Sender<Arc<Snapshot>>) {
    match command {
        Command::Stop { .. } | Command::Cancel { .. } => drop(picture.send_replace(Arc::default())),
        Command::Start { .. } => drop(picture.send_replace(Arc::new(snapshot()))),
        _ => {}
    }
}

/// What the scripted fleet does.
fn obey(command: Command, asked: &Mutex<Vec<String>>) {
    let tell = |what: String| asked.lock().unwrap().push(what);
    let is = |udid: &str, which: &str| iosmux_tunneld::model::same_udid(udid, which);
    let ended = |udid: String| match udid {
        udid if is(&udid, UP) => Ok(tunnel()),
        udid if [WAITING, DOWN, OLD].iter().any(|known| is(&udid, known)) => {
            Err(CommandError::Failed { udid, text: "it did not come to a tunnel".to_owned() })
        }
        udid => Err(CommandError::UnknownDevice(udid)),
    };
    match command {
        Command::Start { udid, answer } => {
            tell(format!("start {udid}"));
            let _ = answer.send(ended(udid));
        }
        Command::Pair { udid, answer } => {
            tell(format!("pair {udid}"));
            let _ = answer.send(ended(udid));
        }
        Command::Stop { udid, answer } => {
            tell(format!("stop {udid}"));
            let known = [UP, WAITING, DOWN, OLD].iter().any(|known| is(&udid, known));
            let there = is(&udid, UP);
            let _ = answer.send(if known { Ok(there) } else { Err(CommandError::UnknownDevice(udid)) });
        }
        Command::Cancel { udid, answer } => {
            tell(format!("cancel {}", udid.as_deref().unwrap_or("all")));
            let _ = answer.send(Ok(1));
        }
        Command::Unpair { udid, answer } => {
            tell(format!("unpair {udid}"));
            let text = "Permission denied (os error 13)".to_owned();
            let broken = is(&udid, DOWN);
            let there = is(&udid, UP);
            let _ = answer.send(if broken { Err(CommandError::Record { udid, text }) } else { Ok(there) });
        }
        Command::Refresh { answer } => {
            tell("refresh".to_owned());
            let _ = answer.send(Ok(()));
        }
        Command::Counters { answer } => {
            let mut counters = Counters::default();
            (counters.outbound.packets, counters.outbound.bytes) = (3, 1500);
            (counters.inbound.packets, counters.inbound.bytes, counters.inbound.refused) = (5, 9000, 1);
            counters.inbound.count_drop(iosmux_tunnel::packet::Drop::Source);
            let _ = answer.send(Ok(vec![(UP.to_owned(), counters)]));
        }
        _ => tell("something else".to_owned()),
    }
}

/// Every endpoint of the main listener and of the agent: method, path, whether it is the agent's, and headers that it needs.
pub(crate) async fn every_endpoint(registry: &Registry) -> Vec<(String, String, bool, String)> {
    let json = "content-type: application/json\r\n";
    let of = |method: &str, path: &str, agent, headers: &str| {
        (method.to_owned(), path.to_owned(), agent, headers.to_owned())
    };
    let mut all = vec![of("POST", "/upstream", false, json), of("DELETE", "/upstream", false, json)];
    let start = format!("/start-tunnel?udid={UP}");
    let cancel = format!("/cancel?udid={UP}");
    let connect = format!("/connect?udid={UP}");
    let gets =
        ["/", "/hello", "/shutdown", "/clear_tunnels", &cancel, &start, "/upstream", "/metrics", "/nowhere"];
    all.extend(gets.map(|path| of("GET", path, false, "")));
    all.push(of("GET", &connect, false, &websocket()));
    let one = format!("/tunnel/{UP}");
    all.extend(["/health", "/ready", "/shutdown", "/tunnels", &one].map(|path| of("GET", path, true, "")));
    all.push(of("DELETE", &one, true, ""));
    let described = registry.get("/v1/openapi.json").await.json();
    for (path, item) in described["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            all.push(of(&method.to_uppercase(), &path.replace("{udid}", UP), false, json));
        }
    }
    assert!(all.len() > 30, "{all:?}");
    all
}

/// What a websocket's request has beside Host.
pub(crate) fn websocket() -> String {
    let key = "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    format!("connection: close, upgrade\r\nupgrade: websocket\r\n{key}")
}

/// Sends each endpoint a request with `headers` and sees that all are refused with `code`, that nothing was done, and that it was counted.
pub(crate) async fn assert_all_refused(registry: &Registry, headers: &str, code: &str) {
    let before = refused(registry, code).await;
    let endpoints = every_endpoint(registry).await;
    for (method, path, agent, more) in &endpoints {
        let to = if *agent { registry.agent.unwrap() } else { registry.address };
        let headers = format!("{headers}{more}");
        let answer = registry.request_at(to, method, path, &headers, "").await;
        assert_eq!(answer.status, 403, "{method} {path} with {headers:?}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let body = answer.json();
        assert_eq!(body["error"]["code"], format!("refused-{code}"), "{method} {path}");
        assert!(body["error"]["message"].as_str().unwrap().len() > 20);
        assert!(body["error"]["next_step"].as_str().unwrap().len() > 5);
    }
    assert_eq!(registry.asked(), [""; 0], "a refused request did something");
    assert!(registry.is_running(), "a refused request ended the daemon");
    assert_eq!(registry.get("/upstream").await.body, "[]");
    assert_eq!(registry.get("/v1/leases").await.json()["leases"], json!([]));
    assert_eq!(refused(registry, code).await, before + endpoints.len() as u64);
}

/// How many requests were refused for that reason.
async fn refused(registry: &Registry, code: &str) -> u64 {
    let metrics = registry.get("/metrics").await.body;
    let name = format!("iosmux_http_refused_total{{reason=\"{code}\"}} ");
    metrics
        .lines()
        .find_map(|line| line.strip_prefix(&name))
        .and_then(|count| count.parse().ok())
        .expect(&name)
}
