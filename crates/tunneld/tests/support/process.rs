//! The daemon as its users have it: a process of its own, in the VM of a desk, asked over HTTP only.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::echo::Echo;
use super::{Desk, udid};

/// The port of every desk's daemon: each VM has a loopback of its own.
pub const REGISTRY: &str = "127.0.0.1:49151";
/// Between two looks at the daemon.
const LOOK: Duration = Duration::from_millis(10);
/// How long one answer of the registry may take.
const ANSWER: Duration = Duration::from_secs(5);

/// A daemon; dropped, it is killed.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it with the records of this desk, and waits until its registry answers.
    pub async fn start(desk: &Desk) -> Self {
        Self::start_with(desk, "", |_| {}).await
    }

    /// The same with further lines of configuration, by a changed command.
    pub async fn start_with(desk: &Desk, lines: &str, change: impl FnOnce(&mut Command)) -> Self {
        configure(desk, lines);
        let mut process = Self::spawn(desk, change).await;
        let began = Instant::now();
        while get(desk, "/hello").await.is_none() {
            assert!(process.exited().is_none() && began.elapsed() < ANSWER, "no answer: {}", process.log());
            sleep(LOOK).await;
        }
        process
    }

    /// Starts it with the configuration that there is.
    pub async fn spawn(desk: &Desk, change: impl FnOnce(&mut Command)) -> Self {
        let mut command = command(desk, Path::new(env!("CARGO_BIN_EXE_iosmux-tunneld")));
        change(&mut command);
        Self::spawn_command(desk, command).await
    }

    /// Starts a command that becomes the daemon.
    pub async fn spawn_command(desk: &Desk, mut command: Command) -> Self {
        let log = desk.path(&format!("daemon-{}.log", fastrand::u64(..)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
        // A child is in the network namespace of the thread that starts it.
        let child = desk.in_vm(move || async move { command.spawn() }).await.unwrap();
        Self { child, log }
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits until it has ended by itself.
    pub async fn end(&mut self, patience: Duration) -> (ExitStatus, Duration) {
        let began = Instant::now();
        loop {
            if let Some(status) = self.exited() {
                return (status, began.elapsed());
            }
            assert!(began.elapsed() < patience, "it has not ended within {patience:?}: {}", self.log());
            sleep(LOOK).await;
        }
    }

    /// Waits until a phone's row is as wanted; gives it and how long that took.
    pub async fn until(
        &mut self,
        desk: &Desk,
        number: usize,
        patience: Duration,
        is: impl Fn(&Value) -> bool,
    ) -> (Value, Duration) {
        let began = Instant::now();
        loop {
            let row = device(desk, number).await;
            if let Some(row) = row.clone().filter(&is) {
                return (row, began.elapsed());
            }
            let late = began.elapsed() > patience || self.exited().is_some();
            assert!(!late, "phone {number} is not so after {patience:?}: {row:#?}\n{}", self.log());
            sleep(LOOK).await;
        }
    }

    /// Waits until a phone that has not said who it is is as wanted.
    pub async fn unidentified(&mut self, desk: &Desk, is: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let all: Value = serde_json::from_str(&get(desk, "/v1/unidentified").await.unwrap()).unwrap();
            let row = &all["unidentified"][0];
            if !row.is_null() && is(row) {
                return row.clone();
            }
            let late = began.elapsed() > Duration::from_secs(20) || self.exited().is_some();
            assert!(!late, "{all:#?}\n{}", self.log());
            sleep(LOOK).await;
        }
    }

    /// Waits until a phone's services are known.
    pub async fn usable(&mut self, desk: &Desk, number: usize) -> (Value, Duration) {
        self.until(desk, number, Duration::from_secs(20), |row| row["state"] == "catalogue-known").await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `run` with this desk's configuration and records.
pub fn command(desk: &Desk, program: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("run").arg("--config").arg(desk.path("tunneld.toml"));
    command.arg("--state-dir").arg(desk.path("records")).args(["--listen", REGISTRY]);
    command.env("IOSMUX_LOG_FORMAT", "text").env_remove("NOTIFY_SOCKET");
    command
}

/// Writes this desk's configuration.
pub fn configure(desk: &Desk, lines: &str) {
    let mut file = fs::File::create(desk.path("tunneld.toml")).unwrap();
    let always = "agent = \"off\"\nhost-name = \"iosmux-test\"\n";
    write!(file, "{always}{lines}\n[socket]\npath = \"off\"\n").unwrap();
}

/// The body of an answer with status 200; none while nobody answers.
pub async fn get(desk: &Desk, path: &str) -> Option<String> {
    ask(desk, "GET", path, "").await.map(|(status, body)| {
        assert_eq!(status, 200, "{path}: {body}");
        body
    })
}

/// The status and the body of an answer; none while nobody answers.
pub async fn ask(desk: &Desk, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {REGISTRY}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    let exchange = || async move {
        let mut stream = TcpStream::connect(REGISTRY.parse::<SocketAddr>().unwrap()).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = desk.in_vm(move || timeout(ANSWER, exchange())).await;
    let answer = answer.expect("an answer within its time").ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().unwrap(), body.to_owned()))
}

/// A phone's row in `/v1/devices`.
pub async fn device(desk: &Desk, number: usize) -> Option<Value> {
    let all: Value = serde_json::from_str(&get(desk, "/v1/devices").await?).unwrap();
    all["devices"].as_array().unwrap().iter().find(|row| row["udid"] == udid(number)).cloned()
}

/// The phone's address in its tunnel.
pub fn inside(row: &Value) -> Ipv6Addr {
    row["tunnel"]["address"].as_str().unwrap().parse().unwrap()
}

/// The tunnels' interfaces in the VM.
pub async fn interfaces(desk: &Desk) -> Vec<String> {
    desk.in_vm(|| async {
        let table = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
        let names = table.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim());
        names.filter(|name| name.starts_with("iosmux-tun")).map(str::to_owned).collect()
    })
    .await
}

/// Waits until that many tunnels' interfaces are there.
pub async fn until_interfaces(desk: &Desk, count: usize, patience: Duration) -> Duration {
    let began = Instant::now();
    loop {
        let there = interfaces(desk).await;
        if there.len() == count {
            return began.elapsed();
        }
        assert!(began.elapsed() < patience, "{count} were expected after {patience:?}: {there:?}");
        sleep(LOOK).await;
    }
}

/// Whether an echo through a tunnel is answered in time.
pub async fn answers(desk: &Desk, inside: Ipv6Addr, patience: Duration) -> bool {
    let (tell, told) = tokio::sync::oneshot::channel();
    desk.in_vm(move || async move {
        std::thread::spawn(move || {
            let answer = Echo::open(inside).and_then(|mut echo| echo.round_trip(patience));
            // Nobody listens any more when the test has failed.
            let _ = tell.send(answer.is_ok());
        });
    })
    .await;
    told.await.unwrap()
}
