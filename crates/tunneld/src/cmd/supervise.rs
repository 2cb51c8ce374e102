//! Beside a running daemon: signals, and what systemd is told, until the end is asked for.

use std::future::{Future, pending};
use std::io;
use std::time::Duration;

use iosmux_service::notify;
use iosmux_tunneld::fleet::Fleet;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::status;

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

/// Tells systemd of the end whoever asked for it: a signal, or a client of the registry, which ends the future unfinished.
struct Stopping;

impl Drop for Stopping {
    fn drop(&mut self) {
        notify::stopping();
    }
}

/// Returns when SIGTERM or SIGINT comes. Until then `reload` is called for each SIGHUP, and systemd is told what goes on:
/// that the daemon is ready at once, so this must be called when the registry listens.
pub(super) async fn supervise<R: Future<Output = ()>>(
    mut signals: Signals,
    fleet: &Fleet,
    mut reload: impl FnMut() -> R,
) {
    let line = status::line(&fleet.snapshot());
    notify::ready(&line);
    let _stopping = Stopping;
    let told = async {
        tokio::join!(tell_status(fleet, line), tell_alive(fleet));
    };
    let asked = async {
        loop {
            tokio::select! {
                _ = signals.terminate.recv() => break,
                _ = signals.interrupt.recv() => break,
                _ = signals.hang_up.recv() => {
                    notify::reloading();
                    reload().await;
                    notify::ready(&status::line(&fleet.snapshot()));
                }
            }
        }
    };
    tokio::select! { () = told => {}, () = asked => {} }
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

/// Tells systemd's watchdog only while the fleet answers: one that hangs is ended and started again.
async fn tell_alive(fleet: &Fleet) {
    let Some(often) = notify::alive_interval() else { return pending().await };
    let mut ticks = interval(often);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if answers(fleet, often).await {
            notify::alive();
        } else {
            tracing::error!("the fleet does not answer; systemd will start the daemon again if that goes on");
        }
    }
}

async fn answers(fleet: &Fleet, within: Duration) -> bool {
    matches!(timeout(within, fleet.counters()).await, Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;
    use std::process::Command;
    use std::sync::Arc;

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
            assert!(!answers(&fleet, Duration::from_millis(50)).await, "nobody carries the command out");
            drop(inbox.commands.recv().await);
            let served = tokio::spawn(async move {
                let Some(Asked::Counters { answer }) = inbox.commands.recv().await else {
                    panic!("another command")
                };
                answer.send(Ok(Vec::new())).unwrap();
                inbox
            });
            assert!(answers(&fleet, SOON).await);
            drop(served.await.unwrap());
            assert!(!answers(&fleet, SOON).await, "it has ended");
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
