//! What the rest of the program holds of the fleet: a picture to look at, and commands.

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::config::FleetConfig;
use crate::discover::DiscoverConfig;
use crate::model::{Counters, Happening, Snapshot, Tunnel};

/// Commands that wait; above this a caller waits.
const COMMANDS: usize = 64;
/// Happenings that a slow listener may be behind before it misses some.
const HAPPENINGS: usize = 256;

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// No such phone.
    #[error(
        "no phone with the UDID {0} is here: see the list of devices, and whether the phone is plugged in"
    )]
    UnknownDevice(String),
    /// It ended elsewhere than at a tunnel.
    #[error("no tunnel to {udid}: {text}")]
    Failed {
        /// Which phone.
        udid: String,
        /// What happened.
        text: String,
    },
    /// The record could not be changed.
    #[error("the pair record of {udid} can't be removed: {text}")]
    Record {
        /// Which phone.
        udid: String,
        /// What the file system said.
        text: String,
    },
    /// The daemon is ending.
    #[error("the daemon is shutting down")]
    ShuttingDown,
}

type Answer<T> = oneshot::Sender<Result<T, CommandError>>;

/// What others ask of the fleet. UDIDs come with or without dash.
#[derive(Debug)]
pub enum Command {
    /// Make a tunnel if there is none, and answer once it can be used or has failed.
    Start {
        /// Which phone.
        udid: String,
        /// Its tunnel.
        answer: Answer<Tunnel>,
    },
    /// Take a tunnel down and leave it down until somebody starts it or the phone is attached again.
    Stop {
        /// Which phone.
        udid: String,
        /// Whether there was a tunnel.
        answer: Answer<bool>,
    },
    /// Take tunnels down that are up, and make them anew after a pause.
    Cancel {
        /// Which phone's; all if none.
        udid: Option<String>,
        /// How many there were.
        answer: Answer<usize>,
    },
    /// Pair, even where it is not done by itself: the phone may ask its user. Answers as Start does.
    Pair {
        /// Which phone.
        udid: String,
        /// Its tunnel.
        answer: Answer<Tunnel>,
    },
    /// Forget the pair record and take the tunnel down.
    Unpair {
        /// Which phone; it need not be here.
        udid: String,
        /// Whether there was a record.
        answer: Answer<bool>,
    },
    /// Look for phones again everywhere and try again what waits.
    Refresh {
        /// Once everything was told to.
        answer: Answer<()>,
    },
    /// What went through a tunnel so far.
    Counters {
        /// All that are up, by UDID.
        answer: Answer<Vec<(String, Counters)>>,
    },
    /// Go on with another configuration; tunnels stay where it does not forbid them.
    Reconfigure {
        /// The new one.
        config: Box<(FleetConfig, DiscoverConfig)>,
        /// Once it is in force.
        answer: Answer<()>,
    },
}

/// The fleet as others see it; clones are the same fleet.
#[derive(Debug, Clone)]
pub struct Fleet {
    commands: mpsc::Sender<Command>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    happenings: broadcast::Sender<Happening>,
}

/// The other end of a [`Fleet`]: who carries the commands out and paints the picture.
#[derive(Debug)]
pub struct Inbox {
    /// What is asked.
    pub commands: mpsc::Receiver<Command>,
    /// The picture.
    pub snapshot: watch::Sender<Arc<Snapshot>>,
    /// The news.
    pub happenings: broadcast::Sender<Happening>,
}

/// Both ends.
pub fn channel() -> (Fleet, Inbox) {
    let (commands, inbox) = mpsc::channel(COMMANDS);
    let (painter, snapshot) = watch::channel(Arc::default());
    let (happenings, _) = broadcast::channel(HAPPENINGS);
    let fleet = Fleet { commands, snapshot, happenings: happenings.clone() };
    (fleet, Inbox { commands: inbox, snapshot: painter, happenings })
}

impl Fleet {
    /// Everything, now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.borrow())
    }

    /// The picture as it changes.
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.clone()
    }

    /// What happens from now on.
    pub fn happenings(&self) -> broadcast::Receiver<Happening> {
        self.happenings.subscribe()
    }

    /// Makes a tunnel if there is none; returns once it can be used.
    ///
    /// # Errors
    /// [`CommandError`]: unknown phone, or where it ended instead.
    pub async fn start(&self, udid: &str) -> Result<Tunnel, CommandError> {
        self.ask(|answer| Command::Start { udid: udid.to_owned(), answer }).await
    }

    /// Takes a tunnel down until somebody starts it or the phone is attached again; says whether there was one.
    ///
    /// # Errors
    /// [`CommandError::UnknownDevice`].
    pub async fn stop(&self, udid: &str) -> Result<bool, CommandError> {
        self.ask(|answer| Command::Stop { udid: udid.to_owned(), answer }).await
    }

    /// Takes the tunnel of one phone down, or all; they are made anew after a pause. Says how many there were.
    ///
    /// # Errors
    /// [`CommandError::ShuttingDown`].
    pub async fn cancel(&self, udid: Option<&str>) -> Result<usize, CommandError> {
        self.ask(|answer| Command::Cancel { udid: udid.map(str::to_owned), answer }).await
    }

    /// Pairs, even where that is not done by itself; returns once the tunnel can be used.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn pair(&self, udid: &str) -> Result<Tunnel, CommandError> {
        self.ask(|answer| Command::Pair { udid: udid.to_owned(), answer }).await
    }

    /// Forgets the pair record of a phone, here or not; says whether there was one.
    ///
    /// # Errors
    /// [`CommandError::Record`].
    pub async fn unpair(&self, udid: &str) -> Result<bool, CommandError> {
        self.ask(|answer| Command::Unpair { udid: udid.to_owned(), answer }).await
    }

    /// Looks for phones again everywhere, and tries again at once what waits.
    ///
    /// # Errors
    /// [`CommandError::ShuttingDown`].
    pub async fn refresh(&self) -> Result<(), CommandError> {
        self.ask(|answer| Command::Refresh { answer }).await
    }

    /// What went through each tunnel that is up, by UDID.
    ///
    /// # Errors
    /// [`CommandError::ShuttingDown`].
    pub async fn counters(&self) -> Result<Vec<(String, Counters)>, CommandError> {
        self.ask(|answer| Command::Counters { answer }).await
    }

    /// Goes on with another configuration.
    ///
    /// # Errors
    /// [`CommandError::ShuttingDown`].
    pub async fn reconfigure(
        &self,
        fleet: FleetConfig,
        discover: DiscoverConfig,
    ) -> Result<(), CommandError> {
        let config = Box::new((fleet, discover));
        self.ask(|answer| Command::Reconfigure { config, answer }).await
    }

    async fn ask<T>(&self, command: impl FnOnce(Answer<T>) -> Command) -> Result<T, CommandError> {
        let (answer, answered) = oneshot::channel();
        let sent = self.commands.send(command(answer)).await;
        sent.map_err(|_| CommandError::ShuttingDown)?;
        answered.await.unwrap_or(Err(CommandError::ShuttingDown))
    }
}
