//! iosmux-bridge as its users have it: a process of its own, known by its state file and its log.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::time::sleep;

use super::{BRIDGE, Desk, LOOK, PATIENCE, udid};

/// A program of this workspace in the guest.
pub fn program(name: &str) -> PathBuf {
    Path::new(&std::env::var("IOSMUX_VM_BIN").expect("IOSMUX_VM_BIN: this test runs in a guest")).join(name)
}

/// A running daemon; dropped, it is killed.
pub struct Daemon {
    child: Child,
    log: PathBuf,
    state: PathBuf,
}

/// What a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Open files.
    pub files: usize,
    pub threads: usize,
    /// KiB.
    pub resident: u64,
    /// Interfaces of the guest.
    pub links: usize,
}

impl Daemon {
    /// Starts it with further lines of configuration, and waits until it has told its state.
    pub async fn start(desk: &Desk, lines: &str) -> Self {
        let config = desk.path("bridge.toml");
        let state = desk.path("bridge.json");
        // The one before may have been killed, and left its own.
        let _ = fs::remove_file(&state);
        let text = format!("bridge = \"{BRIDGE}\"\nstate-file = {state:?}\n{lines}");
        fs::write(&config, text).unwrap();
        let before = fs::read_dir(desk.files.path()).unwrap().count();
        let log = desk.path(&format!("bridge-{before}.log"));
        let mut command = Command::new(program("iosmux-bridge"));
        command
            .arg("run")
            .arg("--config")
            .arg(config)
            .arg("--allow-root")
            .env("IOSMUX_LOG_FORMAT", "text")
            .env_remove("NOTIFY_SOCKET");
        // Not of nusb, which says several lines for each transfer.
        command.env("IOSMUX_LOG", "info,iosmux_bridge=debug");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        let mut daemon = Self { child: command.spawn().unwrap(), log, state };
        let began = Instant::now();
        while daemon.report().is_none() {
            let ended = daemon.child.try_wait().unwrap();
            let late = began.elapsed() > PATIENCE || ended.is_some();
            assert!(!late, "no state file ({ended:?}): {}", daemon.log());
            sleep(LOOK).await;
        }
        daemon
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// What is in the state file; it is never half of it.
    pub fn report(&self) -> Option<Value> {
        read(&self.state)
    }

    /// What `iosmux-bridge list` says of the phone with this number.
    pub fn listed(&self, number: usize) -> Value {
        let mut list = Command::new(program("iosmux-bridge"));
        let output = list.args(["list", "--json", "--state-file"]).arg(&self.state).output().unwrap();
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let rows = told["phones"].as_array().unwrap();
        rows.iter().find(|row| row["udid"] == udid(number)).unwrap_or_else(|| panic!("{told:#}")).clone()
    }

    /// Lets it read its configuration again, and look again at what it knows.
    pub fn reload(&self) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGHUP).unwrap();
    }

    /// Waits until a row is as wanted.
    pub async fn row_that(&self, patience: Duration, is: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let report = self.report().unwrap_or_default();
            let found = report["phones"].as_array().and_then(|rows| rows.iter().find(|row| is(row)).cloned());
            if let Some(row) = found {
                return row;
            }
            let late = began.elapsed() > patience;
            assert!(!late, "not within {patience:?}: {report:#}\n{}\n{}", self.log(), super::kernel());
            sleep(LOOK).await;
        }
    }

    /// Waits until the phone with this number is in a state.
    pub async fn state(&self, number: usize, state: &str) -> Value {
        self.row_that(PATIENCE, |row| row["udid"] == udid(number) && row["state"] == state).await
    }

    /// Waits until the phone with this number is joined.
    pub async fn joined(&self, number: usize) -> Value {
        self.state(number, "joined").await
    }

    /// Waits until nothing is said of the phone with this number.
    pub async fn row_gone(&self, number: usize, patience: Duration) {
        let began = Instant::now();
        let there = |report: &Value| {
            let rows = report["phones"].as_array().cloned().unwrap_or_default();
            rows.iter().any(|row| row["udid"] == udid(number) && row["state"] != "gone")
        };
        while self.report().is_none_or(|report| there(&report)) {
            assert!(began.elapsed() < patience, "{:#?}\n{}", self.report(), self.log());
            sleep(LOOK).await;
        }
    }

    /// Ends it by a signal; gives its status and how long that took.
    pub async fn stop(&mut self, signal: Signal, patience: Duration) -> (ExitStatus, Duration) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, began.elapsed());
            }
            assert!(began.elapsed() < patience, "it has not ended: {}", self.log());
            sleep(LOOK).await;
        }
    }

    /// How `iosmux doctor` ends beside it, and what that says of the cable.
    pub fn doctor(&self) -> (Option<i32>, Value) {
        let mut doctor = Command::new(program("iosmux"));
        let output = doctor.args(["doctor", "--json", "--state-file"]).arg(&self.state).output().unwrap();
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = told["checks"].as_array().unwrap();
        let cable: Vec<_> = checks.iter().filter(|check| check["hop"] == "cable").collect();
        assert_eq!(cable.len(), 1, "{told:#}");
        (output.status.code(), cable[0].clone())
    }

    /// CPU time that it has used.
    pub fn cpu(&self) -> Duration {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // After the name, in parentheses, state is the first field and user and system time the 12th and 13th.
        let (_, fields) = text.rsplit_once(')').unwrap();
        let ticks = fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u32>().unwrap());
        Duration::from_millis(10) * ticks.sum::<u32>()
    }

    /// What it holds now.
    pub fn size(&self) -> Size {
        let folder = PathBuf::from(format!("/proc/{}", self.child.id()));
        let status = fs::read_to_string(folder.join("status")).unwrap();
        let number = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
        };
        Size {
            files: fs::read_dir(folder.join("fd")).unwrap().count(),
            threads: usize::try_from(number("Threads:")).unwrap(),
            resident: number("VmRSS:"),
            links: fs::read_dir("/sys/class/net").unwrap().count(),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(path: &Path) -> Option<Value> {
    Some(serde_json::from_slice(&fs::read(path).ok()?).expect("a state file is whole"))
}

/// When a phone was first seen in each state.
pub struct Hops {
    seen: Arc<Mutex<Vec<(String, Instant)>>>,
    stop: Arc<Mutex<bool>>,
    thread: Option<JoinHandle<()>>,
}

impl Hops {
    /// Follows the phone with this number until this is dropped.
    pub fn follow(daemon: &Daemon, number: usize) -> Self {
        let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(false)));
        let (told, ends, path) = (Arc::clone(&seen), Arc::clone(&stop), daemon.state.clone());
        let thread = std::thread::spawn(move || {
            while !*ends.lock().unwrap() {
                let report = read(&path).unwrap_or_default();
                let rows = report["phones"].as_array().cloned().unwrap_or_default();
                let row = rows.into_iter().find(|row| row["udid"] == udid(number)).unwrap_or_default();
                if let Some(state) = row["state"].as_str() {
                    let mut seen: std::sync::MutexGuard<'_, Vec<(String, Instant)>> = told.lock().unwrap();
                    if !seen.iter().any(|(known, _)| known == state) {
                        seen.push((state.to_owned(), Instant::now()));
                    }
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        Self { seen, stop, thread: Some(thread) }
    }

    /// One line for each state.
    pub fn table(&self, since: Instant) -> String {
        let seen = self.seen.lock().unwrap();
        let line =
            |(state, at): &(String, Instant)| format!("{:>6} ms  {state}\n", (*at - since).as_millis());
        seen.iter().map(line).collect()
    }

    /// From one state to another; states too short to be seen count as the next that was.
    pub fn between(&self, from: &str, to: &str) -> Duration {
        let seen = self.seen.lock().unwrap();
        let order =
            ["seen", "mode-queried", "switching", "re-enumerated", "configured", "netdev-up", "joined"];
        let first_at_or_after = |name: &str| {
            let names = order.iter().skip_while(|known| **known != name);
            names.filter_map(|name| seen.iter().find(|(state, _)| state == name)).map(|(_, at)| *at).next()
        };
        first_at_or_after(to).unwrap() - first_at_or_after(from).unwrap()
    }
}

impl Drop for Hops {
    fn drop(&mut self) {
        *self.stop.lock().unwrap() = true;
        self.thread.take().unwrap().join().unwrap();
    }
}

/// What the daemon that systemd started tells.
pub fn installed_report() -> Value {
    read(Path::new("/run/iosmux/bridge.json")).unwrap_or_default()
}

/// The row of the phone with this number there, if it is in this state.
pub fn installed_row(number: usize, state: &str) -> Option<Value> {
    let rows = installed_report()["phones"].as_array()?.clone();
    rows.into_iter().find(|row| row["udid"] == udid(number) && row["state"] == state)
}
