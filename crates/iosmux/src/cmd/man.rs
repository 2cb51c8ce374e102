//! `iosmux man`, for packages.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, CommandFactory as _};

/// Write the manual pages into a folder: iosmux.1 and one for each command
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Where; it is made when it is not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Writes them.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let directory = &arguments.directory;
    let written = fs::create_dir_all(directory).and_then(|()| {
        clap_mangen::generate_to(super::Cli::command().disable_help_subcommand(true), directory)
    });
    written.with_context(|| format!("write manual pages into {}", directory.display()))
}
