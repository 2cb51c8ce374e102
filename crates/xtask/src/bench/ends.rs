//! One tunnel: the C helper at the far end, one of three programs at the host end.

use super::Tools;
use super::figures::{Host, Setting};
use super::rig::{self, FAR, Rig};
use anyhow::{Context as _, Result, anyhow, bail, ensure};
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv6Addr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

const PORT: u16 = 5555;
const NEAR_TUN: &str = "neartun";
const FAR_TUN: &str = "fartun";
const NEAR_INNER: &str = "fd00:77::2";
/// The device's address in the tunnel.
pub(super) const FAR_INNER: &str = "fd00:77::1";
/// The longest that an end may take to come up: a Python with all its imports.
const UP: Duration = Duration::from_secs(40);
/// How many of a process' ticks are a second, on every Linux that Rust knows (USER_HZ).
const TICKS: f64 = 100.0;

/// An open tunnel; dropping it ends both programs.
pub(super) struct Ends {
    near: End,
    _far: End,
}

/// A running program.
struct End {
    child: Child,
}

impl Ends {
    /// Opens a tunnel and makes sure that both ends agreed on what the setting says.
    pub(super) fn open(
        rig: &Rig,
        tools: &Tools,
        host: Host,
        setting: &Setting,
        words: &Path,
    ) -> Result<Self> {
        let mtu = setting.mtu.to_string();
        let port = PORT.to_string();
        let suite = setting.suite.name;
        let mut far = rig.far(&tools.tunend);
        far.args(["device", FAR, &port, suite, &mtu, FAR_TUN, FAR_INNER, NEAR_INNER]);
        let (far, far_says) = End::start(far, &words.join("far.log"))?;
        let pid = far.child.id();
        rig::until("the far end", || rig::listens(pid, PORT))?;
        let near = host_command(tools, host, suite, &mtu);
        let (near, near_says) = End::start(near, &words.join(format!("{}.log", host.name())))?;
        for (says, what) in [(far_says, "the far end"), (near_says, host.name())] {
            let line = says
                .recv_timeout(UP)
                .map_err(|_| anyhow!("{what} did not open the tunnel; see {}", words.display()))?;
            agreed(&line, setting).with_context(|| what.to_owned())?;
        }
        rig::until("the route into the tunnel", routed)?;
        Ok(Self { near, _far: far })
    }

    /// Processor seconds that the host end has used.
    pub(super) fn host_cpu(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.near.child.id()))
            .context("the host end is gone")?;
        cpu(&stat).context("/proc/PID/stat has another form")
    }
}

fn host_command(tools: &Tools, host: Host, suite: &str, mtu: &str) -> Command {
    let port = PORT.to_string();
    let mut command = match host {
        Host::C => {
            let mut command = Command::new(&tools.tunend);
            command.args(["host", FAR, &port, suite, mtu, NEAR_TUN, NEAR_INNER, FAR_INNER]);
            return command;
        }
        Host::Ours => Command::new(&tools.ours),
        Host::Pymobiledevice3 => {
            let mut command = Command::new(&tools.python);
            command.arg(&tools.script).env("PYTHONDONTWRITEBYTECODE", "1");
            command
        }
    };
    command.args([&format!("{FAR}:{port}"), mtu, NEAR_TUN, suite]);
    command
}

impl End {
    /// Starts it; the receiver gets its first line.
    fn start(mut command: Command, log: &Path) -> Result<(Self, mpsc::Receiver<String>)> {
        let file = std::fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        // A client that keeps records in its home finds an empty one.
        let home = log.with_extension("home");
        std::fs::create_dir_all(&home)?;
        command.env("HOME", &home).env("XDG_DATA_HOME", &home);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
        let mut child =
            command.spawn().with_context(|| format!("cannot start {:?}", command.get_program()))?;
        let output = child.stdout.take();
        let end = Self { child };
        let (send, receive) = mpsc::channel();
        let Some(output) = output else { bail!("a program has no output") };
        std::thread::spawn(move || {
            // Read to the end: a full pipe would stop the program. The first line is all that anyone waits for.
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                drop(send.send(line));
            }
        });
        Ok((end, receive))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Checks an end's first line: `suite NAME mtu MTU interface INTERFACE`.
fn agreed(line: &str, setting: &Setting) -> Result<()> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let ["suite", suite, "mtu", mtu, "interface", ..] = words.as_slice() else {
        bail!("expected `suite NAME mtu MTU interface INTERFACE`, got `{line}`");
    };
    ensure!(*suite == setting.suite.name, "negotiated {suite}, pinned was {}", setting.suite.name);
    ensure!(*mtu == setting.mtu.to_string(), "the MTU is {mtu}, pinned was {}", setting.mtu);
    Ok(())
}

/// Whether packets to the far inner address leave with ours.
fn routed() -> bool {
    let local = || {
        let socket = UdpSocket::bind("[::]:0").ok()?;
        socket.connect((FAR_INNER, 9)).ok()?;
        socket.local_addr().ok()
    };
    let inner: Option<Ipv6Addr> = NEAR_INNER.parse().ok();
    local().is_some_and(|address| Some(address.ip()) == inner.map(Into::into))
}

/// User and system time of `/proc/PID/stat`, in seconds; all threads of the process.
fn cpu(stat: &str) -> Option<f64> {
    // The name before `)` may hold spaces.
    let mut words = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut time = || words.next()?.parse::<f64>().ok();
    Some((time()? + time()?) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::super::figures::SETTINGS;
    use super::*;

    #[test]
    fn what_both_ends_negotiated_is_checked() {
        let setting = &SETTINGS[0];
        agreed("suite PSK-AES256-GCM-SHA384 mtu 16000 interface neartun", setting).unwrap();
        for wrong in [
            "suite PSK-AES256-CBC-SHA384 mtu 16000 interface neartun",
            "suite PSK-AES256-GCM-SHA384 mtu 1280 interface neartun",
            "tun neartun",
            "",
        ] {
            assert!(agreed(wrong, setting).is_err(), "{wrong}");
        }
    }

    #[test]
    fn processor_time_is_read_behind_the_name() {
        let stat = "12 (a) b) S 1 12 12 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 2 0 100 1 1";
        assert_eq!(cpu(stat), Some(3.0));
        assert_eq!(cpu("12 (a) S 1"), None);
    }
}
