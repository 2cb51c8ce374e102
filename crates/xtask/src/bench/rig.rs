//! Two network namespaces with a link between them: we are in the near one.

use anyhow::{Context as _, Result, bail, ensure};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The far end's address on the link, with the network's length, and ours.
pub(super) const FAR: &str = "10.77.0.2";
const NEAR_NETWORK: &str = "10.77.0.1/24";
const FAR_NETWORK: &str = "10.77.0.2/24";
const TUN: &str = "/dev/net/tun";
const CONGESTION_CONTROL: &str = "/proc/sys/net/ipv4/tcp_congestion_control";
const CUBIC: &str = "cubic";
const TICK: Duration = Duration::from_millis(20);

/// The far namespace, held by a process that ends with us.
pub(super) struct Rig {
    holder: Child,
}

/// Says what is missing when TUN devices can't be made here.
pub(super) fn check_tun() -> Result<()> {
    let opened = std::fs::File::options().read(true).write(true).open(TUN);
    opened.map(drop).with_context(|| {
        format!(
            "{TUN} can't be opened: run as root, or let this user write it (chmod 0666); in a container, hand \
             the device in; without it, load the kernel module tun"
        )
    })
}

impl Rig {
    /// Makes the far namespace and the link; this process must have a namespace of its own already.
    pub(super) fn new() -> Result<Self> {
        // `cat` ends when its input closes: nothing outlives us, whatever ends us.
        let holder = Command::new("unshare")
            .args(["--net", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start unshare (util-linux)")?;
        let rig = Self { holder };
        let ours = std::fs::read_link("/proc/self/ns/net")?;
        until("the far namespace", || {
            std::fs::read_link(rig.namespace()).is_ok_and(|theirs| theirs != ours)
        })?;
        let pid = rig.holder.id().to_string();
        let link = ["link", "add", "near0", "type", "veth", "peer", "name", "far0", "netns", &pid];
        done(Command::new("ip").args(link))?;
        done(Command::new("ip").args(["addr", "add", NEAR_NETWORK, "dev", "near0"]))?;
        done(Command::new("ip").args(["link", "set", "near0", "up"]))?;
        done(rig.far("ip").args(["addr", "add", FAR_NETWORK, "dev", "far0"]))?;
        done(rig.far("ip").args(["link", "set", "far0", "up"]))?;
        done(rig.far("ip").args(["link", "set", "lo", "up"]))?;
        // The kernel's default: what a machine was set to would decide the figures, for bbr paces packet by packet.
        std::fs::write(CONGESTION_CONTROL, CUBIC).with_context(|| CONGESTION_CONTROL.to_owned())?;
        done(rig.far("sh").args(["-c", &format!("echo {CUBIC} > {CONGESTION_CONTROL}")]))?;
        Ok(rig)
    }

    fn namespace(&self) -> PathBuf {
        Path::new("/proc").join(self.holder.id().to_string()).join("ns/net")
    }

    /// A command in the far namespace; its process id is the program's.
    pub(super) fn far(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.namespace().display())).arg("--").arg(program);
        command
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

/// Asks every 20 ms until `is` holds, for ten seconds.
pub(super) fn until(what: &str, mut is: impl FnMut() -> bool) -> Result<()> {
    let start = Instant::now();
    while !is() {
        ensure!(start.elapsed() < Duration::from_secs(10), "{what} did not come up within 10 s");
        std::thread::sleep(TICK);
    }
    Ok(())
}

/// Whether process `pid` sees a TCP socket that listens on `port` in its namespace.
pub(super) fn listens(pid: u32, port: u16) -> bool {
    ["tcp", "tcp6"].iter().any(|table| {
        std::fs::read_to_string(format!("/proc/{pid}/net/{table}"))
            .is_ok_and(|text| lists_listener(&text, port))
    })
}

fn lists_listener(table: &str, port: u16) -> bool {
    let local = format!(":{port:04X}");
    table.lines().any(|line| {
        let mut words = line.split_whitespace().skip(1);
        words.next().is_some_and(|address| address.ends_with(&local)) && words.nth(1) == Some("0A")
    })
}

fn done(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {:?}", command.get_program()))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_found_in_the_kernels_table() {
        let table = "  sl  local_address rem_address   st tx_queue\n\
                       0: 02004D0A:15B3 00000000:0000 0A 00000000:00000000\n\
                       1: 02004D0A:15B4 01004D0A:A0B2 01 00000000:00000000\n";
        assert!(lists_listener(table, 5555));
        assert!(!lists_listener(table, 5556) && !lists_listener(table, 5557));
    }
}
