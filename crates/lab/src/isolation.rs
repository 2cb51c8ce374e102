//! Entering a user namespace of our own, so that the lab needs no rights and can't touch the machine's network.
//!
//! Root enters one as well when the kernel lets it: inside, a mistake of ours reaches the lab's interfaces only. Only
//! when the kernel refuses does root go on without (`Isolation::Root`); an ordinary user gets the refusal.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid};

use crate::requirement::Refusal;

/// What the lab's namespaces belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// A user namespace of our own, where we are root.
    User,
    /// The user namespace we were started in, as root.
    Root,
}

/// Puts this process into a user namespace of its own. Must run while the process has one thread.
pub(crate) fn enter() -> Result<Isolation, Refusal> {
    let (uid, gid) = (Uid::effective(), Gid::effective());
    match unshare(CloneFlags::CLONE_NEWUSER) {
        Ok(()) => become_root(uid, gid).map(|()| Isolation::User).map_err(|error| Refusal {
            found: format!("the kernel gave a user namespace but no identity in it ({error})"),
            fix: advice(Path::new("/proc/sys")),
        }),
        Err(_) if uid.is_root() => Ok(Isolation::Root),
        Err(errno) => Err(Refusal { found: refused(errno), fix: advice(Path::new("/proc/sys")) }),
    }
}

/// Makes the caller uid 0 of the new namespace: tools that are started in it keep their capabilities.
fn become_root(uid: Uid, gid: Gid) -> std::io::Result<()> {
    // Without this an unprivileged process may not write its gid_map (user_namespaces(7)).
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1"))
}

fn refused(errno: Errno) -> String {
    match errno {
        Errno::ENOSPC => "the limit on user namespaces is reached".to_owned(),
        Errno::EPERM => "this system forbids them to ordinary users".to_owned(),
        Errno::EINVAL => "this kernel has none (CONFIG_USER_NS)".to_owned(),
        other => format!("the kernel answered: {}", other.desc()),
    }
}

/// The sysctl that stands in the way, or what to look at when none of them does.
pub(crate) fn advice(sysctl: &Path) -> String {
    let read = |name: &str| fs::read_to_string(sysctl.join(name)).ok().map(|text| text.trim().to_owned());
    if read("kernel/unprivileged_userns_clone").as_deref() == Some("0") {
        return set("kernel.unprivileged_userns_clone", "1");
    }
    if read("kernel/apparmor_restrict_unprivileged_userns").is_some_and(|value| value != "0") {
        return set("kernel.apparmor_restrict_unprivileged_userns", "0");
    }
    for limit in ["max_user_namespaces", "max_net_namespaces"] {
        if read(&format!("user/{limit}")).as_deref() == Some("0") {
            return set(&format!("user.{limit}"), "1000");
        }
    }
    "Run it as root, or raise user.max_user_namespaces and user.max_net_namespaces; in a container, allow \
     unshare(2) or run it outside."
        .to_owned()
}

fn set(name: &str, value: &str) -> String {
    format!("Set it with `sudo sysctl -w {name}={value}`, or run this as root.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, value).unwrap();
        advice(folder.path())
    }

    #[test]
    fn the_sysctl_in_the_way_is_named() {
        assert!(
            with("kernel/unprivileged_userns_clone", "0\n").contains("kernel.unprivileged_userns_clone=1")
        );
        assert!(
            with("kernel/apparmor_restrict_unprivileged_userns", "1\n")
                .contains("kernel.apparmor_restrict_unprivileged_userns=0")
        );
        assert!(with("user/max_user_namespaces", "0\n").contains("user.max_user_namespaces=1000"));
        assert!(with("user/max_net_namespaces", "0\n").contains("user.max_net_namespaces=1000"));
    }

    #[test]
    fn no_sysctl_is_blamed_when_all_allow() {
        assert!(with("user/max_user_namespaces", "9000\n").starts_with("Run it as root"));
    }
}
