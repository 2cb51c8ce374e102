//! One iosmux-bridge that takes phones at a time.

use std::io;
use std::path::Path;

use iosmux_bridge::state::{Lock, LockError};

use super::failure::Failure;

/// Keeps a second one away for as long as this is held. Without a place for the lock there is none.
pub(super) fn alone(state_file: &Path) -> Result<Option<Lock>, Failure> {
    match Lock::beside(state_file) {
        Ok(lock) => Ok(Some(lock)),
        Err(LockError::Taken { pid, path }) => Err(Failure::Second { pid, path }),
        Err(LockError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(LockError::Io(error)) => {
            let file = state_file.display();
            tracing::warn!(%file, %error, "a second iosmux-bridge would not be refused: there is no lock");
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_refused_with_who_has_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bridge.json");
        let first = alone(&path).unwrap();
        assert!(first.is_some());
        let text = alone(&path).unwrap_err().to_string();
        let pid = std::process::id();
        assert!(text.starts_with(&format!("iosmux-bridge runs already (process {pid}, which has")), "{text}");
        drop(first);
        assert!(alone(&path).unwrap().is_some());
        assert!(alone(Path::new("/nowhere/bridge.json")).unwrap().is_none());
    }
}
