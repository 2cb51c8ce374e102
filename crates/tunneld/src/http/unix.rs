//! The Unix socket: made so that a dead daemon's is replaced and a living one's is not, and open to few.

#[cfg(not(target_os = "macos"))]
use std::ffi::CString;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as Blocking;
use std::path::{Path, PathBuf};

#[cfg(target_os = "macos")]
use nix::unistd::Group;
#[cfg(not(target_os = "macos"))]
use nix::unistd::getgrouplist;
use nix::unistd::{Gid, Uid, User};
use tokio::net::unix::UCred;
use tokio::net::{UnixListener, UnixStream};

use super::BindError;
use super::guard::Peer;

/// The mode of a socket that everybody can open.
const FOR_ALL: u32 = 0o666;

/// The Unix socket and who may use it.
#[derive(Debug, Clone)]
pub struct SocketConfig {
    /// Where.
    pub path: PathBuf,
    /// Its file mode; wider where that keeps out a group that may use it.
    pub mode: u32,
    /// Users who may use it.
    pub uids: Vec<u32>,
    /// Groups whose members may use it. A single one becomes the file's group, where that is allowed.
    pub gids: Vec<u32>,
}

impl SocketConfig {
    /// For root and the daemon's own user; others are added by who configures them.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let uids = vec![0, Uid::effective().as_raw()];
        Self { path: path.into(), mode: 0o660, uids, gids: Vec::new() }
    }

    /// Whether the user at the other end may ask.
    fn admits(&self, who: &UCred) -> bool {
        self.uids.contains(&who.uid())
            || self.gids.contains(&who.gid())
            || (!self.gids.is_empty() && is_in(who, &self.gids))
    }
}

/// Whether one of these groups has the user as a member.
fn is_in(who: &UCred, gids: &[u32]) -> bool {
    let user = User::from_uid(Uid::from_raw(who.uid())).ok().flatten();
    user.is_some_and(|user| is_member(&user, who, gids))
}

#[cfg(not(target_os = "macos"))]
fn is_member(user: &User, who: &UCred, gids: &[u32]) -> bool {
    let name = CString::new(user.name.as_str()).ok();
    let groups = name.and_then(|name| getgrouplist(&name, Gid::from_raw(who.gid())).ok());
    groups.unwrap_or_default().iter().any(|group| gids.contains(&group.as_raw()))
}

/// nix has no getgrouplist for macOS: there those count whom a group names itself, not through a group inside of it.
#[cfg(target_os = "macos")]
fn is_member(user: &User, _: &UCred, gids: &[u32]) -> bool {
    let names = |gid: &u32| {
        let group = Group::from_gid(Gid::from_raw(*gid)).ok().flatten();
        group.is_some_and(|group| group.mem.contains(&user.name))
    };
    gids.iter().any(names)
}

/// The listening socket; its file goes with it.
#[derive(Debug)]
pub(super) struct Socket {
    listener: UnixListener,
    config: SocketConfig,
    /// The file's device and number: only our own file is removed.
    file: Option<(u64, u64)>,
}

impl Socket {
    pub(super) fn bind(config: SocketConfig) -> Result<Self, BindError> {
        let path = config.path.clone();
        make_room(&path)?;
        let failed = |source| BindError::Socket { path: path.clone(), source };
        let listener = UnixListener::bind(&path).map_err(failed)?;
        // Until here only the owner could connect: a new socket's mode is what the umask leaves, without write for others.
        let mode = reachable(&config);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
        let file = file(&path);
        Ok(Self { listener, config, file })
    }

    pub(super) fn path(&self) -> &Path {
        &self.config.path
    }

    pub(super) async fn accept(&self) -> io::Result<(UnixStream, Peer)> {
        let (stream, _) = self.listener.accept().await?;
        let who = stream.peer_cred().ok();
        let admitted = who.as_ref().is_some_and(|who| self.config.admits(who));
        Ok((stream, Peer::Unix { who, admitted }))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.file.is_some() && file(&self.config.path) == self.file {
            let _ = std::fs::remove_file(&self.config.path);
        }
    }
}

/// The file's mode with which every group that may use it can open it, after a single one has got the file. Else all can: the
/// check of who they are is what keeps others out.
fn reachable(config: &SocketConfig) -> u32 {
    let group = match *config.gids.as_slice() {
        [] => return config.mode,
        // Nobody is kept out: nothing has to be given away.
        _ if config.mode & FOR_ALL == FOR_ALL => return config.mode,
        [group] => group,
        _ => return FOR_ALL,
    };
    match std::os::unix::fs::chown(&config.path, None, Some(group)) {
        Ok(()) => config.mode,
        // As under our unit for systemd, which may give nothing away.
        Err(error) => {
            let path = config.path.display();
            tracing::info!(%path, group, %error, "all can open the socket, as its group can't get it; who asks is checked");
            FOR_ALL
        }
    }
}

fn file(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Removes a socket that nobody listens on.
fn make_room(path: &Path) -> Result<(), BindError> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(BindError::NotASocket { path: path.to_owned() });
    }
    match Blocking::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|source| BindError::Socket { path: path.to_owned(), source })
        }
        // A full backlog or a forbidden connection is a living daemon's as well.
        _ => Err(BindError::SocketInUse { path: path.to_owned() }),
    }
}
