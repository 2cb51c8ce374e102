//! Settings as a file that would make them: for people to look at, and to keep.

use std::fmt;
use std::path::PathBuf;

use iosmux_link::{Selection, selection::ALL_BUT_TUNNELS};
use iosmux_service::config::{self, spanned, text};

use super::settings::{Pairing, Settings, Socket, SuspendRemoted};
use super::written::{Account, Config, DeviceTable, SocketTable};

impl Settings {
    /// The file that makes these settings, with every key that has a value.
    pub fn written(&self) -> Config {
        let interfaces = match &self.interfaces {
            Selection::AllButTunnels => vec![text(ALL_BUT_TUNNELS)],
            Selection::Fitting(patterns) => patterns.iter().map(text).collect(),
        };
        let addresses = self.listen.iter().chain(&self.agent);
        let open = addresses.clone().any(|address| !address.ip().to_canonical().is_loopback());
        Config {
            interfaces: Some(interfaces),
            listen: Some(self.listen.iter().map(text).collect()),
            listen_anyway: open.then_some(true),
            hosts: some(self.hosts.iter().map(text).collect()),
            agent: Some(self.agent.as_ref().map_or_else(|| text("off"), text)),
            upstreams: some(self.upstreams.iter().map(text).collect()),
            state_dir: Some(spanned(self.state_dir.clone())),
            pair: Some(text(match self.pair {
                Pairing::Ask => "ask",
                Pairing::Never => "never",
            })),
            allow: self.allow.as_ref().map(|allow| spanned(allow.iter().map(text).collect())),
            peers: some(self.peers.iter().map(text).collect()),
            host_name: Some(text(&self.host_name)),
            trust_deadline: i64::try_from(self.trust_deadline.as_secs()).ok().map(spanned),
            capture: self.capture.clone().map(spanned),
            suspend_remoted: Some(text(match self.suspend_remoted {
                SuspendRemoted::Never => "never",
                SuspendRemoted::Auto => "auto",
            })),
            socket: Some(socket(self.socket.as_ref())),
            device: self
                .transports
                .iter()
                .map(|(udid, transport)| {
                    (udid.to_string(), spanned(DeviceTable { transport: Some(text(transport)) }))
                })
                .collect(),
        }
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&config::print(&self.written()))
    }
}

fn socket(socket: Option<&Socket>) -> SocketTable {
    let Some(Socket { path, users, groups }) = socket else {
        return SocketTable { path: Some(spanned(PathBuf::from("off"))), ..SocketTable::default() };
    };
    let accounts = |numbers: &std::collections::BTreeSet<u32>| {
        some(numbers.iter().map(|number| spanned(Account::Number(*number))).collect())
    };
    SocketTable { path: Some(spanned(path.clone())), users: accounts(users), groups: accounts(groups) }
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}
