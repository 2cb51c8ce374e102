//! Beside a running daemon: signals, what systemd is told, and the state file, until the end is asked for.

use std::future::{Future, pending};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use iosmux_bridge::daemon::Handle;
use iosmux_bridge::state::{Report, StateFile, status_line};
use iosmux_service::notify;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// The signals that are followed, from the moment when this is made.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Begins to follow them; they end the process no longer.
    pub(super) fn follow() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for Ctrl-C, SIGTERM or the loss of the terminal.
    pub(super) async fn end(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

/// Returns when SIGTERM or SIGINT comes. Until then `reload` is called for each SIGHUP, and systemd is told what goes on.
pub(super) async fn supervise<R: Future<Output = ()>>(
    mut signals: Signals,
    handle: &Handle,
    mut reload: impl FnMut() -> R,
) {
    let told = async {
        tokio::join!(tell_status(handle), tell_alive(handle));
    };
    let asked = async {
        loop {
            tokio::select! {
                _ = signals.terminate.recv() => break,
                _ = signals.interrupt.recv() => break,
                _ = signals.hang_up.recv() => {
                    notify::reloading();
                    reload().await;
                    notify::ready(&status_line(&handle.report()));
                }
            }
        }
    };
    tokio::select! { () = told => {}, () = asked => {} }
    notify::stopping();
}

/// Tells that the daemon is ready once every phone is on its bridge or waits for something that has a name, and then
/// whenever the line is another than the one that was told.
async fn tell_status(handle: &Handle) {
    let mut reports = handle.watch();
    let mut told: Option<String> = None;
    while reports.changed().await.is_ok() {
        let report = reports.borrow_and_update().clone();
        let status = status_line(&report);
        if told.as_ref() == Some(&status) {
            continue;
        }
        match &told {
            None if !report.is_settled() => notify::status(&status),
            None => {
                notify::ready(&status);
                told = Some(status);
            }
            Some(_) => {
                notify::status(&status);
                told = Some(status);
            }
        }
    }
    pending::<()>().await;
}

/// Tells systemd's watchdog only while the part that decides answers: one that hangs is ended and started again.
async fn tell_alive(handle: &Handle) {
    let Some(often) = notify::alive_interval() else { return pending().await };
    let mut ticks = interval(often);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if answers(handle, often).await {
            notify::alive();
        } else {
            tracing::error!("the daemon does not answer; systemd will start it again if that goes on");
        }
    }
}

async fn answers(handle: &Handle, within: Duration) -> bool {
    matches!(timeout(within, handle.ping()).await, Ok(Ok(())))
}

/// Writes every report, for ever; what can't be written is told once. The file goes with the future.
pub(super) async fn keep_file(handle: &Handle, path: Option<&Path>) {
    let Some(path) = path else { return pending().await };
    let file = match StateFile::at(path) {
        Ok(file) => file,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "there is no state file: doctor and list see less");
            return pending().await;
        }
    };
    let mut reports = handle.watch();
    let mut failed = false;
    while reports.changed().await.is_ok() {
        let report = reports.borrow_and_update().clone();
        let written = file.write(&stamped(&report));
        if let Err(error) = &written
            && !failed
        {
            tracing::warn!(path = %path.display(), %error, "the state can't be written");
        }
        failed = written.is_err();
    }
    pending::<()>().await;
}

fn stamped(report: &Report) -> Report {
    let updated = OffsetDateTime::from(SystemTime::now()).format(&Rfc3339).ok();
    Report { pid: Some(std::process::id()), updated, ..report.clone() }
}
