//! `iosmux-bridge completions`, for packages.

use std::io::Write;

use clap::{Args, Command};
use clap_complete::{Shell, generate};

use super::failure::Failure;

/// Print the completions of a shell
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Which
    shell: Shell,
}

/// Prints them.
pub(super) fn run(arguments: &Arguments, command: &mut Command, out: &mut dyn Write) -> Result<(), Failure> {
    let name = command.get_name().to_owned();
    // Into memory first: the generator panics when a pipe is closed.
    let mut text = Vec::new();
    generate(arguments.shell, command, name, &mut text);
    Ok(out.write_all(&text)?)
}
