//! What defaults depend on: who runs the daemon, and where.

use std::ffi::OsString;
use std::path::PathBuf;

use nix::unistd::{Group, User};

/// What systemd's and the user's directories are called below their roots.
const NAME: &str = "iosmux-tunneld";

/// Who runs the daemon, and where. A value of its own, so that tests need not be somebody else.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The user that the daemon runs as.
    pub user: u32,
    /// The system's host name.
    pub host_name: Option<String>,
    /// `$STATE_DIRECTORY`, from systemd, without links.
    pub state_directory: Option<PathBuf>,
    /// `$RUNTIME_DIRECTORY`, from systemd, if it is there.
    pub runtime_directory: Option<PathBuf>,
    /// `$XDG_STATE_HOME`.
    pub xdg_state_home: Option<PathBuf>,
    /// `$XDG_RUNTIME_DIR`, if it is there.
    pub xdg_runtime_dir: Option<PathBuf>,
    /// `$HOME`.
    pub home: Option<PathBuf>,
    /// The number of a user's name.
    pub user_id: fn(&str) -> Option<u32>,
    /// The number of a group's name.
    pub group_id: fn(&str) -> Option<u32>,
}

impl Environment {
    /// This process'.
    pub fn current() -> Self {
        Self {
            user: nix::unistd::geteuid().as_raw(),
            host_name: nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()),
            state_directory: directory("STATE_DIRECTORY").map(resolved),
            runtime_directory: directory("RUNTIME_DIRECTORY").filter(|path| path.is_dir()),
            xdg_state_home: directory("XDG_STATE_HOME"),
            xdg_runtime_dir: directory("XDG_RUNTIME_DIR").filter(|path| path.is_dir()),
            home: directory("HOME"),
            user_id: |name| User::from_name(name).ok().flatten().map(|user| user.uid.as_raw()),
            group_id: |name| Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw()),
        }
    }

    /// Where pair records are kept unless the configuration says otherwise; none without any home.
    pub fn state_dir(&self) -> Option<PathBuf> {
        if let Some(directory) = &self.state_directory {
            return Some(directory.clone());
        }
        if self.user == 0 {
            let system = if cfg!(target_os = "macos") { "/var/db" } else { "/var/lib" };
            return Some(PathBuf::from(system).join(NAME));
        }
        let below_home = || self.home.as_ref().map(|home| home.join(".local/state"));
        self.xdg_state_home.clone().or_else(below_home).map(|directory| directory.join(NAME))
    }

    /// Where the Unix socket is unless the configuration says otherwise; none where nobody gives such a directory. Nothing
    /// of ours makes or removes directories there.
    pub fn socket(&self) -> Option<PathBuf> {
        if let Some(directory) = &self.runtime_directory {
            return Some(directory.join("tunneld.sock"));
        }
        let system = if cfg!(target_os = "macos") { "/var/run" } else { "/run" };
        let directory =
            if self.user == 0 { Some(PathBuf::from(system)) } else { self.xdg_runtime_dir.clone() };
        directory.map(|directory| directory.join(NAME).with_extension("sock"))
    }
}

/// A directory from a variable; systemd separates several by colons. Relative ones are left aside, as the XDG base
/// directory specification says.
fn directory(variable: &str) -> Option<PathBuf> {
    let value: OsString = std::env::var_os(variable)?;
    let first = std::env::split_paths(&value).next()?;
    first.is_absolute().then_some(first)
}

/// Where a directory of systemd's really is: with DynamicUser= its name is a link of systemd's own, and keys are kept behind
/// no link. One that can't be resolved stays as it is, for whoever opens it to say why.
fn resolved(path: PathBuf) -> PathBuf {
    path.canonicalize().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use iosmux_pairing::store::{Store, StoreError};

    use super::*;

    fn environment(user: u32) -> Environment {
        Environment {
            user,
            host_name: None,
            state_directory: None,
            runtime_directory: None,
            xdg_state_home: None,
            xdg_runtime_dir: None,
            home: None,
            user_id: |_| None,
            group_id: |_| None,
        }
    }

    fn path(path: &str) -> Option<PathBuf> {
        Some(PathBuf::from(path))
    }

    #[test]
    fn systemd_is_asked_first_then_the_user() {
        let mut one = environment(1000);
        assert_eq!((one.state_dir(), one.socket()), (None, None));
        one.home = path("/people/ada");
        assert_eq!(one.state_dir(), path("/people/ada/.local/state/iosmux-tunneld"));
        one.xdg_state_home = path("/people/ada/state");
        one.xdg_runtime_dir = path("/run/user/1000");
        assert_eq!(one.state_dir(), path("/people/ada/state/iosmux-tunneld"));
        assert_eq!(one.socket(), path("/run/user/1000/iosmux-tunneld.sock"));
        one.state_directory = path("/var/lib/private/x");
        one.runtime_directory = path("/run/x");
        assert_eq!(
            (one.state_dir(), one.socket()),
            (path("/var/lib/private/x"), path("/run/x/tunneld.sock"))
        );
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn root_has_the_systems_directories() {
        let root = Environment { home: path("/root"), ..environment(0) };
        assert_eq!(root.state_dir(), path("/var/lib/iosmux-tunneld"));
        assert_eq!(root.socket(), path("/run/iosmux-tunneld.sock"));
    }

    #[test]
    fn a_state_directory_of_systemds_that_is_a_link_holds_records() {
        use std::os::unix::fs::{DirBuilderExt as _, symlink};
        let root = tempfile::tempdir().unwrap();
        let (real, link) = (root.path().join("private"), root.path().join("link"));
        std::fs::DirBuilder::new().mode(0o700).create(&real).unwrap();
        symlink("private", &link).unwrap();
        assert!(matches!(Store::open(&link), Err(StoreError::WrongKind { .. })), "a link of anybody else's");
        let one = Environment { state_directory: Some(resolved(link)), ..environment(1000) };
        let store = Store::open(one.state_dir().unwrap()).unwrap();
        assert_eq!(store.directory(), real.canonicalize().unwrap());
        let missing = root.path().join("missing");
        assert_eq!(resolved(missing.clone()), missing);
    }
}
