//! A link with a phone on one end, inside a network namespace that belongs to the test process.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

#[cfg(feature = "vm-tests")]
pub mod cable;
pub mod far;
pub mod host;

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use iosmux_fakephone::net::{Phone, PhoneConfig, RSD_PORT, Ready};
use iosmux_xpc::Limits;
use iosmux_xpc::rsd::{self, Catalogue, Handshake};
use iosmux_xpc::session::SessionConfig;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tracing_subscriber::EnvFilter;
use uuid::Uuid;

/// Everything in these tests that waits, waits at most this long.
pub const SOON: Duration = Duration::from_secs(5);

pub const TRUSTED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/iphone11,6_ios17.0.3_trusted.json");
pub const UNTRUSTED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/iphone15,3_ios17.0_untrusted.json");

pub fn catalogue(path: &str) -> Catalogue {
    Catalogue::from_json(&serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()).unwrap()
}

/// A veth pair: the phone has one end, the tests the other.
pub struct Link {
    number: u16,
}

impl Link {
    /// Both ends are up; the phone's has no address yet.
    pub fn new() -> Link {
        // Shown when a test fails; RUST_LOG says how much. One test of the program is the first.
        let _ = tracing_subscriber::fmt()
            .with_test_writer()
            .with_env_filter(EnvFilter::from_default_env())
            .try_init();
        static NEXT: AtomicU16 = AtomicU16::new(1);
        let link = Link { number: NEXT.fetch_add(1, Ordering::Relaxed) };
        link.plug();
        link
    }

    pub fn with_address() -> Link {
        let link = Link::new();
        link.add_address(1);
        link
    }

    pub fn phone_end(&self) -> String {
        format!("phone{}", self.number)
    }

    pub fn host_end(&self) -> String {
        format!("host{}", self.number)
    }

    pub fn plug(&self) {
        let (phone, host) = (self.phone_end(), self.host_end());
        ip(&["link", "add", &phone, "type", "veth", "peer", "name", &host]);
        for end in [&phone, &host] {
            ip(&["link", "set", end, "addrgenmode", "none"]);
            ip(&["link", "set", end, "up"]);
        }
        ip(&["address", "add", &format!("{}/64", self.address(0xff)), "dev", &host, "nodad"]);
    }

    pub fn unplug(&self) {
        ip(&["link", "delete", &self.phone_end()]);
    }

    pub fn add_address(&self, last: u16) {
        ip(&["address", "add", &format!("{}/64", self.address(last)), "dev", &self.phone_end(), "nodad"]);
    }

    pub fn remove_address(&self, last: u16) {
        ip(&["address", "delete", &format!("{}/64", self.address(last)), "dev", &self.phone_end()]);
    }

    pub fn address(&self, last: u16) -> Ipv6Addr {
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, self.number, 0, last)
    }

    pub fn host_index(&self) -> u32 {
        self.at(1, 1).scope_id()
    }

    /// The phone's port as seen from the other end.
    pub fn at(&self, last: u16, port: u16) -> SocketAddrV6 {
        let text = format!("{}%{}", self.address(last), self.host_end());
        match (text.as_str(), port).to_socket_addrs().expect("the host's end exists").next() {
            Some(SocketAddr::V6(address)) => address,
            other => panic!("{text} is {other:?}"),
        }
    }

    pub fn config(&self) -> PhoneConfig {
        PhoneConfig::new(self.phone_end(), catalogue(TRUSTED))
    }

    pub async fn phone(&self) -> Phone {
        start(self.config()).await
    }

    pub async fn connect(&self, port: u16) -> std::io::Result<TcpStream> {
        timeout(SOON, TcpStream::connect(self.at(1, port))).await.expect("connected or refused soon")
    }

    /// Another address of the host's end.
    pub fn add_host_address(&self, last: u16) {
        ip(&["address", "add", &format!("{}/64", self.address(last)), "dev", &self.host_end(), "nodad"]);
    }

    /// Connects from one of the host's end's addresses.
    pub async fn connect_from(&self, last: u16, port: u16) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v6()?;
        socket.bind(SocketAddr::V6(SocketAddrV6::new(self.address(last), 0, 0, self.host_index())))?;
        let connected = socket.connect(SocketAddr::V6(self.at(1, port)));
        timeout(SOON, connected).await.expect("connected or refused soon")
    }

    /// A whole RSD handshake as the host `uuid`.
    pub async fn rsd(&self, port: u16, uuid: Uuid) -> Result<rsd::io::Remote, rsd::io::HandshakeError> {
        let stream = self.connect(port).await.expect("the RSD port listens");
        let ours = Handshake::host(uuid);
        timeout(SOON, rsd::io::handshake(stream, Some(&ours), impatient())).await.expect("an end soon")
    }

    pub async fn fixed(&self, uuid: Uuid) -> rsd::io::Remote {
        self.rsd(RSD_PORT, uuid).await.expect("a Handshake")
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // A test that failed may have unplugged it; the phone's end may be in another namespace.
        let _ = Command::new("ip").args(["link", "delete", &self.host_end()]).output();
    }
}

/// Our own client, waiting half a second for an opening.
pub fn impatient() -> SessionConfig {
    let limits = Limits { handshake_deadline: Duration::from_millis(500), ..Limits::default() };
    SessionConfig { limits, ..SessionConfig::default() }
}

pub async fn start(config: PhoneConfig) -> Phone {
    timeout(SOON, Phone::start(config)).await.expect("attached soon").expect("a phone")
}

pub fn ready(phone: &Phone) -> Ready {
    phone.ready().expect("attached")
}

/// Ports of a Handshake in catalogue order.
pub fn ports(handshake: &Handshake) -> Vec<u16> {
    handshake.services.iter().map(|(_, service)| service.port).collect()
}

pub fn ip(arguments: &[&str]) -> String {
    let output = Command::new("ip").args(arguments).output().expect("iproute2's ip starts");
    assert!(
        output.status.success(),
        "ip {}: {}; these tests run as root inside a network namespace of their own (unshare -Urn)",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}
