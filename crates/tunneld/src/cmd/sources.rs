//! Where settings come from: a file and options.

use std::path::{Path, PathBuf};

use clap::Args;
use iosmux_service::config::ConfigError;
use iosmux_tunneld::config::{DEFAULT_FILE, Environment, Overrides, Settings};

/// The options that `run` and `up` share.
#[derive(Debug, Args)]
pub(super) struct Sources {
    /// Look for phones on this interface, or on those that fit a pattern such as en*; can be given several times
    #[arg(long = "interface", value_name = "IF")]
    interfaces: Vec<String>,
    /// Keep pair records here
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Serve the registry here instead of 127.0.0.1:49151; can be given several times
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Vec<String>,
}

impl Sources {
    /// Reads and checks.
    pub(super) fn settings(&self, file: Option<&Path>) -> Result<Settings, ConfigError> {
        let overrides = Overrides {
            interfaces: self.interfaces.clone(),
            state_dir: self.state_dir.clone(),
            listen: self.listen.clone(),
        };
        Settings::load(file, &overrides, &Environment::current())
    }
}

/// The file that is named, else the default one if it is there.
pub(super) fn file(named: Option<&Path>) -> Option<&Path> {
    named.or_else(|| Some(Path::new(DEFAULT_FILE)).filter(|path| path.exists()))
}
