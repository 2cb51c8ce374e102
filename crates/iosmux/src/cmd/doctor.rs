//! `iosmux doctor`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use super::status::Daemon;
use crate::doctor::Examination;
use crate::failure::Told;
use crate::output::Output;

/// Look at every hop between this computer and its phones, and say what is broken and what to do
///
/// Looks at the system, phones on its USB, its interfaces, the daemon and each phone that the daemon knows; changes
/// nothing. The exit code is that of the first broken hop.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    daemon: Daemon,
    /// iosmux-bridge's state file, if its configuration names one
    #[arg(long, value_name = "PATH")]
    state_file: Option<PathBuf>,
}

/// Looks, tells, and fails with the first broken hop's exit code.
pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let examination =
        runtime.block_on(Examination::of(&arguments.daemon.url, arguments.state_file.as_deref()));
    if arguments.json {
        output.json(&examination.json())?;
    } else {
        output.result(&examination.text())?;
    }
    match examination.exit() {
        None => Ok(()),
        Some(exit) => bail!(Told(exit)),
    }
}
