//! avahi-daemon with a message bus of its own, in the mount namespace that it is started in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use tempfile::TempDir;

use crate::lab::Namespace;
use crate::process::{DEADLINE, Running, command, peer};

const BUS: &str = "/run/iosmux-bus";
const BUS_ADDRESS: &str = "unix:path=/run/iosmux-bus";
/// Everybody in the namespace may do everything on this bus.
const BUS_CONFIGURATION: &str = r#"<busconfig>
  <type>system</type>
  <listen>unix:path=/run/iosmux-bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
"#;

/// A running avahi-daemon, which owns port 5353 of its namespace.
pub(crate) struct Avahi {
    namespace: Namespace,
    _programs: [Running; 2],
    _folder: TempDir,
}

impl Avahi {
    /// Starts the bus and the daemon and waits until port 5353 is taken.
    pub(crate) fn start(namespace: &Namespace, host_name: &'static str) -> Avahi {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().to_owned();
        let programs = namespace.run(move || {
            prepare(&at);
            let bus = start_bus(&at);
            [bus, start_daemon(&at, host_name)]
        });
        wait_for("avahi to take port 5353", || namespace.run(port_is_taken));
        Avahi { namespace: namespace.clone(), _programs: programs, _folder: folder }
    }

    /// Starts avahi-browse, which prints a line for each change until it is dropped.
    pub(crate) fn browse(&self, service_type: &'static str) -> Running {
        self.namespace.run(move || {
            let mut browse = command(program("avahi-browse"));
            browse.args(["--parsable", "--resolve", "--no-db-lookup", service_type]);
            browse.env("DBUS_SYSTEM_BUS_ADDRESS", BUS_ADDRESS);
            Running::start(browse)
        })
    }
}

/// The folder holds a starter for each program, which finds the libraries that belong to it.
fn program(name: &str) -> PathBuf {
    peer("IOSMUX_PEER_AVAHI").join(format!("iosmux-{name}"))
}

/// A /run of its own, and a user `avahi`, who is root here: the daemon asks for both and changes neither.
fn prepare(folder: &Path) {
    mount(Some("run"), "/run", Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    for (name, text) in [
        ("passwd", "root:x:0:0::/:/bin/false\navahi:x:0:0::/:/bin/false\n"),
        ("group", "root:x:0:\navahi:x:0:\n"),
    ] {
        let own = folder.join(name);
        fs::write(&own, text).unwrap();
        let place = Path::new("/etc").join(name);
        mount(Some(&own), &place, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
    }
}

fn start_bus(folder: &Path) -> Running {
    let configuration = folder.join("bus.conf");
    fs::write(&configuration, BUS_CONFIGURATION).unwrap();
    let mut bus = command(program("dbus-daemon"));
    bus.arg("--config-file").arg(&configuration).args(["--nofork", "--nopidfile"]);
    let bus = Running::start(bus);
    wait_for("the message bus", || Path::new(BUS).exists());
    bus
}

fn start_daemon(folder: &Path, host_name: &str) -> Running {
    let configuration = folder.join("avahi.conf");
    let text = format!(
        "[server]\nhost-name={host_name}\nuse-ipv4=no\nuse-ipv6=yes\n[wide-area]\nenable-wide-area=no\n\
         [publish]\npublish-hinfo=no\npublish-workstation=no\n"
    );
    fs::write(&configuration, text).unwrap();
    let mut daemon: Command = command(program("avahi-daemon"));
    daemon.args(["--no-drop-root", "--no-chroot", "--no-rlimits", "--no-proc-title", "--file"]);
    daemon.arg(&configuration).env("DBUS_SYSTEM_BUS_ADDRESS", BUS_ADDRESS);
    Running::start(daemon)
}

/// Whether a socket of the calling thread's namespace is bound to UDP port 5353 (0x14E9) over IPv6.
fn port_is_taken() -> bool {
    let table = fs::read_to_string("/proc/thread-self/net/udp6").unwrap();
    table.lines().any(|line| line.split_whitespace().nth(1).is_some_and(|local| local.ends_with(":14E9")))
}

fn wait_for(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < end, "waited {DEADLINE:?} for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
