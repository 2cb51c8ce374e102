//! What the lab needs from the machine. A need is one line of [`REQUIREMENTS`].

use std::fs::File;
use std::io;
use std::net::UdpSocket;
use std::path::Path;
use std::thread;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::isolation::{self, Isolation};
use crate::{link, namespace};

/// One thing the lab can't do without.
pub(crate) struct Requirement {
    /// What is needed, as the object of "needs".
    pub(crate) what: &'static str,
    /// Why it is needed.
    pub(crate) why: &'static str,
    /// Tries it, and leaves nothing behind.
    pub(crate) check: fn() -> Result<(), Refusal>,
}

/// What stood in the way, and what to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) found: String,
    pub(crate) fix: String,
}

/// A requirement that this machine doesn't meet.
#[derive(Debug, thiserror::Error)]
#[error("the lab needs {what} ({why}), but {found}. {fix}")]
pub struct Unsupported {
    /// What is needed, as the object of "needs".
    pub what: &'static str,
    /// Why it is needed.
    pub why: &'static str,
    /// What stood in the way.
    pub found: String,
    /// What to change.
    pub fix: String,
}

const USER_NAMESPACE: (&str, &str) =
    ("a user namespace of its own", "it builds its network without rights on this machine");

/// Everything that is tried after the user namespace is entered, in this order.
const REQUIREMENTS: &[Requirement] = &[
    Requirement {
        what: "network namespaces",
        why: "the phone, the host and the VM each are one",
        check: network_namespaces,
    },
    Requirement { what: "IPv6", why: "a phone speaks nothing else on its link", check: ipv6 },
    Requirement {
        what: "veth and bridge devices",
        why: "they are the cables and the host's bridge",
        check: devices,
    },
    Requirement {
        what: "/dev/net/tun",
        why: "both ends of a tunnel are interfaces made of it",
        check: || tun(Path::new("/dev/net/tun")),
    },
];

/// Enters the lab's isolation and tries every requirement. Must run while the process has one thread.
pub fn preflight() -> Result<Isolation, Unsupported> {
    let isolation =
        isolation::enter().map_err(|refusal| refusal.about(USER_NAMESPACE.0, USER_NAMESPACE.1))?;
    for requirement in REQUIREMENTS {
        (requirement.check)().map_err(|refusal| refusal.about(requirement.what, requirement.why))?;
    }
    open_files();
    Ok(isolation)
}

/// Allows this process as many files as it may have: every port of every phone is one, and the usual limit is for
/// programs that wait with select(2).
fn open_files() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(errno) = raised {
        tracing::debug!(%errno, "the limit on open files stays as it is");
    }
}

impl Refusal {
    fn about(self, what: &'static str, why: &'static str) -> Unsupported {
        Unsupported { what, why, found: self.found, fix: self.fix }
    }
}

fn network_namespaces() -> Result<(), Refusal> {
    let tried = thread::spawn(|| unshare(CloneFlags::CLONE_NEWNET)).join().unwrap_or(Err(Errno::EIO));
    tried.map_err(|errno| Refusal {
        found: match errno {
            Errno::ENOSPC => "the limit on network namespaces is reached".to_owned(),
            Errno::EPERM => "the kernel forbids them here".to_owned(),
            Errno::EINVAL => "this kernel has none (CONFIG_NET_NS)".to_owned(),
            other => format!("the kernel answered: {}", other.desc()),
        },
        fix: isolation::advice(Path::new("/proc/sys")),
    })
}

fn ipv6() -> Result<(), Refusal> {
    UdpSocket::bind("[::]:0").map(drop).map_err(|error| Refusal {
        found: format!("this kernel refuses an IPv6 socket ({error})"),
        fix: "Boot without ipv6.disable=1 and load the ipv6 module.".to_owned(),
    })
}

fn devices() -> Result<(), Refusal> {
    namespace::probe(|| async {
        let netlink = link::Netlink::open()?;
        netlink.add_bridge("probe0", [0x02, 0, 0, 0, 0, 1]).await?;
        netlink.add_veth_pair("probe1", "probe2").await
    })
    .map_err(|error| Refusal {
        found: format!("creating them failed ({error})"),
        fix: "Load them with `sudo modprobe -a veth bridge`, or use a kernel that has them.".to_owned(),
    })
}

/// Opening is all that can fail: what is done with it then is allowed to who owns the network namespace.
fn tun(node: &Path) -> Result<(), Refusal> {
    let opened = File::options().read(true).write(true).open(node);
    opened.map(drop).map_err(|error| {
        let (found, fix) = match error.kind() {
            io::ErrorKind::NotFound => (
                "it is not there".to_owned(),
                "Load it with `sudo modprobe tun`; in a container, give it the device with `--device /dev/net/tun` or \
                 make it with `mknod -m 0666 /dev/net/tun c 10 200`.",
            ),
            io::ErrorKind::PermissionDenied => (
                "this user may not open it".to_owned(),
                "Open it to all, as most systems do, with `sudo chmod 0666 /dev/net/tun`, or run this as root; in a \
                 container, allow the device c 10:200.",
            ),
            _ => (
                format!("it can't be opened ({error})"),
                "Load it with `sudo modprobe tun`, or use a kernel that has it (CONFIG_TUN).",
            ),
        };
        Refusal { found, fix: fix.to_owned() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tun_node_that_does_not_work_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let missing = tun(&folder.path().join("tun")).unwrap_err();
        assert!(missing.found.contains("not there") && missing.fix.contains("modprobe tun"), "{missing:?}");
        let no_device = tun(folder.path()).unwrap_err();
        assert!(no_device.found.contains("can't be opened"), "{no_device:?}");
    }

    #[test]
    fn a_refusal_reads_as_a_sentence() {
        let refusal = Refusal { found: "there are none".to_owned(), fix: "Get some.".to_owned() };
        insta::assert_snapshot!(
            refusal.about(USER_NAMESPACE.0, USER_NAMESPACE.1).to_string(),
            @"the lab needs a user namespace of its own (it builds its network without rights on this machine), but there are none. Get some."
        );
    }
}
