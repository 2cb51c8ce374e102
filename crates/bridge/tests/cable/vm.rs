//! The VM behind the bridge, with a daemon that keeps tunnels.

use std::fs::{self, File};
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use iosmux_lab::Namespace;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::{BRIDGE, Desk, LOOK, ip, udid};

/// The VM's port of the bridge.
pub const TAP: &str = "vmtap";
const REGISTRY: &str = "127.0.0.1:49151";

/// A network namespace whose only cable leads into the bridge.
pub struct Vm {
    namespace: Namespace,
    /// Names the namespace to `ip`.
    holder: Child,
    daemon: Option<Child>,
    log: PathBuf,
    config: PathBuf,
    records: PathBuf,
}

impl Vm {
    /// A VM that is switched on: its link is up.
    pub async fn new(desk: &Desk) -> Self {
        let namespace = Namespace::new("vm").await.unwrap();
        let holder = namespace.run(|| async { Command::new("sleep").arg("100000").spawn() }).await;
        let holder = holder.unwrap().unwrap();
        let vm = Self {
            namespace,
            holder,
            daemon: None,
            log: desk.path("tunneld.log"),
            config: desk.path("tunneld.toml"),
            records: desk.path("records"),
        };
        // busybox' ip does not name the other end.
        ip(&format!("link add {TAP} type veth"));
        let other = other_end(TAP);
        ip(&format!("link set {other} netns {}", vm.holder.id()));
        ip(&format!("link set {TAP} up"));
        vm.connect();
        vm.ip("link set lo up".to_owned()).await;
        vm.ip(format!("link set {other} name eth0")).await;
        vm.ip("link set eth0 up".to_owned()).await;
        vm
    }

    /// Its link-local address.
    pub async fn address(&self) -> Ipv6Addr {
        let began = Instant::now();
        loop {
            let read = || async { fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap() };
            let table = self.namespace.run(read).await.unwrap();
            let line = table.lines().find(|line| line.ends_with("eth0"));
            let digits = line.and_then(|line| line.split_whitespace().next());
            if let Some(bits) = digits.and_then(|digits| u128::from_str_radix(digits, 16).ok()) {
                return Ipv6Addr::from_bits(bits);
            }
            assert!(began.elapsed() < Duration::from_secs(20), "no address: {table}");
            sleep(LOOK).await;
        }
    }

    /// Puts its cable into the bridge.
    pub fn connect(&self) {
        ip(&format!("link set {TAP} master {BRIDGE}"));
    }

    async fn ip(&self, words: String) {
        self.namespace.run(move || async move { ip(&words) }).await.unwrap();
    }

    /// Starts iosmux-tunneld in it, and waits until its registry answers.
    pub async fn tunneld(&mut self) {
        let always = "agent = \"off\"\nhost-name = \"iosmux-test\"\n[socket]\npath = \"off\"\n";
        fs::write(&self.config, always).unwrap();
        let mut command = Command::new(super::bridge::program("iosmux-tunneld"));
        command.arg("run").arg("--config").arg(&self.config).arg("--state-dir").arg(&self.records);
        command.args(["--listen", REGISTRY]).env("IOSMUX_LOG_FORMAT", "text").env_remove("NOTIFY_SOCKET");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&self.log).unwrap());
        let child = self.namespace.run(move || async move { command.spawn() }).await.unwrap().unwrap();
        self.daemon = Some(child);
        let began = Instant::now();
        while self.get("/hello").await.is_none() {
            assert!(began.elapsed() < Duration::from_secs(30), "no answer: {}", self.log());
            sleep(LOOK).await;
        }
    }

    /// What the daemon has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    async fn get(&self, path: &'static str) -> Option<String> {
        self.namespace.run(move || get(path)).await.unwrap()
    }

    /// A phone's row in `/v1/devices`.
    pub async fn device(&self, number: usize) -> Option<Value> {
        row(&self.get("/v1/devices").await?, number)
    }

    /// Waits until a phone's row is in this state; gives it and how long that took.
    pub async fn until(&self, number: usize, state: &str, patience: Duration) -> (Value, Duration) {
        let began = Instant::now();
        loop {
            let row = self.device(number).await;
            if let Some(row) = row.clone().filter(|row| row["state"] == state) {
                return (row, began.elapsed());
            }
            assert!(began.elapsed() < patience, "{state}: {row:#?}\n{}", self.log());
            sleep(LOOK).await;
        }
    }
}

/// A phone's row in `/v1/devices` of the daemon on this computer itself.
pub async fn device_here(number: usize) -> Option<Value> {
    row(&get("/v1/devices").await?, number)
}

fn row(devices: &str, number: usize) -> Option<Value> {
    let all: Value = serde_json::from_str(devices).unwrap();
    all["devices"].as_array()?.iter().find(|row| row["udid"] == udid(number)).cloned()
}

/// What the registry in this namespace has at a path.
async fn get(path: &str) -> Option<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {REGISTRY}\r\nConnection: close\r\n\r\n");
    let exchange = async {
        let mut stream = TcpStream::connect(REGISTRY.parse::<SocketAddr>().unwrap()).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = timeout(Duration::from_secs(10), exchange).await.ok()?.ok()?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

/// The name of the interface that a veth interface is the other end of.
fn other_end(name: &str) -> String {
    let read = |name: &str, file: &str| {
        let text = fs::read_to_string(format!("/sys/class/net/{name}/{file}")).unwrap_or_default();
        text.trim().to_owned()
    };
    let wanted = read(name, "iflink");
    let entries = fs::read_dir("/sys/class/net").unwrap();
    let mut names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.find(|name| read(name, "ifindex") == wanted).unwrap()
}

impl Drop for Vm {
    fn drop(&mut self) {
        for child in self.daemon.iter_mut().chain([&mut self.holder]) {
            // It may have ended long ago.
            let _ = child.kill();
            let _ = child.wait();
        }
        // The other end goes with the namespace; this one with it.
        let _ = Command::new("ip").args(["link", "del", TAP]).output();
    }
}
