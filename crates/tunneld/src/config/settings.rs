//! What the daemon runs with: everything checked, every default filled in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use iosmux_link::Selection;
use iosmux_service::config::{self, ConfigError};
use iosmux_tunnel::Transport;
use iosmux_usb::Udid;

use super::check::{self, Overrides};
use super::environment::Environment;
use super::written::Config;
use crate::discover::Peer;

/// Where the registry listens unless told otherwise. Source: protocol.md §6.
pub const REGISTRY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 49151);
/// Where go-ios' agent is served unless told otherwise. Source: protocol.md §6.
pub const AGENT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 60105);
/// How long a phone's user has to tap Trust unless told otherwise.
pub const TRUST_DEADLINE: Duration = Duration::from_secs(120);

/// Everything that can be configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where phones are looked for.
    pub interfaces: Selection,
    /// Where the registry listens; never empty. Port 0 is any.
    pub listen: Vec<SocketAddr>,
    /// Names and addresses by which others may call the registry, beside localhost.
    pub hosts: Vec<String>,
    /// Where go-ios' agent is served.
    pub agent: Option<SocketAddr>,
    /// Other registries whose phones are listed as well.
    pub upstreams: Vec<String>,
    /// The registry's Unix socket.
    pub socket: Option<Socket>,
    /// Where pair records are kept.
    pub state_dir: PathBuf,
    /// What to do with a phone that is not paired.
    pub pair: Pairing,
    /// The only phones that get a tunnel; none means every phone.
    pub allow: Option<BTreeSet<Udid>>,
    /// The transport of single phones.
    pub transports: BTreeMap<Udid, Transport>,
    /// Addresses where phones are that nobody announces.
    pub peers: Vec<Peer>,
    /// What phones call this host; pair records belong to it.
    pub host_name: String,
    /// How long a phone's user has to tap Trust.
    pub trust_deadline: Duration,
    /// Where exchanges with phones are recorded.
    pub capture: Option<PathBuf>,
    /// Whether Apple's remoted is suspended on macOS.
    pub suspend_remoted: SuspendRemoted,
}

/// The registry's Unix socket and who may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// Where it is.
    pub path: PathBuf,
    /// Users, by number: root and the daemon's own among them.
    pub users: BTreeSet<u32>,
    /// Groups, by number.
    pub groups: BTreeSet<u32>,
}

/// What to do with a phone that is not paired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pairing {
    /// Pair: the phone asks its user.
    #[default]
    Ask,
    /// Leave it until a person asks for it.
    Never,
}

/// Whether Apple's remoted, which owns the link to a phone on a Mac, is suspended while we use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SuspendRemoted {
    /// Never: right in a VM, whose network interface remoted does not take for a phone's.
    #[default]
    Never,
    /// On macOS, where there is one.
    Auto,
}

impl Settings {
    /// The defaults, with records kept here and no Unix socket.
    pub fn new(state_dir: impl Into<PathBuf>, host_name: impl Into<String>) -> Self {
        Self {
            interfaces: Selection::default(),
            listen: vec![REGISTRY],
            hosts: Vec::new(),
            agent: Some(AGENT),
            upstreams: Vec::new(),
            socket: None,
            state_dir: state_dir.into(),
            pair: Pairing::default(),
            allow: None,
            transports: BTreeMap::new(),
            peers: Vec::new(),
            host_name: host_name.into(),
            trust_deadline: TRUST_DEADLINE,
            capture: None,
            suspend_remoted: SuspendRemoted::default(),
        }
    }

    /// Reads and checks a file, or takes the defaults; `overrides` come from the command line.
    ///
    /// # Errors
    /// [`ConfigError`] with everything that is wrong.
    pub fn load(
        file: Option<&Path>,
        overrides: &Overrides,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let text = match file {
            None => String::new(),
            Some(path) => config::read(path)?,
        };
        let name = file.map(|path| path.display().to_string());
        Self::from_text(name, &text, overrides, environment)
    }

    /// Checks a file's text; `file` is its name in errors.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with everything that is wrong.
    pub fn from_text(
        file: Option<String>,
        text: &str,
        overrides: &Overrides,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let checked = config::parse::<Config>(text)
            .map_err(|problem| vec![problem])
            .and_then(|config| check::check(&config, text, overrides, environment));
        checked.map_err(|problems| ConfigError::Invalid { file, problems })
    }

    /// The keys in which others differ that a running daemon can't take up: what it listens on, and where it records.
    pub fn only_at_start(&self, others: &Self) -> Vec<&'static str> {
        let differ = [
            ("listen", self.listen != others.listen),
            ("hosts", self.hosts != others.hosts),
            ("agent", self.agent != others.agent),
            ("upstreams", self.upstreams != others.upstreams),
            ("socket", self.socket != others.socket),
            ("capture", self.capture != others.capture),
        ];
        differ.into_iter().filter(|(_, differ)| *differ).map(|(key, _)| key).collect()
    }
}
