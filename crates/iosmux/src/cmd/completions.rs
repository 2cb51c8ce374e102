//! `iosmux completions`, for packages.

use anyhow::Result;
use clap::{Args, CommandFactory as _};
use clap_complete::{Shell, generate};

use crate::output::Output;

/// Print the completions of a shell
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Which
    shell: Shell,
}

/// Prints them.
pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    // Into memory first: the generator panics when a pipe is closed.
    let mut text = Vec::new();
    generate(arguments.shell, &mut super::Cli::command(), "iosmux", &mut text);
    Ok(output.result(String::from_utf8_lossy(&text).trim_end())?)
}
