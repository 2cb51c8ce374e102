//! The second process: resumes the suspended one when the daemon dies or takes too long.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{Pid, setsid};

/// The hidden command of `iosmux-tunneld`.
pub const COMMAND: &str = "resume-abandoned";
/// Says that the watchdog watches.
const READY: &[u8] = b"w";

/// Why it was resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The other end of the pipe was closed: the daemon is done, or dead.
    Released,
    /// The longest time is over.
    TooLong,
}

/// The command line of a watchdog for this process.
pub fn arguments(process: Pid, longest: Duration) -> [String; 5] {
    let (process, longest) = (process.to_string(), longest.as_millis().to_string());
    [COMMAND.to_owned(), "--process".to_owned(), process, "--longest-ms".to_owned(), longest]
}

/// Says on `ready` that it watches, waits until `held` ends, at most `longest`, and resumes the process.
///
/// Runs in a session of its own and takes no signals: what ends the daemon's process group (Ctrl-C, launchd) must not end
/// this before its work is done. It is bounded by `longest`.
///
/// # Errors
/// What prevents it from watching, or from resuming (a process that has ended needs none).
pub fn watch(
    process: Pid,
    longest: Duration,
    held: &mut (impl Read + AsFd),
    ready: &mut (impl Write + ?Sized),
) -> io::Result<Ended> {
    let end = Instant::now() + longest;
    // Fails only for the leader of a group, which then is no part of the daemon's.
    let _ = setsid();
    SigSet::all().thread_block()?;
    ready.write_all(READY)?;
    ready.flush()?;
    let ended = wait(held, end);
    match kill(process, Signal::SIGCONT) {
        Ok(()) | Err(Errno::ESRCH) => ended,
        Err(error) => Err(error.into()),
    }
}

fn wait(held: &mut (impl Read + AsFd), end: Instant) -> io::Result<Ended> {
    loop {
        let left = end.saturating_duration_since(Instant::now());
        // A millisecond more, so that a rest below one does not spin.
        let timeout = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(held.as_fd(), PollFlags::POLLIN)], timeout) {
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
            Ok(0) if Instant::now() >= end => return Ok(Ended::TooLong),
            Ok(0) => {}
            // Nothing is ever sent, but what is sent is no reason to resume.
            Ok(_) if held.read(&mut [0; 64])? == 0 => return Ok(Ended::Released),
            Ok(_) => {}
        }
    }
}
