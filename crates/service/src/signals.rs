//! The signals that a daemon follows: the end, and a reload.

use std::future::Future;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::notify;

/// The signals that are followed, from the moment when this is made.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

/// Tells systemd of the end whoever asked for it: a signal, or somebody else, which ends the future unfinished.
struct Stopping;

impl Drop for Stopping {
    fn drop(&mut self) {
        notify::stopping();
    }
}

impl Signals {
    /// Begins to follow them; they end the process no longer.
    ///
    /// # Errors
    ///
    /// What the system says when a signal can't be followed. It panics outside of a runtime with signals.
    pub fn follow() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits in the foreground: for Ctrl-C, SIGTERM or the loss of the terminal.
    pub async fn end(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }

    /// Waits as a service: for SIGTERM or SIGINT. Each SIGHUP calls `reload`, and then systemd is told the `status`.
    pub async fn end_of_service<R: Future<Output = ()>>(
        mut self,
        mut reload: impl FnMut() -> R,
        status: impl Fn() -> String,
    ) {
        let _stopping = Stopping;
        loop {
            tokio::select! {
                _ = self.terminate.recv() => break,
                _ = self.interrupt.recv() => break,
                _ = self.hang_up.recv() => {
                    notify::reloading();
                    reload().await;
                    notify::ready(&status());
                }
            }
        }
    }
}
