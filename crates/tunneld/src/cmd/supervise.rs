//! Beside a running daemon: signals, and what systemd is told, until the end is asked for.

use std::future::{Future, pending};

use iosmux_service::notify;
use iosmux_service::signals::Signals;
use iosmux_tunneld::fleet::Fleet;

use crate::status;

/// Returns when SIGTERM or SIGINT comes. Until then `reload` is called for each SIGHUP, and systemd is told what goes on:
/// that the daemon is ready at once, so this must be called when the registry listens.
pub(super) async fn supervise<R: Future<Output = ()>>(
    signals: Signals,
    fleet: &Fleet,
    reload: impl FnMut() -> R,
) {
    let line = status::line(&fleet.snapshot());
    notify::ready(&line);
    tokio::select! {
        () = tell_status(fleet, line) => {}
        () = notify::alive_while(|| answers(fleet)) => {}
        () = signals.end_of_service(reload, || status::line(&fleet.snapshot())) => {}
    }
}

/// Tells whenever the line is another than the one that was told.
async fn tell_status(fleet: &Fleet, mut told: String) {
    let mut snapshots = fleet.watch();
    // What changed before is news too.
    snapshots.mark_changed();
    while snapshots.changed().await.is_ok() {
        let line = status::line(&snapshots.borrow_and_update());
        if line != told {
            notify::status(&line);
            told = line;
        }
    }
    pending::<()>().await;
}

async fn answers(fleet: &Fleet) -> bool {
    fleet.counters().await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;
    use std::process::Command;
    use std::sync::Arc;
    use std::time::Duration;

    use iosmux_tunneld::fleet::{Command as Asked, channel};
    use iosmux_tunneld::model::{Snapshot, State};

    const SOON: Duration = Duration::from_secs(5);

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    #[test]
    fn a_fleet_that_hangs_or_has_ended_does_not_answer() {
        block_on(async {
            let (fleet, mut inbox) = channel();
            let hung = tokio::time::timeout(Duration::from_millis(50), answers(&fleet)).await;
            assert!(hung.is_err(), "nobody carries the command out");
            drop(inbox.commands.recv().await);
            let served = tokio::spawn(async move {
                let Some(Asked::Counters { answer }) = inbox.commands.recv().await else {
                    panic!("another command")
                };
                answer.send(Ok(Vec::new())).unwrap();
                inbox
            });
            assert!(answers(&fleet).await);
            drop(served.await.unwrap());
            assert!(!answers(&fleet).await, "it has ended");
        });
    }

    /// What systemd would read. A process' environment is its own, so the telling is done by a second run of this test.
    #[test]
    fn systemd_reads_each_change_once() {
        if std::env::var_os("NOTIFY_SOCKET").is_some() {
            return block_on(tell_a_story());
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        let program = std::env::current_exe().unwrap();
        let mut teller = Command::new(program);
        teller.args(["--exact", "cmd::supervise::tests::systemd_reads_each_change_once", "--nocapture"]);
        let status = teller.env("NOTIFY_SOCKET", &path).status().unwrap();
        assert!(status.success());
        let mut told = String::new();
        let mut buffer = [0; 512];
        while !told.contains("STOPPING") {
            let length = socket.recv(&mut buffer).unwrap();
            told += &format!("{}--\n", std::str::from_utf8(&buffer[..length]).unwrap());
        }
        insta::assert_snapshot!(told);
    }

    /// A phone comes, waits for its user, changes in ways that nobody sees, is ready; then the end is asked for.
    async fn tell_a_story() {
        let (fleet, inbox) = channel();
        let story = async {
            for state in [State::AwaitingTrust, State::AwaitingTrust, State::CatalogueKnown, State::Suspect] {
                let devices = vec![status::tests::phone(1, state)];
                inbox.snapshot.send(Arc::new(Snapshot { devices, ..Snapshot::default() })).unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            nix::sys::signal::raise(nix::sys::signal::Signal::SIGTERM).unwrap();
            pending::<()>().await;
        };
        let signals = Signals::follow().unwrap();
        tokio::select! {
            biased;
            () = supervise(signals, &fleet, || async {}) => {}
            () = story => {}
        }
    }
}
