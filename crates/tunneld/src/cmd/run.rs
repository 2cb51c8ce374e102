//! `iosmux-tunneld run`.

use std::path::PathBuf;

use clap::Args;
use iosmux_service::files;
use iosmux_service::signals::Signals;
use iosmux_tunneld::config::Settings;
use iosmux_tunneld::daemon::{self, Daemon};
use iosmux_tunneld::fleet::Fleet;

use super::failure::Failure;
use super::holder;
use super::sources::{self, Sources};
use super::supervise::supervise;

/// Run in the background of a service: keep a tunnel to every phone and serve the registry
///
/// SIGHUP reads the configuration again; SIGTERM ends it. systemd is told of readiness, state and life (Type=notify-reload).
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The configuration; without it /etc/iosmux/tunneld.toml if that is there, else defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    sources: Sources,
}

/// Runs until a signal or a client of the registry ends it.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let file = sources::file(arguments.config.as_deref());
    let settings = arguments.sources.settings(file)?;
    block_on(async {
        let signals = Signals::follow()?;
        let daemon = start(&settings).await?;
        tracing::info!(addresses = ?daemon.addresses(), file = ?file, "the registry listens");
        let fleet = daemon.fleet();
        let reload = || reload(arguments, &settings, &fleet);
        let ended = daemon.run(supervise(signals, &fleet, reload)).await;
        tracing::info!(?ended, "ended");
        Ok(())
    })
}

/// Reads the configuration again. A bad one is told and the old one stays, and so does what holds from the `start`.
async fn reload(arguments: &Arguments, start: &Settings, fleet: &Fleet) {
    let file = sources::file(arguments.config.as_deref());
    let settings = match arguments.sources.settings(file) {
        Ok(settings) => settings,
        Err(error) => return tracing::error!(%error, "the configuration stays as it was"),
    };
    let keys = start.only_at_start(&settings);
    if !keys.is_empty() {
        tracing::warn!(?keys, "these keys hold after the next start only");
    }
    match daemon::reload(fleet, &settings).await {
        Ok(()) => tracing::info!(?file, "the configuration was read again"),
        Err(error) => tracing::error!(%error, "the configuration stays as it was"),
    }
}

/// Runs one thread for all but the packets, which have threads of their own (ADR 4).
pub(super) fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    done
}

/// Starts the daemon; when an address is taken, says who has it.
pub(super) async fn start(settings: &Settings) -> Result<Daemon, Failure> {
    if let Err(error) = files::allow_many() {
        tracing::warn!(%error, "the limit on open files stays as it is");
    }
    let started = Daemon::start(settings).await;
    started.map_err(|error| Failure::Start { holder: holder::of(error.io(), &settings.listen), error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn the_end_waits_for_no_lookup() {
        let (answer, lookup) = mpsc::channel();
        let (begin, begun) = tokio::sync::oneshot::channel();
        let look_up = move || {
            begin.send(()).unwrap();
            lookup.recv_timeout(Duration::from_secs(20))
        };
        let asks = async {
            tokio::task::spawn_blocking(look_up);
            begun.await.unwrap();
            Ok(())
        };
        block_on(asks).unwrap();
        answer.send(()).expect("the end came only after the lookup's");
    }
}
