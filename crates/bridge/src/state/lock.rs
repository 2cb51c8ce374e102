//! One daemon at a time: a file beside the state file, which the kernel has locked for as long as its process lives.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::libc;

/// Who may open it: who could, could lock it.
const MODE: u32 = 0o600;
/// The longest number of a process, in bytes.
const NUMBER: u64 = 16;

/// The lock. The file stays, empty.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("another process has the lock {}", .path.display())]
    Taken {
        /// Which, if it told.
        pid: Option<u32>,
        /// The file.
        path: PathBuf,
    },
    /// The system's words.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Lock {
    /// Locks the file beside this state file, whose directory is there.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn beside(state_file: &Path) -> Result<Self, LockError> {
        let path = state_file.with_added_extension("lock");
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(MODE).custom_flags(libc::O_NOFOLLOW);
        let mut file = options.open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Taken { pid: owner(&file), path }),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        file.set_len(0)?;
        write!(file, "{}", std::process::id())?;
        Ok(Self { file })
    }
}

impl Drop for Lock {
    /// Said to the kernel, as a process that was forked has the file as well.
    fn drop(&mut self) {
        let unlocked = self.file.set_len(0).and_then(|()| self.file.unlock());
        if let Err(error) = unlocked {
            tracing::debug!(%error, "the lock ends with the process");
        }
    }
}

fn owner(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(NUMBER).read_to_string(&mut text).ok()?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_told_who_has_it_until_that_ends() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bridge.json");
        for _ in 0..2 {
            let _first = Lock::beside(&path).unwrap();
            let taken = Lock::beside(&path).unwrap_err();
            let LockError::Taken { pid, path: file } = &taken else { panic!("{taken}") };
            assert_eq!((*pid, file), (Some(std::process::id()), &directory.path().join("bridge.json.lock")));
            Lock::beside(&directory.path().join("other.json")).unwrap();
        }
    }

    #[test]
    fn what_the_file_says_while_nobody_has_it_keeps_nobody_out() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("bridge.json.lock"), "1").unwrap();
        Lock::beside(&directory.path().join("bridge.json")).unwrap();
        assert!(matches!(Lock::beside(Path::new("/nowhere/bridge.json")), Err(LockError::Io(_))));
    }
}
