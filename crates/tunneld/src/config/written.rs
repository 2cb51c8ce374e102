//! The file's keys, as they stand there. An empty file is valid: every key has a default (docs/tunneld.md).

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use toml::Spanned;

/// The file as it is written: types are right, values are not checked yet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// Names and patterns (`en*`) of interfaces to look for phones on, or `all-but-tunnels`, which is the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interfaces: Option<Vec<Spanned<String>>>,
    /// Where the registry listens: loopback addresses with ports. Default: `127.0.0.1:49151`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<Vec<Spanned<String>>>,
    /// Lets `listen` and `agent` be other than loopback addresses. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen_anyway: Option<bool>,
    /// Names and addresses by which others may call the registry, beside localhost. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Vec<Spanned<String>>>,
    /// Where go-ios' agent is served, or `off`. Default: `127.0.0.1:60105`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<Spanned<String>>,
    /// Other registries whose phones are listed as well: `http://` addresses. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstreams: Option<Vec<Spanned<String>>>,
    /// Where pair records are kept: an absolute path. Default: by who runs the daemon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_dir: Option<Spanned<PathBuf>>,
    /// `ask` pairs with a phone that is not paired, which asks its user; `never` leaves that to a command. Default: `ask`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pair: Option<Spanned<String>>,
    /// The only phones that get a tunnel, by UDID. Default: every phone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Spanned<Vec<Spanned<String>>>>,
    /// Addresses where phones are that nobody announces. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peers: Option<Vec<Spanned<String>>>,
    /// What phones call this host. Default: the system's host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_name: Option<Spanned<String>>,
    /// Seconds that a phone's user has to tap Trust. Default: 120.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust_deadline: Option<Spanned<i64>>,
    /// A directory for recordings of what is exchanged with phones: an absolute path. Default: nothing is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capture: Option<Spanned<PathBuf>>,
    /// macOS: `auto` suspends Apple's remoted while a phone is first asked; `never`, the default, is right in a VM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspend_remoted: Option<Spanned<String>>,
    /// The registry's Unix socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<SocketTable>,
    /// What differs for single phones, by UDID.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub device: BTreeMap<String, Spanned<DeviceTable>>,
}

/// The table `[socket]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SocketTable {
    /// An absolute path, or `off`. Default: in the runtime directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Spanned<PathBuf>>,
    /// Users who may use it beside root and the daemon's own: names or numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<Vec<Spanned<Account>>>,
    /// Groups whose members may use it: names or numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<Spanned<Account>>>,
}

/// A table `[device."UDID"]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DeviceTable {
    /// `tcp` or `quic`. Default: by the phone's iOS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<Spanned<String>>,
}

/// A user or a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a name or a number was expected")]
pub enum Account {
    /// By its number.
    Number(u32),
    /// By its name.
    Name(String),
}
