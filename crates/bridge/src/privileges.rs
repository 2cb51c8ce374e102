//! What the process may do: CAP_NET_ADMIN and the phone's node, nothing else.
//!
//! Called in `main` while there is one thread: the kernel keeps privileges by thread. What is left afterwards is read back
//! from the kernel ([`Held`]), not believed.

mod held;
mod opener;

use std::fs;
use std::io;

use caps::{CapSet, Capability, CapsHashSet};
use nix::unistd::{Gid, Uid, User, getgrouplist, setgroups, setresgid, setresuid};

pub use held::Held;
pub use opener::Opener;

/// How nodes below /dev/bus/usb are opened.
#[derive(Debug)]
pub enum Access {
    /// By this process: the node's group is one of ours.
    Directly,
    /// By a process that can do nothing else.
    Through(Opener),
}

impl Access {
    /// Processes of ours that may have a phone's node open.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let helper = match self {
            Self::Directly => None,
            Self::Through(opener) => Some(opener.pid()),
        };
        std::iter::once(std::process::id()).chain(helper).collect()
    }
}

/// Why the privileges are not as they should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Root, and nobody said that it may be.
    #[error(
        "the daemon does not run as root: start it by its unit (a user of its own, CAP_NET_ADMIN, the group of the USB \
         nodes), or say --allow-root; for a try on this machine use `sudo iosmux-bridge up`"
    )]
    Root,
    /// Not the one right that it needs.
    #[error("CAP_NET_ADMIN is missing: start the daemon by its unit, or use `sudo iosmux-bridge up`")]
    NoNetAdmin,
    /// Too late.
    #[error("privileges can only be given up by a process with one thread, this one has {0}")]
    Threads(usize),
    /// sudo's variables name nobody.
    #[error(
        "{variable}={value:?} names no user of this computer: call sudo as usual, without changing its variables"
    )]
    Caller {
        /// SUDO_UID or SUDO_GID.
        variable: &'static str,
        /// What it is.
        value: String,
    },
    /// The kernel's words.
    #[error("{action}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// For the daemon under a service manager: keeps CAP_NET_ADMIN only. As root it has the helper process of [`for_caller`].
///
/// # Errors
/// As root unless that is allowed, and without CAP_NET_ADMIN.
pub fn for_service(allow_root: bool) -> Result<Access, Error> {
    if Uid::effective().is_root() && !allow_root {
        return Err(Error::Root);
    }
    one_thread()?;
    if !has(Capability::CAP_NET_ADMIN)? {
        return Err(Error::NoNetAdmin);
    }
    restricted(None)
}

/// For a command of a person: under sudo it becomes that person, and root in a shell of its own stays root, both with
/// CAP_NET_ADMIN only; a helper process opens the nodes. Who is not root keeps what it has of CAP_NET_ADMIN.
///
/// # Errors
/// When sudo's variables are wrong, or the kernel refuses.
pub fn for_caller() -> Result<Access, Error> {
    one_thread()?;
    let caller = if Uid::effective().is_root() { Caller::of_sudo()? } else { None };
    restricted(caller.as_ref())
}

/// Keeps CAP_NET_ADMIN only, as the caller if there is one. Nodes belong to root again after each enumeration, or by udev's
/// rules to another user, whom root without its rights is not: so a helper starts wherever there are rights to give it.
fn restricted(caller: Option<&Caller>) -> Result<Access, Error> {
    let access = if Uid::effective().is_root() {
        Access::Through(opener::start(|| keep(&[Capability::CAP_DAC_OVERRIDE], caller))?)
    } else {
        Access::Directly
    };
    keep(&[Capability::CAP_NET_ADMIN], caller)?;
    Ok(access)
}

/// Who called sudo.
#[derive(Debug)]
struct Caller {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

impl Caller {
    /// `None` when root itself called.
    fn of_sudo() -> Result<Option<Self>, Error> {
        let Some(uid) = variable("SUDO_UID")? else { return Ok(None) };
        let Some(gid) = variable("SUDO_GID")? else { return Ok(None) };
        if uid == 0 {
            return Ok(None);
        }
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        let user = User::from_uid(uid).map_err(system("looking for the calling user"))?;
        let Some(user) = user else {
            return Err(Error::Caller { variable: "SUDO_UID", value: uid.to_string() });
        };
        let name = std::ffi::CString::new(user.name).unwrap_or_default();
        let groups = getgrouplist(&name, gid).map_err(system("looking for the calling user's groups"))?;
        Ok(Some(Self { uid, gid, groups }))
    }

    fn become_them(&self) -> Result<(), Error> {
        caps::securebits::set_keepcaps(true).map_err(caps_error("keeping rights over a change of user"))?;
        setgroups(&self.groups).map_err(system("taking the calling user's groups"))?;
        setresgid(self.gid, self.gid, self.gid).map_err(system("taking the calling user's group"))?;
        setresuid(self.uid, self.uid, self.uid).map_err(system("becoming the calling user"))?;
        caps::securebits::set_keepcaps(false).map_err(caps_error("keeping rights no longer"))
    }
}

fn variable(name: &'static str) -> Result<Option<u32>, Error> {
    let Ok(value) = std::env::var(name) else { return Ok(None) };
    // 2³²-1 means "leave it as it is" to the kernel.
    match value.parse() {
        Ok(number) if number != u32::MAX => Ok(Some(number)),
        _ => Err(Error::Caller { variable: name, value }),
    }
}

/// Gives up everything but `wanted`, as far as it is there; irrevocably, for what this process starts as well.
fn keep(wanted: &[Capability], user: Option<&Caller>) -> Result<(), Error> {
    // Without CAP_SETPCAP the set can't be made smaller; it gives nothing to a process that can't gain rights any more.
    if has(Capability::CAP_SETPCAP)? {
        let bounding = caps::read(None, CapSet::Bounding).map_err(caps_error("reading the bounding set"))?;
        for capability in bounding.into_iter().filter(|one| !wanted.contains(one)) {
            caps::drop(None, CapSet::Bounding, capability)
                .map_err(caps_error("limiting the bounding set"))?;
        }
    }
    caps::clear(None, CapSet::Ambient).map_err(caps_error("clearing the ambient set"))?;
    if let Some(user) = user {
        user.become_them()?;
    }
    let permitted = caps::read(None, CapSet::Permitted).map_err(caps_error("reading the permitted set"))?;
    let kept: CapsHashSet = wanted.iter().copied().filter(|one| permitted.contains(one)).collect();
    for set in [CapSet::Effective, CapSet::Permitted] {
        // A unit that gives no more than this forbids capset altogether.
        if caps::read(None, set).map_err(caps_error("reading the rights"))? != kept {
            caps::set(None, set, &kept).map_err(caps_error("giving up rights"))?;
        }
    }
    nix::sys::prctl::set_no_new_privs().map_err(system("refusing new privileges"))?;
    let inheritable =
        caps::read(None, CapSet::Inheritable).map_err(caps_error("reading the inheritable set"))?;
    // What is wanted anyway gives nothing to programs that can gain nothing.
    if !inheritable.is_subset(&kept) {
        caps::clear(None, CapSet::Inheritable).map_err(caps_error("clearing the inheritable set"))?;
    }
    Ok(())
}

fn has(capability: Capability) -> Result<bool, Error> {
    caps::has_cap(None, CapSet::Effective, capability).map_err(caps_error("reading the effective set"))
}

fn one_thread() -> Result<(), Error> {
    let tasks = fs::read_dir("/proc/self/task");
    match tasks.map_err(|source| Error::System { action: "counting threads", source })?.count() {
        1 => Ok(()),
        threads => Err(Error::Threads(threads)),
    }
}

fn system(action: &'static str) -> impl Fn(nix::Error) -> Error {
    move |error| Error::System { action, source: error.into() }
}

fn caps_error(action: &'static str) -> impl Fn(caps::errors::CapsError) -> Error {
    move |error| Error::System { action, source: io::Error::other(error.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_is_refused() {
        let (stop, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || wait.recv());
        let refused = one_thread();
        drop(stop);
        thread.join().unwrap().unwrap_err();
        assert!(matches!(refused, Err(Error::Threads(2..))), "{refused:?}");
    }
}
