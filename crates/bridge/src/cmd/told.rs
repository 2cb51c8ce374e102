//! What a running daemon told, for the commands that run beside it.

use std::path::PathBuf;

use clap::Args;
use iosmux_bridge::config::state_file;
use iosmux_bridge::state::{Report, StateFile};

/// Where it was told.
#[derive(Debug, Args)]
pub(super) struct Told {
    /// The daemon's state file, if its configuration names one
    #[arg(long, value_name = "PATH")]
    state_file: Option<PathBuf>,
}

impl Told {
    /// What the daemon told; none when none runs. A file that can't be read is told and says nothing.
    pub(super) fn report(&self) -> Option<Report> {
        let path = self.state_file.clone().unwrap_or_else(state_file);
        StateFile::read_running(&path).unwrap_or_else(|error| {
            tracing::error!(path = %path.display(), %error, "the daemon's state can't be read");
            None
        })
    }
}
