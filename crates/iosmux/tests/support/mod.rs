//! Running the built command in the conditions that the tests name.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The command, where every user can run it.
pub(crate) struct Installed {
    folder: tempfile::TempDir,
}

impl Installed {
    pub(crate) fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
        std::fs::copy(env!("CARGO_BIN_EXE_iosmux"), folder.path().join("iosmux")).unwrap();
        Self { folder }
    }

    /// Runs a shell script in which `$iosmux` is the command and the folder is its own. All users may open its tun node,
    /// which is in a mount namespace of its own: the machine's stays as it is. Without root it is the machine's.
    pub(crate) fn script(&self, script: &str) -> Command {
        if nix::unistd::Uid::effective().is_root() {
            return self.with_dev_net("mknod -m 0666 /dev/net/tun c 10 200", script);
        }
        let mut command = Command::new("sh");
        command.args(["-euc", script]);
        self.here(command)
    }

    /// Runs a shell script as root does in [`Installed::script`], with what `nodes` makes in /dev/net.
    pub(crate) fn with_dev_net(&self, nodes: &str, script: &str) -> Command {
        let mut command = Command::new("unshare");
        let prepare = format!("mount -t tmpfs -o mode=0755 none /dev/net; {nodes}; exec sh -euc \"$1\"");
        command.args(["--mount", "sh", "-euc", &prepare, "sh", script]);
        self.here(command)
    }

    fn here(&self, mut command: Command) -> Command {
        command.current_dir(self.folder.path());
        // A demo that is killed leaves its pairings: not on this machine.
        command.env("TMPDIR", self.folder.path());
        command
            .env("iosmux", self.path("iosmux"))
            .env_remove("IOSMUX_LOG")
            .env_remove("IOSMUX_TUNNELD_URL")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, script: &str) -> Output {
        self.script(script).output().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// The tests that change users need root: they fail by name without.
pub(crate) fn assert_root(output: &Output) {
    assert_eq!(text(&output.stdout), "0", "this test must be run as root: it changes users");
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// The JSON that a run printed; panics with its errors when it failed.
pub(crate) fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}: {}", output.status, text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A demo that stays up. Killed, if the test fails before it ends it.
pub(crate) struct Held {
    child: Child,
    pub(crate) json: Value,
}

impl Held {
    /// Starts `iosmux demo --hold --json` and waits for its result. `prefix` goes before the command.
    pub(crate) fn start(installed: &Installed, prefix: &str) -> Self {
        let file = installed.path("held.json");
        let mut command = installed.script(&format!("exec {prefix} $iosmux demo --hold --json"));
        command.stdout(File::create(&file).unwrap()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let start = Instant::now();
        loop {
            if let Ok(json) = serde_json::from_slice(&std::fs::read(&file).unwrap()) {
                return Self { child, json };
            }
            if let Some(status) = child.try_wait().unwrap() {
                let mut errors = String::new();
                child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
                panic!("ended before its result: {status}: {errors}");
            }
            assert!(start.elapsed() < Duration::from_secs(20), "no result");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The command that joins a namespace.
    pub(crate) fn join(&self, name: &str) -> String {
        let namespaces = self.json["namespaces"].as_array().unwrap();
        let namespace = namespaces.iter().find(|namespace| namespace["name"] == name).unwrap();
        namespace["join"].as_str().unwrap().to_owned()
    }

    /// Sends a signal and gives the exit code, if there is one.
    pub(crate) fn end(mut self, signal: &str) -> Option<i32> {
        let sent =
            Command::new("kill").args([&format!("-{signal}"), &self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(start.elapsed() < Duration::from_secs(5), "still there 5 s after SIG{signal}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // It has ended already when the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The packets of a pcapng file, by a parser that isn't ours.
pub(crate) fn packets(path: &Path) -> Vec<Vec<u8>> {
    use pcap_parser::pcapng::Block;
    use pcap_parser::{PcapBlockOwned, PcapError, PcapNGReader, traits::PcapReaderIterator};
    let mut reader = PcapNGReader::new(1 << 20, File::open(path).unwrap()).unwrap();
    let mut packets = Vec::new();
    loop {
        match reader.next() {
            Ok((used, block)) => {
                if let PcapBlockOwned::NG(Block::EnhancedPacket(packet)) = block {
                    packets.push(packet.data.to_vec());
                }
                reader.consume(used);
            }
            Err(PcapError::Eof) => return packets,
            Err(PcapError::Incomplete(_)) => reader.refill().unwrap(),
            Err(error) => panic!("not a valid file: {error:?}"),
        }
    }
}
