//! `iosmux status`.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use tokio::time::sleep;

use crate::failure::NoPhone;
use crate::output::Output;
use crate::registry::{DEFAULT_URL, Registry, URL_VARIABLE};
use crate::status::Status;

/// Between two looks of `--watch`.
const PAUSE: Duration = Duration::from_secs(1);

/// Show every phone that the daemon knows: its state, its tunnel, and what it waits for
///
/// Asks a running iosmux-tunneld and needs no rights.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Print the result as JSON; with --watch one line for each change
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    daemon: Daemon,
    /// Go on, and show it again whenever something changed, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

/// Where the daemon is.
#[derive(Debug, Args)]
pub(crate) struct Daemon {
    /// Where the daemon's registry is: http://HOST:PORT or unix:PATH
    #[arg(long, value_name = "URL", env = URL_VARIABLE, hide_env_values = true, default_value = DEFAULT_URL,
        value_parser = Registry::at)]
    pub(crate) url: Registry,
}

/// Shows it once, or whenever it changes.
pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let registry = &arguments.daemon.url;
    runtime.block_on(async {
        if arguments.watch {
            return watch(registry, arguments.json, output).await;
        }
        let status = Status::ask(registry).await?;
        if arguments.json {
            output.json(&status.json())?;
        } else if !status.is_empty() {
            output.result(status.text().trim_end())?;
        }
        if !status.has_phone() {
            bail!(NoPhone { address: registry.address().to_string() });
        }
        Ok(())
    })
}

async fn watch(registry: &Registry, json: bool, output: &Output) -> Result<()> {
    let mut shown = None;
    loop {
        let status = Status::ask(registry).await?;
        if shown.replace(status.revision) != Some(status.revision) {
            if json {
                output.line(&status.json())?;
            } else {
                output.screen(&status.text())?;
            }
        }
        sleep(PAUSE).await;
    }
}
