//! The hidden command that resumes a suspended process when the daemon dies (`iosmux_tunneld::remoted`).

use std::io::{self, Write};
use std::time::Duration;

use clap::{Args, value_parser};
use iosmux_tunneld::remoted::guard::LONGEST;
use iosmux_tunneld::remoted::watchdog::{Ended, watch};
use nix::unistd::Pid;

use super::failure::Failure;

/// Resume a process as soon as stdin ends
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Which; one, not a group
    #[arg(long, value_name = "PID", value_parser = value_parser!(i32).range(2..))]
    process: i32,
    /// Milliseconds after which it is resumed in any case
    #[arg(long, value_name = "MS", value_parser = value_parser!(u64).range(..=LONGEST.as_millis() as u64))]
    longest_ms: u64,
}

/// Watches until the process is resumed.
pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let longest = Duration::from_millis(arguments.longest_ms);
    let ended = watch(Pid::from_raw(arguments.process), longest, &mut io::stdin(), out)?;
    if ended == Ended::TooLong {
        tracing::warn!(process = arguments.process, ?longest, "resumed: nobody did so in time");
    }
    Ok(())
}
