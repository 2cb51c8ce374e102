//! The file's keys, as they stand there. An empty file is valid: every key has a default (docs/bridge.md).

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::problem::{Problem, Written};

/// What values with places add to the path of a key. Source: serde_spanned, VALUE_FIELD.
const SPANNED: &str = ".$__serde_spanned_private_value";

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

impl Config {
    /// Reads a file's text.
    ///
    /// # Errors
    /// The first place where it is no TOML, has an unknown key or a value of the wrong type.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let wrong = |key: Option<String>, error: &toml::de::Error| {
            let span = error.span().unwrap_or_default();
            let key = key.unwrap_or_default().replace(SPANNED, "");
            // The words of TOML, not those of serde.
            let what = error.message().replace("a sequence", "a list in [ ]").replace("a map", "a table");
            Problem::at(text, &Written { key, span }, what)
        };
        let document = toml::Deserializer::parse(text).map_err(|error| wrong(None, &error))?;
        serde_path_to_error::deserialize(document)
            .map_err(|error| wrong(Some(error.path().to_string()), error.inner()))
    }

    /// The text of a file that says the same.
    pub fn print(&self) -> String {
        // Only maps with keys that are no strings can't be written.
        toml::to_string(self).unwrap_or_default()
    }
}
