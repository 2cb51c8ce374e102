//! pymobiledevice3's tunneld as the host.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Running, command, output, peer};
use crate::stage::{Stage, property};
use crate::{keys, phone, trusted_services, udid, wait_for_tunnels};

/// tunneld looks for phones when it starts and then about every half minute; the rest is for a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// Where it answers. Source: protocol.md §6.
const LISTEN: &str = "127.0.0.1:49151";

/// A computer with pymobiledevice3: its pair records live in the folder.
struct Computer(TempDir);

impl Computer {
    fn new() -> Computer {
        Computer(tempfile::tempdir().unwrap())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let home = self.0.path();
        let mut command = command(peer("IOSMUX_PEER_PYTHON"));
        command.args(["-m", "pymobiledevice3"]).args(arguments);
        command.env("HOME", home).env("XDG_DATA_HOME", home).env("NO_COLOR", "1").current_dir(home);
        command
    }

    fn record(&self) -> Vec<u8> {
        let path = self.0.path().join("pymobiledevice3").join(format!("remote_{}.plist", udid()));
        std::fs::read(path).expect("a pair record")
    }

    /// tunneld with one way of finding phones.
    fn tunneld(&self, stage: &Stage, arguments: &[&str]) -> Running {
        let all = ["remote", "tunneld", "--no-usbmux", "--no-mobdev2"];
        let command = self.command(&[&all, arguments].concat());
        stage.host().run(move || Running::start(command))
    }

    /// What a command prints that goes through tunneld's tunnel.
    fn through_tunnel(&self, stage: &Stage, words: &[&str]) -> Value {
        let udid = udid();
        let command = self.command(&[words, &["--tunnel", &udid]].concat());
        let text = stage.host().run(move || output(command));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
    }

    fn reads_inside(&self, stage: &Stage) {
        let shown = self.through_tunnel(stage, &["remote", "rsd-info"]);
        assert_eq!(keys(&shown["Services"]), trusted_services());
        assert_eq!(shown["Properties"]["UniqueDeviceID"], udid());
        let values = self.through_tunnel(stage, &["lockdown", "info"]);
        assert_eq!(values["UniqueDeviceID"], udid());
        assert_eq!(values["ProductVersion"], property("OSVersion"));
    }
}

/// Waits until tunneld lists a tunnel to the phone.
fn wait_until_listed(stage: &Stage) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let list = stage.host().run(get);
        if let Some(entry) = list.as_ref().and_then(|list| list[udid()].get(0)) {
            return entry.clone();
        }
        assert!(Instant::now() < end, "tunneld lists no tunnel within {PATIENCE:?}, but {list:?}");
        sleep(Duration::from_millis(200));
    }
}

/// `GET /`; nothing while tunneld starts.
fn get() -> Option<Value> {
    let mut stream = TcpStream::connect(LISTEN).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

/// Runs a command that has to fail, and gives all that it said.
fn failure(stage: &Stage, computer: &Computer, arguments: &[&str]) -> String {
    let python = computer.command(arguments);
    let mut command = command("timeout");
    command.arg("60").arg(python.get_program()).args(python.get_args());
    for (key, value) in python.get_envs() {
        command.env(key, value.unwrap_or_default());
    }
    let output = stage.host().run(move || command.output().unwrap());
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(!output.status.success(), "{said:?}");
    said.concat()
}

#[test]
fn it_pairs_once_and_verifies_from_its_record_over_tcp() {
    let (computer, state) = (Computer::new(), tempfile::tempdir().unwrap());
    let state: &Path = &state.path().join("phone");
    let usb_over_tcp = ["--no-wifi", "--protocol", "tcp"];
    let stage = phone("accept", state);
    let mut tunneld = computer.tunneld(&stage, &usb_over_tcp);
    let entry = wait_until_listed(&stage);
    assert_eq!(entry["interface"], stage.scoped());
    computer.reads_inside(&stage);
    let record = computer.record();
    tunneld.terminate();
    wait_for_tunnels(&stage, 0);
    drop((tunneld, stage));

    // This user trusts nobody any more: only the record opens the phone.
    let stage = phone("reject", state);
    let _tunneld = computer.tunneld(&stage, &usb_over_tcp);
    wait_until_listed(&stage);
    computer.reads_inside(&stage);
    assert_eq!(computer.record(), record);
}

#[test]
fn it_tunnels_over_quic_and_finds_the_paired_phone_on_its_network() {
    let (computer, state) = (Computer::new(), tempfile::tempdir().unwrap());
    let stage = phone("accept", &state.path().join("phone"));
    let mut tunneld = computer.tunneld(&stage, &["--no-wifi", "--protocol", "quic"]);
    wait_until_listed(&stage);
    computer.reads_inside(&stage);
    tunneld.terminate();
    wait_for_tunnels(&stage, 0);

    // `_remotepairing._tcp`: it knows the phone by its authTag and speaks JSON.
    let _tunneld = computer.tunneld(&stage, &["--no-usb", "--protocol", "tcp"]);
    wait_until_listed(&stage);
    computer.reads_inside(&stage);
}

#[test]
fn it_says_what_the_phone_answered() {
    for (policy, expected) in
        [("reject", "The user did not trust this host."), ("backoff:8316", "BACKOFF; retry in 8316 seconds")]
    {
        let (computer, state) = (Computer::new(), tempfile::tempdir().unwrap());
        let stage = phone(policy, &state.path().join("phone"));
        let said =
            failure(&stage, &computer, &["remote", "start-tunnel", "--script-mode", "--udid", &udid()]);
        assert!(said.contains(expected), "{policy}: {said}");
    }
}
