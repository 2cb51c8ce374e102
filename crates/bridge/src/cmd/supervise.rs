//! Beside a running daemon: signals, what systemd is told, and the state file, until the end is asked for.

use std::future::{Future, pending};
use std::path::Path;
use std::time::SystemTime;

use iosmux_bridge::daemon::Handle;
use iosmux_bridge::state::{Report, StateFile, status_line};
use iosmux_service::notify;
use iosmux_service::signals::Signals;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Returns when SIGTERM or SIGINT comes. Until then `reload` is called for each SIGHUP, and systemd is told what goes on.
pub(super) async fn supervise<R: Future<Output = ()>>(
    signals: Signals,
    handle: &Handle,
    reload: impl FnMut() -> R,
) {
    tokio::select! {
        () = tell_status(handle) => {}
        () = notify::alive_while(|| answers(handle)) => {}
        () = signals.end_of_service(reload, || status_line(&handle.report())) => {}
    }
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

async fn answers(handle: &Handle) -> bool {
    handle.ping().await.is_ok()
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
