//! The daemon: the fleet and the registry together.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use iosmux_capture::Recorder;
use iosmux_pairing::store::{Store, StoreError};
use tokio::sync::oneshot;

use crate::config::{self, Pairing, Settings};
use crate::discover::DiscoverConfig;
use crate::fleet::{self, CommandError, Fleet, FleetConfig, Inbox};
use crate::http::{BindError, Ended, HttpConfig, Server, SocketConfig};

/// Why the daemon does not start, or keeps its old configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The pair records can't be kept.
    #[error("the pair records: {0}")]
    Store(#[from] StoreError),
    /// Exchanges can't be recorded.
    #[error("exchanges can't be recorded in {path}: {source}")]
    Capture {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: iosmux_capture::Error,
    },
    /// The registry can't be served.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The daemon is ending.
    #[error(transparent)]
    Ending(#[from] CommandError),
}

impl StartError {
    /// What the system said, where it did.
    pub fn io(&self) -> Option<&io::Error> {
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            if let Some(error) = error.downcast_ref() {
                return Some(error);
            }
            source = error.source();
        }
        None
    }
}

/// A daemon whose registry has its addresses; it works in [`Daemon::run`].
#[derive(Debug)]
pub struct Daemon {
    fleet: Fleet,
    inbox: Inbox,
    config: (FleetConfig, DiscoverConfig),
    server: Server,
}

impl Daemon {
    /// Opens the records and takes the registry's addresses. Must be called in the runtime, and on a thread of the network
    /// namespace, in which it will run.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(settings: &Settings) -> Result<Self, StartError> {
        let config = configs(settings, recorder(settings)?)?;
        let (fleet, inbox) = fleet::channel();
        let server = Server::bind(registry(settings), fleet.clone()).await?;
        Ok(Self { fleet, inbox, config, server })
    }

    /// The same, with every exchange recorded by a recorder of the caller's.
    #[must_use]
    pub fn recorded(mut self, recorder: Recorder) -> Self {
        self.config.0.recorder = Some(recorder);
        self
    }

    /// The same, with a PIN that is typed when a device shows one.
    #[must_use]
    pub fn typing(mut self, pin: zeroize::Zeroizing<String>) -> Self {
        self.config.0.pin = Some(pin);
        self
    }

    /// The phones, for who lives in the same process.
    pub fn fleet(&self) -> Fleet {
        self.fleet.clone()
    }

    /// Where the registry listens over TCP.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.server.addresses()
    }

    /// Works until `shutdown` comes or a client of the registry asks for the end; then takes every tunnel down.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Ended {
        let Self { inbox, config: (fleet, discover), server, .. } = self;
        let (end, ended) = oneshot::channel::<()>();
        let phones = fleet::run(fleet, discover, inbox, async { drop(ended.await) });
        let registry = async {
            let ended = server.run(shutdown).await;
            drop(end);
            ended
        };
        tokio::join!(registry, phones).0
    }
}

/// Goes on with other settings. Where the registry listens, the records and the recording stay as they were.
///
/// # Errors
/// [`StartError`]; the old configuration stays.
pub async fn reload(fleet: &Fleet, settings: &Settings) -> Result<(), StartError> {
    let (config, discover) = configs(settings, None)?;
    Ok(fleet.reconfigure(config, discover).await?)
}

fn configs(
    settings: &Settings,
    recorder: Option<Recorder>,
) -> Result<(FleetConfig, DiscoverConfig), StartError> {
    let mut fleet = FleetConfig::new(settings.host_name.as_str(), Store::open(&settings.state_dir)?);
    fleet.policy.trust = settings.trust_deadline;
    fleet.may_pair = settings.pair == Pairing::Ask;
    fleet.suspend_remoted = settings.suspend_remoted;
    fleet.allow = settings.allow.clone();
    fleet.transports = settings.transports.clone();
    fleet.recorder = recorder;
    let discover = DiscoverConfig { interfaces: settings.interfaces.clone(), peers: settings.peers.clone() };
    Ok((fleet, discover))
}

fn registry(settings: &Settings) -> HttpConfig {
    HttpConfig {
        listen: settings.listen.clone(),
        agent: settings.agent,
        socket: settings.socket.as_ref().map(socket),
        hosts: settings.hosts.clone(),
        upstreams: settings.upstreams.clone(),
    }
}

/// A user who may use the socket must be able to open it: where users other than root and ourselves may, all can, and the
/// check of who they are is what keeps others out. For groups the socket itself does the same.
fn socket(socket: &config::Socket) -> SocketConfig {
    let usual = SocketConfig::new(&socket.path);
    let uids: Vec<u32> = socket.users.iter().copied().collect();
    let mode = if uids.iter().all(|uid| usual.uids.contains(uid)) { usual.mode } else { 0o666 };
    SocketConfig { mode, uids, gids: socket.groups.iter().copied().collect(), ..usual }
}

/// A new file for each run.
fn recorder(settings: &Settings) -> Result<Option<Recorder>, StartError> {
    let Some(directory) = &settings.capture else { return Ok(None) };
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let path = directory.join(format!("tunneld-{seconds}.pcapng"));
    let recorder = Recorder::create(&path).map_err(|source| StartError::Capture { path, source })?;
    Ok(Some(recorder))
}
