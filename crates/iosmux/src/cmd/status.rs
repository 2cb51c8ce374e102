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

/// What `--watch` has shown last.
#[derive(Default)]
struct Shown {
    revision: Option<u64>,
    text: String,
}

impl Shown {
    /// Whether this is to be shown as well. Only a screen shows how time goes by: a file would grow by that for ever.
    fn misses(&mut self, revision: u64, text: &str, screen: bool) -> bool {
        let changed = self.revision.replace(revision) != Some(revision);
        let differs = self.text != text;
        text.clone_into(&mut self.text);
        changed || (screen && differs)
    }
}

async fn watch(registry: &Registry, json: bool, output: &Output) -> Result<()> {
    let mut shown = Shown::default();
    let screen = !json && output.is_screen();
    loop {
        let status = Status::ask(registry).await?;
        let text = status.text();
        if shown.misses(status.revision, &text, screen) {
            if json {
                output.line(&status.json())?;
            } else {
                output.screen(&text)?;
            }
        }
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_shows_how_time_goes_by_and_a_file_what_changes() {
        for screen in [true, false] {
            let mut shown = Shown::default();
            let mut misses = |revision, text: &str| shown.misses(revision, text, screen);
            assert!(misses(1, "tried again in 30 s"));
            assert!(!misses(1, "tried again in 30 s"), "nothing is new");
            assert_eq!(misses(1, "tried again in 29 s"), screen);
            assert!(misses(2, "tried again in 29 s"));
        }
    }
}
