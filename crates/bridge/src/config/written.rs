//! The file's keys, as they stand there. An empty file is valid: every key has a default (docs/bridge.md).

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use toml::Spanned;

/// The file as it is written: types are right, values are not checked yet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// The only phones that are touched, by UDID. Default: every phone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Spanned<Vec<Spanned<String>>>>,
    /// The bridge that phones join. Default: `virbr0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bridge: Option<Spanned<String>>,
    /// The USB mode that phones are asked for: 3, 4 or 5. Default: 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Spanned<i64>>,
    /// `restore` gives phones back in mode 1 when the daemon stops, `keep` leaves their mode. Default: `restore`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_stop: Option<Spanned<String>>,
    /// Which NCM driver: `auto`, `kernel` or `userspace`. Default: `auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<Spanned<String>>,
    /// Whether phones talk only to ports that are not isolated, so not to each other. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolated: Option<bool>,
    /// Where the state is written for others to read: an absolute path, or `off`. Default: in the runtime directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_file: Option<Spanned<PathBuf>>,
    /// What differs for single phones, by UDID.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub device: BTreeMap<String, Spanned<DeviceTable>>,
}

/// A table `[device."UDID"]`: the keys that hold for all phones, for one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DeviceTable {
    /// As above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bridge: Option<Spanned<String>>,
    /// As above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Spanned<i64>>,
    /// As above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_stop: Option<Spanned<String>>,
    /// As above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<Spanned<String>>,
    /// As above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolated: Option<bool>,
}
