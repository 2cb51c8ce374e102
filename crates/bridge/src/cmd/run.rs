//! `iosmux-bridge run`.

use std::path::{Path, PathBuf};

use clap::Args;
use iosmux_bridge::config::Settings;
use iosmux_bridge::daemon::Handle;
use iosmux_bridge::privileges;
use iosmux_bridge::state::StateFile;
use iosmux_service::config;
use iosmux_service::signals::Signals;

use super::alone::alone;
use super::block_on;
use super::failure::Failure;
use super::start::start;
use super::supervise::{keep_file, supervise};

/// The configuration that is read when none is named.
const DEFAULT_FILE: &str = "/etc/iosmux/bridge.toml";

/// Run in the background of a service: every phone that is plugged in joins its bridge
///
/// SIGHUP reads the configuration again and tries again what is held; SIGTERM gives every phone back and ends it. systemd is
/// told of readiness, state and life (Type=notify or notify-reload).
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The configuration; without it /etc/iosmux/bridge.toml if that is there, else defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Run although the user is root, who needs not be
    #[arg(long)]
    allow_root: bool,
}

impl Arguments {
    fn settings(&self) -> Result<Settings, Failure> {
        match config::named_or_default(self.config.as_deref(), Path::new(DEFAULT_FILE)) {
            Some(file) => Ok(Settings::load(file)?),
            None => Ok(Settings::default()),
        }
    }
}

/// Runs until a signal ends it.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    // While there is one thread: the kernel keeps privileges by thread.
    let access = privileges::for_service(arguments.allow_root)?;
    let settings = arguments.settings()?;
    let _alone = match &settings.state_file {
        Some(file) => {
            // Without it there is no state file either, which is told.
            let _ = StateFile::make_directory(file);
            alone(file)?
        }
        None => None,
    };
    block_on(async {
        let signals = Signals::follow()?;
        let file = settings.state_file.clone();
        let (daemon, handle) = start(access, settings)?;
        let reload = || reload(arguments, &handle, file.as_deref());
        tokio::select! {
            () = daemon.run(supervise(signals, &handle, reload)) => {}
            // To the end: others go by it while phones are given back.
            () = keep_file(&handle, file.as_deref()) => {}
        }
        tracing::info!("ended");
        Ok(())
    })
}

/// Reads the configuration again. A bad one is told and the old one stays; so does the state file, which others go by.
async fn reload(arguments: &Arguments, handle: &Handle, file: Option<&Path>) {
    match arguments.settings() {
        Ok(settings) => {
            if let Some(warning) = other_file(file, settings.state_file.as_deref()) {
                tracing::warn!("{warning}");
            }
            // The daemon that has ended needs no settings.
            let _ = handle.reconfigure(settings).await;
            tracing::info!("the configuration was read again");
        }
        Err(error) => tracing::error!(%error, "the configuration stays as it was"),
    }
}

/// What is to be said when another state file is wanted than the one that is written.
fn other_file(written: Option<&Path>, wanted: Option<&Path>) -> Option<String> {
    let name = |path: Option<&Path>| path.map_or_else(|| "off".to_owned(), |path| path.display().to_string());
    let (written_name, wanted_name) = (name(written), name(wanted));
    (written != wanted).then(|| {
        format!(
            "`state-file` is {wanted_name} now and stays {written_name}: restart iosmux-bridge to change that"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_says_of_another_state_file_that_it_is_not_used() {
        let (one, other) = (Some(Path::new("/run/iosmux/bridge.json")), Some(Path::new("/run/other.json")));
        assert_eq!((other_file(one, one), other_file(None, None)), (None, None));
        let text = other_file(one, other).unwrap();
        assert!(
            text.starts_with(
                "`state-file` is /run/other.json now and stays /run/iosmux/bridge.json: restart"
            )
        );
        assert!(other_file(one, None).unwrap().starts_with("`state-file` is off now"));
    }
}
