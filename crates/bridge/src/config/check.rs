//! From what is written to what it means. Everything that is wrong is told at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::{Path, PathBuf};

use iosmux_usb::{Mode, Udid};
use toml::Spanned;

use super::problem::{Problem, Written};
use super::settings::{Device, Ending, Settings, state_file};
use super::written::{Config, DeviceTable};
use crate::phone::Driver;

/// The word that switches something off.
const OFF: &str = "off";
/// Bytes of an interface's name. Source: Linux, IFNAMSIZ (16 with the final zero).
const INTERFACE_NAME: usize = 15;
/// The modes that have an NCM function. Source: protocol.md §1.3.
const MODES: [Mode; 3] = [Mode::Ncm, Mode::EthernetAndNcm, Mode::NcmDirect];

struct Checker<'a> {
    text: &'a str,
    problems: Vec<Problem>,
}

/// Checks everything and fills in defaults.
///
/// # Errors
/// All that is wrong, in the order of the file.
pub(super) fn check(config: &Config, text: &str) -> Result<Settings, Vec<Problem>> {
    let mut checker = Checker { text, problems: Vec::new() };
    let settings = checker.settings(config);
    checker.problems.sort_by_key(|problem| (problem.line, problem.column));
    if checker.problems.is_empty() { Ok(settings) } else { Err(checker.problems) }
}

impl Checker<'_> {
    /// What can't be used is left out; the problem that it leaves keeps the settings from being used.
    fn settings(&mut self, config: &Config) -> Settings {
        let table = DeviceTable {
            bridge: config.bridge.clone(),
            mode: config.mode.clone(),
            on_stop: config.on_stop.clone(),
            driver: config.driver.clone(),
            isolated: config.isolated,
        };
        let default = self.device("", &table, &Device::default());
        Settings {
            allow: config.allow.as_ref().map(|allow| self.allow(allow)),
            devices: self.devices(config, &default),
            default,
            state_file: self.state_file(config.state_file.as_ref()),
        }
    }

    fn wrong<T>(&mut self, key: &str, value: &Spanned<T>, what: impl Display) {
        let written = Written { key: key.to_owned(), span: value.span() };
        self.problems.push(Problem::at(self.text, &written, what.to_string()));
    }

    fn device(&mut self, prefix: &str, table: &DeviceTable, default: &Device) -> Device {
        let key = |name: &str| format!("{prefix}{name}");
        let endings = [("restore", Ending::Restore), ("keep", Ending::Keep)];
        let drivers = [("auto", Driver::Auto), ("kernel", Driver::Kernel), ("userspace", Driver::Userspace)];
        Device {
            bridge: self.bridge(&key("bridge"), table.bridge.as_ref(), &default.bridge),
            mode: self.mode(&key("mode"), table.mode.as_ref(), default.mode),
            on_stop: self.word(&key("on-stop"), table.on_stop.as_ref(), &endings, default.on_stop),
            driver: self.word(&key("driver"), table.driver.as_ref(), &drivers, default.driver),
            isolated: table.isolated.unwrap_or(default.isolated),
        }
    }

    fn bridge(&mut self, key: &str, value: Option<&Spanned<String>>, default: &str) -> String {
        let Some(value) = value else { return default.to_owned() };
        let name = value.get_ref();
        // Source: Linux, dev_valid_name.
        let odd = |letter: char| letter.is_whitespace() || letter.is_control() || "/:".contains(letter);
        if name.is_empty() || name.len() > INTERFACE_NAME || name.contains(odd) || name == "." || name == ".."
        {
            let text =
                format!("the name of a bridge (1 to {INTERFACE_NAME} bytes) was expected, {name:?} came");
            self.wrong(key, value, text);
        }
        name.clone()
    }

    fn mode(&mut self, key: &str, value: Option<&Spanned<i64>>, default: Mode) -> Mode {
        let Some(value) = value else { return default };
        let number = u16::try_from(*value.get_ref()).ok();
        let mode = number.and_then(Mode::from_number).filter(|mode| MODES.contains(mode));
        mode.unwrap_or_else(|| {
            let text = format!("a mode with NCM was expected: 3, 4 or 5; {} came", value.get_ref());
            self.wrong(key, value, text);
            default
        })
    }

    fn word<T: Copy>(
        &mut self,
        key: &str,
        value: Option<&Spanned<String>>,
        words: &[(&str, T)],
        default: T,
    ) -> T {
        let Some(value) = value else { return default };
        let found = words.iter().find(|(word, _)| word == value.get_ref());
        found.map(|(_, meaning)| *meaning).unwrap_or_else(|| {
            let known: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            let text = format!("{} was expected, {:?} came", known.join(" or "), value.get_ref());
            self.wrong(key, value, text);
            default
        })
    }

    fn allow(&mut self, allow: &Spanned<Vec<Spanned<String>>>) -> BTreeSet<Udid> {
        if allow.get_ref().is_empty() {
            let text =
                "it is empty, so that no phone would be touched: leave the key out to allow every phone";
            self.wrong("allow", allow, text);
        }
        let mut udids = BTreeSet::new();
        for value in allow.get_ref() {
            match value.get_ref().parse::<Udid>() {
                Err(error) => self.wrong("allow", value, error),
                Ok(udid) => {
                    if !udids.insert(udid) {
                        self.wrong("allow", value, format!("{:?} is there twice", value.get_ref()));
                    }
                }
            }
        }
        udids
    }

    fn devices(&mut self, config: &Config, default: &Device) -> BTreeMap<Udid, Device> {
        let mut devices = BTreeMap::new();
        for (key, table) in &config.device {
            let device = self.device(&format!("device.{key}."), table.get_ref(), default);
            match key.parse::<Udid>() {
                Err(error) => self.wrong("device", table, error),
                Ok(udid) => {
                    if devices.insert(udid, device).is_some() {
                        self.wrong("device", table, format!("{key:?} is there twice"));
                    }
                }
            }
        }
        devices
    }

    fn state_file(&mut self, value: Option<&Spanned<PathBuf>>) -> Option<PathBuf> {
        let Some(value) = value else { return Some(state_file()) };
        let path = value.get_ref();
        if path == Path::new(OFF) {
            return None;
        }
        if !path.is_absolute() || path.file_name().is_none() {
            self.wrong(
                "state-file",
                value,
                format!("an absolute path of a file or \"off\" was expected, {path:?} came"),
            );
        }
        Some(path.clone())
    }
}
