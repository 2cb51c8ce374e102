//! The computer: its system, the device that tunnels are made of, its interfaces.

use std::fs::File;
use std::io;
use std::path::Path;

use iosmux_link::{Interface, Interfaces, Selection};
use nix::sys::utsname::uname;

use super::Check;
use iosmux_service::Exit;

const SYSTEM: &str = "system";
const TUNNELS: &str = "tunnels";
const INTERFACES: &str = "interfaces";
/// What a tunnel's interface is made with.
const TUN: &str = "/dev/net/tun";
/// The capability's number. Source: linux/capability.h.
const CAP_NET_ADMIN: u32 = 12;

/// The kernel.
pub(super) fn system() -> Check {
    match uname() {
        Ok(name) => {
            let [system, release, machine] = [name.sysname(), name.release(), name.machine()]
                .map(|part| part.to_string_lossy().into_owned());
            judge_system(&system, &release, &machine)
        }
        Err(errno) => {
            Check::warn(SYSTEM, format!("the kernel does not say what it is: {}", errno.desc()), None)
        }
    }
}

fn judge_system(system: &str, release: &str, machine: &str) -> Check {
    let found = format!("{system} {release} on {machine}");
    match system {
        "Linux" | "Darwin" => Check::ok(SYSTEM, found),
        _ => {
            let step = "run the daemon on Linux or macOS".to_owned();
            Check::fail(SYSTEM, Exit::UnsupportedHere, format!("{found} is not supported"), Some(step))
        }
    }
}

/// Whether tunnels can be made. A daemon that answers has its own rights: those of this command do not matter then.
pub(super) fn tunnels(daemon_answers: bool) -> Check {
    if cfg!(target_os = "linux") {
        let opened = File::options().read(true).write(true).open(Path::new(TUN)).map(drop);
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        judge_tun(opened.map_err(|error| error.kind()), may_administer(&status), daemon_answers)
    } else {
        judge_root(nix::unistd::Uid::effective().is_root(), daemon_answers)
    }
}

fn judge_tun(opened: Result<(), io::ErrorKind>, administers: bool, daemon_answers: bool) -> Check {
    let load =
        "load it with `sudo modprobe tun`; in a container, give it the device with `--device /dev/net/tun`";
    match opened {
        Err(io::ErrorKind::NotFound) => {
            let found = format!("{TUN} is not there: no tunnel can be made");
            Check::fail(TUNNELS, Exit::UnsupportedHere, found, Some(load.to_owned()))
        }
        Err(io::ErrorKind::PermissionDenied) => {
            needs_rights(&format!("this user may not open {TUN}"), daemon_answers)
        }
        Err(kind) => Check::fail(
            TUNNELS,
            Exit::UnsupportedHere,
            format!("{TUN} can't be opened ({kind})"),
            Some(load.to_owned()),
        ),
        Ok(()) if !administers => {
            needs_rights("this user may not make interfaces (CAP_NET_ADMIN)", daemon_answers)
        }
        Ok(()) => Check::ok(TUNNELS, format!("{TUN} can be opened, and interfaces can be made")),
    }
}

fn judge_root(root: bool, daemon_answers: bool) -> Check {
    match root {
        true => Check::ok(TUNNELS, "utun interfaces can be made"),
        false => needs_rights("this user may not make utun interfaces", daemon_answers),
    }
}

fn needs_rights(found: &str, daemon_answers: bool) -> Check {
    if daemon_answers {
        return Check::ok(TUNNELS, format!("{found}, but the daemon runs already with rights of its own"));
    }
    Check::warn(
        TUNNELS,
        found,
        Some("run the daemon as root or as a service; this command needs no rights".to_owned()),
    )
}

/// Whether the effective capabilities of a `/proc/PID/status` hold CAP_NET_ADMIN (proc_pid_status(5)).
fn may_administer(status: &str) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = line.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    set.is_some_and(|set| set >> CAP_NET_ADMIN & 1 == 1)
}

/// Where phones can be looked for.
pub(super) async fn interfaces() -> Check {
    judge_interfaces(Interfaces::poll().await.current())
}

fn judge_interfaces(all: &[Interface]) -> Check {
    let selection = Selection::default();
    let chosen: Vec<&Interface> = all.iter().filter(|one| selection.chooses(one)).collect();
    let usable: Vec<String> = chosen.iter().filter(|one| one.is_usable()).map(|one| shown(one)).collect();
    if !usable.is_empty() {
        return Check::ok(INTERFACES, usable.join(", "));
    }
    let missing = chosen.iter().filter_map(|one| Some(format!("{}: {}", one.name, one.missing()?)));
    let missing: Vec<String> = missing.collect();
    let found = match missing.as_slice() {
        [] => "there is none on which a phone could be".to_owned(),
        missing => format!("none has a link-local address ({})", missing.join("; ")),
    };
    let step = "in a VM, give it a network card on the bridge that the phone's cable leads to, and bring it up with IPv6; \
                on a Linux host, put the phone into its network mode";
    Check::fail(INTERFACES, Exit::Failure, found, Some(step.to_owned()))
}

fn shown(interface: &Interface) -> String {
    let address = interface.addresses.first().map(|address| format!(" {address}")).unwrap_or_default();
    format!("{}{address}", interface.name)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use iosmux_link::Kind;

    #[test]
    fn a_system_that_nobody_tried_is_told() {
        assert_eq!(judge_system("Linux", "6.12", "x86_64").verdict, Verdict::Ok);
        let other = judge_system("FreeBSD", "14.1", "amd64");
        assert_eq!((other.verdict, other.exit), (Verdict::Fail, Exit::UnsupportedHere));
    }

    #[test]
    fn rights_matter_only_while_no_daemon_has_them() {
        let denied = Err(io::ErrorKind::PermissionDenied);
        assert_eq!(judge_tun(Ok(()), true, false).verdict, Verdict::Ok);
        assert_eq!(judge_tun(denied, false, false).verdict, Verdict::Warn);
        assert_eq!(judge_tun(Ok(()), false, false).verdict, Verdict::Warn);
        assert_eq!(judge_tun(denied, false, true).verdict, Verdict::Ok);
        assert_eq!(judge_root(false, false).verdict, Verdict::Warn);
        assert_eq!(judge_root(true, false).verdict, Verdict::Ok);
    }

    #[test]
    fn a_kernel_without_tun_has_no_tunnels() {
        for kind in [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory] {
            let check = judge_tun(Err(kind), true, true);
            assert_eq!((check.verdict, check.exit), (Verdict::Fail, Exit::UnsupportedHere));
            assert!(check.next_step.unwrap().contains("modprobe tun"));
        }
    }

    #[test]
    fn the_capability_is_read_from_the_effective_set() {
        assert!(may_administer("CapPrm:\t0000000000000000\nCapEff:\t0000000000001000\n"));
        assert!(!may_administer("CapPrm:\t0000000000001000\nCapEff:\t0000000000000800\n"));
        assert!(!may_administer(""));
    }

    #[test]
    fn an_interface_needs_an_address() {
        let interface = |name: &str, addresses: &[&str]| Interface {
            name: name.to_owned(),
            index: 2,
            up: true,
            running: true,
            kind: Kind::Shared,
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        };
        let usable = judge_interfaces(&[interface("eth0", &["fe80::1"]), interface("eth1", &[])]);
        assert_eq!((usable.verdict, usable.found.as_str()), (Verdict::Ok, "eth0 fe80::1"));
        let bare = judge_interfaces(&[interface("eth1", &[])]);
        assert_eq!(bare.verdict, Verdict::Fail);
        assert!(bare.found.contains("eth1: it has no usable link-local address"), "{}", bare.found);
        let none = judge_interfaces(&[]);
        assert!(none.found.contains("none on which a phone could be"), "{}", none.found);
    }
}
