//! The file: replaced as a whole, so that nobody ever reads half of it, and readable by everybody.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{Pid, getpgid};

use super::report::Report;

/// Who may read it: everybody.
const MODE: u32 = 0o644;
/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// The state file of one daemon; it goes with it.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
}

impl StateFile {
    /// The file at this path; its directory is made if it is missing and may be made.
    ///
    /// # Errors
    /// When there is no directory and none can be made.
    pub fn at(path: &Path) -> io::Result<Self> {
        Self::make_directory(path)?;
        Ok(Self { path: path.to_owned() })
    }

    /// Makes its directory if that is missing.
    ///
    /// # Errors
    /// When it may not be made.
    pub fn make_directory(path: &Path) -> io::Result<()> {
        let directory = directory(path)?;
        if directory.is_dir() { Ok(()) } else { fs::create_dir(directory) }
    }

    /// Replaces it.
    ///
    /// # Errors
    /// When the directory can't be written; what was there stays.
    pub fn write(&self, report: &Report) -> io::Result<()> {
        let mut file = tempfile::Builder::new()
            .permissions(Permissions::from_mode(MODE))
            .tempfile_in(directory(&self.path)?)?;
        serde_json::to_writer_pretty(&mut file, report)?;
        file.write_all(b"\n")?;
        // The umask may have taken something away.
        file.as_file().set_permissions(Permissions::from_mode(MODE))?;
        file.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }

    /// Reads one; none when there is none.
    ///
    /// # Errors
    /// When it can't be read, or is no report.
    pub fn read(path: &Path) -> io::Result<Option<Report>> {
        let length = match fs::metadata(path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if length > MAX_FILE {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too long for a state file"));
        }
        Ok(Some(serde_json::from_slice(&fs::read(path)?)?))
    }

    /// Reads that of a running daemon; none when there is none. One that was killed left its file, which says nothing.
    ///
    /// # Errors
    /// When it can't be read, or is no report.
    pub fn read_running(path: &Path) -> io::Result<Option<Report>> {
        Ok(Self::read(path)?.filter(|report| report.pid.is_some_and(is_running)))
    }
}

impl Drop for StateFile {
    /// Another daemon's stays.
    fn drop(&mut self) {
        let told = Self::read(&self.path).ok().flatten().and_then(|report| report.pid);
        if told != Some(std::process::id()) {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "the state file stays");
        }
    }
}

/// Asks the kernel, as /proc may show one's own processes only.
fn is_running(pid: u32) -> bool {
    // To the kernel 0 is who asks.
    let pid = i32::try_from(pid).ok().filter(|pid| *pid != 0);
    pid.is_some_and(|pid| getpgid(Some(Pid::from_raw(pid))) != Err(Errno::ESRCH))
}

fn directory(path: &Path) -> io::Result<&Path> {
    path.parent().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it is in no directory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_replaced_as_a_whole_readable_by_all_and_goes_with_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("iosmux/bridge.json");
        let file = StateFile::at(&path).unwrap();
        for version in ["1", "2"] {
            let pid = Some(std::process::id());
            let report = Report { version: Some(version.to_owned()), pid, ..Report::new(Vec::new()) };
            file.write(&report).unwrap();
            assert_eq!(StateFile::read(&path).unwrap(), Some(report));
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no half-written file is left");
        drop(file);
        assert_eq!(StateFile::read(&path).unwrap(), None);
    }

    #[test]
    fn that_of_another_daemon_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bridge.json");
        let file = StateFile::at(&path).unwrap();
        for pid in [std::process::id(), 1] {
            file.write(&Report { pid: Some(pid), ..Report::new(Vec::new()) }).unwrap();
        }
        drop(file);
        assert_eq!(StateFile::read(&path).unwrap().unwrap().pid, Some(1));
    }

    #[test]
    fn a_daemon_that_was_killed_says_nothing_any_more() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bridge.json");
        let mut daemon = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let told = |pid| {
            let report = Report { pid, ..Report::new(Vec::new()) };
            let file = StateFile::at(&path).unwrap();
            file.write(&report).unwrap();
            // As after SIGKILL.
            std::mem::forget(file);
            StateFile::read_running(&path).unwrap()
        };
        assert_eq!(told(Some(daemon.id())).unwrap().pid, Some(daemon.id()));
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        for pid in [Some(daemon.id()), Some(0), Some(u32::MAX), None] {
            assert_eq!(told(pid), None, "{pid:?}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(StateFile::read_running(&path).unwrap(), None);
    }

    #[test]
    fn what_is_no_report_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bridge.json");
        fs::write(&path, "{\"schema\":1}").unwrap();
        assert_eq!(StateFile::read(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
