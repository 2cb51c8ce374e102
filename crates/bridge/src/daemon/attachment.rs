//! One phone: its machine, its handle, its driver, and the work under way.

use std::sync::Arc;

use iosmux_usb::Udid;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::phone::Machine;
use crate::ports::RunningNcm;

/// Which phone: as long as it has a UDID it stays the same wherever it is plugged in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// By its UDID.
    Udid(Udid),
    /// By its port, where it has none.
    Port(String),
}

/// What tasks tell the actor: whose work, which piece of it, and how it ended.
#[derive(Debug)]
pub(super) struct Finished<D, R> {
    pub(super) key: Key,
    /// The number of the work or of the driver, so that abandoned ones are told apart.
    pub(super) number: u64,
    pub(super) what: What<D, R>,
}

#[derive(Debug)]
pub(super) enum What<D, R> {
    /// Work ended with this event.
    Event(crate::phone::Event),
    /// The phone is open.
    Opened(D),
    /// The driver runs.
    Started(R),
    /// The driver ended by itself.
    DriverEnded(String),
}

/// One phone.
#[derive(Debug)]
pub(super) struct Attachment<D> {
    /// The port where it was last seen.
    pub(super) id: String,
    pub(super) udid: Option<Udid>,
    pub(super) machine: Machine,
    pub(super) device: Option<Arc<D>>,
    pub(super) driver: Option<Driver>,
    pub(super) work: Option<UnderWay>,
}

/// Work under way; dropping it abandons it.
#[derive(Debug)]
pub(super) struct UnderWay {
    pub(super) number: u64,
    pub(super) task: AbortHandle,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A userspace driver in a task of its own. Dropping this ends it as well, a little later.
#[derive(Debug)]
pub(super) struct Driver {
    pub(super) number: u64,
    stop: oneshot::Sender<oneshot::Sender<()>>,
}

impl Driver {
    /// Gives it a task; when it ends by itself that is told under this number.
    pub(super) fn keep<D, R>(
        mut running: R,
        key: Key,
        number: u64,
        results: mpsc::UnboundedSender<Finished<D, R>>,
    ) -> Self
    where
        D: Send + 'static,
        R: RunningNcm,
    {
        let (stop, stopped) = oneshot::channel::<oneshot::Sender<()>>();
        tokio::spawn(async move {
            tokio::select! {
                error = running.ended() => {
                    let what = What::DriverEnded(error.to_string());
                    // Nobody is left to tell it to when the daemon has ended.
                    let _ = results.send(Finished { key, number, what });
                }
                answer = stopped => {
                    let counters = running.counters();
                    running.stop().await;
                    tracing::debug!(?counters, "the userspace driver ended");
                    if let Ok(answer) = answer {
                        let _ = answer.send(());
                    }
                }
            }
        });
        Self { number, stop }
    }

    /// Ends it, and waits until it has.
    pub(super) async fn stop(self) {
        let (answer, answered) = oneshot::channel();
        if self.stop.send(answer).is_ok() {
            // An error is an end as well.
            let _ = answered.await;
        }
    }
}
