//! What others see of the daemon, and ask.

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::config::Settings;
use crate::phone::{Reason, State};
use crate::state::Report;

/// The daemon has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the daemon has ended")]
pub struct Ended;

/// A phone is somewhere else now, or for another reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// The port.
    pub id: String,
    /// The UDID, if there is one.
    pub udid: Option<String>,
    /// Where it is.
    pub state: State,
    /// Why.
    pub reason: Option<Reason>,
    /// The interface that joined, and its bridge.
    pub joined: Option<(String, String)>,
}

impl Happening {
    pub(super) fn log(&self) {
        let udid = self.udid.as_deref();
        let (port, state) = (self.id.as_str(), self.state.name());
        match &self.reason {
            None => tracing::info!(UDID = udid, port, state, "the phone {}", self.state.words()),
            Some(reason) => tracing::warn!(
                UDID = udid,
                port,
                state,
                reason = reason.name(),
                next = reason.next_step(),
                "the phone {}: {}",
                self.state.words(),
                reason.text()
            ),
        }
    }
}

#[derive(Debug)]
pub(super) enum Command {
    Reconfigure(Box<Settings>),
    Ping(oneshot::Sender<()>),
}

/// A daemon from outside.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) reports: watch::Receiver<Arc<Report>>,
    pub(super) happenings: broadcast::Sender<Happening>,
}

impl Handle {
    /// Every phone now.
    pub fn report(&self) -> Arc<Report> {
        self.reports.borrow().clone()
    }

    /// Every change of the report. The first one comes with the first look at the world.
    pub fn watch(&self) -> watch::Receiver<Arc<Report>> {
        self.reports.clone()
    }

    /// Every state that a phone enters from now on.
    pub fn happenings(&self) -> broadcast::Receiver<Happening> {
        self.happenings.subscribe()
    }

    /// Goes on with other settings, and tries again what is held.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn reconfigure(&self, settings: Settings) -> Result<(), Ended> {
        self.commands.send(Command::Reconfigure(Box::new(settings))).await.map_err(|_| Ended)
    }

    /// Returns as soon as the part that decides has time.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn ping(&self) -> Result<(), Ended> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(Command::Ping(answer)).await.map_err(|_| Ended)?;
        answered.await.map_err(|_| Ended)
    }
}
