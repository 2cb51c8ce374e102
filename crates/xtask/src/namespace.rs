//! Network and mount namespaces for tests, with util-linux's `unshare`, which every Debian has.

use anyhow::{Context as _, Result, bail};
use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkFlags, LinkMessage};
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The hidden subcommand that brings `lo` up and becomes the program behind it.
pub(crate) const ENTER: &str = "enter-namespace";

/// How this user gets namespaces on this machine.
pub(crate) struct Way {
    options: &'static [&'static str],
    helper: PathBuf,
}

impl Way {
    /// Tries what could work; the error says why nothing did and what to change.
    ///
    /// `work_dir` gets a copy of this program: cargo may replace the original while tests run.
    pub(crate) fn find(work_dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(work_dir)?;
        let helper = work_dir.join(format!("namespace-helper-{}", std::process::id()));
        std::fs::copy("/proc/self/exe", &helper).context("cannot copy this program")?;
        let (mut way, mut refusals) = (Self { options: &[], helper }, Vec::new());
        for options in [["--net", "--mount"].as_slice(), &["--user", "--map-root-user", "--net", "--mount"]] {
            way.options = options;
            let output =
                way.enter(Path::new("true")).output().context("cannot start unshare (util-linux)")?;
            if output.status.success() {
                return Ok(way);
            }
            refusals.push(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        bail!("{}", explain(&refusals, &|path| std::fs::read_to_string(path).ok()))
    }

    /// A command that runs `program` in new namespaces, as root in there, with `lo` up.
    pub(crate) fn enter(&self, program: &Path) -> Command {
        let mut command = Command::new("unshare");
        command.args(self.options).arg("--").arg(&self.helper).arg(ENTER).arg(program);
        command
    }

    /// A command that runs this program again in such namespaces, with the arguments that the caller adds.
    pub(crate) fn enter_self(&self) -> Command {
        self.enter(&self.helper)
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.helper));
    }
}

/// Why there are no namespaces here, from what `unshare` said and what the kernel's switches say.
fn explain(refusals: &[String], read: &dyn Fn(&str) -> Option<String>) -> String {
    let is = |path: &str, value: &str| read(path).is_some_and(|text| text.trim() == value);
    let switch = if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        "kernel.unprivileged_userns_clone is 0: set it to 1, or run as root"
    } else if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        "kernel.apparmor_restrict_unprivileged_userns is 1: set it to 0, or run as root"
    } else if is("/proc/sys/user/max_user_namespaces", "0") {
        "user.max_user_namespaces is 0: raise it, or run as root"
    } else if is("/proc/sys/user/max_net_namespaces", "0") {
        "user.max_net_namespaces is 0: raise it"
    } else {
        "a container without CAP_SYS_ADMIN, or a seccomp filter, forbids them: run where they are allowed"
    };
    format!("no network namespace can be made here ({}); {switch}", refusals.join("; "))
}

/// Brings `lo` up in the namespace that we are in, then becomes `program`.
pub(crate) fn become_inside(program: &[std::ffi::OsString]) -> Result<()> {
    loopback_up().context("cannot bring lo up")?;
    let Some((first, rest)) = program.split_first() else { bail!("no program was named") };
    let error = Command::new(first).args(rest).exec();
    Err(error).with_context(|| format!("cannot start {}", first.to_string_lossy()))
}

fn loopback_up() -> Result<()> {
    let mut link = LinkMessage::default();
    // lo is the first interface of every network namespace.
    link.header.index = 1;
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    let mut message = NetlinkMessage::from(RouteNetlinkMessage::SetLink(link));
    message.header.flags = NLM_F_REQUEST | NLM_F_ACK;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.send_to(&bytes, &netlink_sys::SocketAddr::new(0, 0), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    match NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer)?.payload {
        NetlinkPayload::Error(error) => error.code.map_or(Ok(()), |_| Err(error.to_io().into())),
        other => bail!("the kernel answered {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_names_the_switch() {
        let off = |path: &str| path.ends_with("max_user_namespaces").then(|| "0\n".to_owned());
        let text = explain(&["unshare failed: No space left on device".into()], &off);
        assert!(text.contains("No space left") && text.contains("user.max_user_namespaces is 0"), "{text}");
    }

    #[test]
    fn without_a_switch_the_container_is_named() {
        let text = explain(&["unshare failed: Operation not permitted".into()], &|_| None);
        assert!(text.contains("CAP_SYS_ADMIN"), "{text}");
    }
}
