//! Suspends a process for as long as a value lives.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::watchdog;

/// The longest time that a process may be suspended.
pub const LONGEST: Duration = Duration::from_secs(30);
/// Milliseconds that the watchdog has to start.
const START_MS: u16 = 5000;

/// Why a process was not suspended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuspendError {
    /// Without a watchdog nothing is suspended.
    #[error("nothing was suspended, because the process that would resume it can't be started: {0}")]
    Watchdog(#[from] io::Error),
    /// It belongs to somebody else.
    #[error("process {process} can't be suspended: {source}; remoted needs root")]
    Stop {
        /// Which.
        process: Pid,
        /// What the kernel said.
        source: Errno,
    },
}

/// The program that plays the watchdog: one with the command [`watchdog::COMMAND`].
#[derive(Debug, Clone)]
pub struct Watchdog {
    program: PathBuf,
}

impl Watchdog {
    /// This program.
    ///
    /// # Errors
    /// When the system does not say where it is.
    pub fn ourselves() -> io::Result<Self> {
        std::env::current_exe().map(Self::program)
    }

    /// Another one.
    pub fn program(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into() }
    }

    /// Starts it and waits until it watches. It ends when the input that is returned with it is closed.
    fn start(&self, process: Pid, longest: Duration) -> io::Result<(Child, ChildStdin)> {
        let arguments = watchdog::arguments(process, longest).map(OsString::from);
        let mut command = Command::new(&self.program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let (Some(held), Some(mut ready)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("it has no pipes"));
        };
        let watches = wait(&ready).and_then(|()| ready.read_exact(&mut [0]));
        if let Err(error) = watches {
            let _ = child.kill();
            let _ = child.wait();
            return Err(error);
        }
        Ok((child, held))
    }
}

fn wait(ready: &impl AsFd) -> io::Result<()> {
    let mut sources = [PollFd::new(ready.as_fd(), PollFlags::POLLIN)];
    loop {
        return match poll(&mut sources, PollTimeout::from(START_MS)) {
            Err(Errno::EINTR) => continue,
            Err(error) => Err(error.into()),
            Ok(0) => {
                Err(io::Error::new(io::ErrorKind::TimedOut, format!("it was not ready in {START_MS} ms")))
            }
            Ok(_) => Ok(()),
        };
    }
}

/// A process that is suspended until this is dropped, until this process dies, or until the longest time is over.
///
/// Somebody else who suspended it too is not known: it is resumed all the same.
#[derive(Debug)]
pub struct Suspension {
    process: Pid,
    /// Closing it ends the watchdog. The kernel closes it for us, however this process ends.
    held: Option<ChildStdin>,
    watchdog: Option<Child>,
}

impl Suspension {
    /// Suspends a process for `longest`, at most [`LONGEST`]. The watchdog watches before the process is stopped.
    ///
    /// # Errors
    /// [`SuspendError`]; the process runs then.
    pub fn begin(watchdog: &Watchdog, process: Pid, longest: Duration) -> Result<Self, SuspendError> {
        let (child, held) = watchdog.start(process, longest.min(LONGEST))?;
        let suspension = Self { process, held: Some(held), watchdog: Some(child) };
        kill(process, Signal::SIGSTOP).map_err(|source| SuspendError::Stop { process, source })?;
        tracing::debug!(%process, "suspended");
        Ok(suspension)
    }

    /// Which process it is.
    pub fn process(&self) -> Pid {
        self.process
    }
}

impl Drop for Suspension {
    fn drop(&mut self) {
        match kill(self.process, Signal::SIGCONT) {
            Ok(()) => tracing::debug!(process = %self.process, "resumed"),
            Err(error) => tracing::warn!(process = %self.process, %error, "it can't be resumed from here"),
        }
        drop(self.held.take());
        if let Some(mut watchdog) = self.watchdog.take() {
            // It ends by itself at once, but nobody should wait for that who only wanted the phone.
            let reaped = thread::Builder::new().name("reap-watchdog".into()).spawn(move || watchdog.wait());
            if let Err(error) = reaped {
                tracing::warn!(%error, "the watchdog stays in the process table");
            }
        }
    }
}

/// A suspension that several have at once: the first one begins it, the last one ends it.
#[derive(Debug, Default)]
pub struct Shared(Mutex<Option<(usize, Suspension)>>);

/// One's part in a [`Shared`] suspension.
#[derive(Debug)]
pub struct Share(&'static Shared);

impl Shared {
    /// None has it yet.
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Takes part; begins with `begin` when nobody does. It lasts as long as the first one wanted, however late others came.
    ///
    /// # Errors
    /// What beginning says; nothing is suspended then.
    pub fn join(
        &'static self,
        begin: impl FnOnce() -> Result<Suspension, SuspendError>,
    ) -> Result<Share, SuspendError> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *held {
            Some((count, _)) => *count += 1,
            none => *none = Some((1, begin()?)),
        }
        Ok(Share(self))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // Under the lock: who comes now must find it either held or resumed.
        let mut held = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((count, _)) = &mut *held {
            *count -= 1;
            if *count == 0 {
                *held = None;
            }
        }
    }
}
