//! Settings as a file that would make them: for people to look at, and to keep.

use std::fmt;
use std::path::PathBuf;

use iosmux_service::config::{self, spanned, text};

use super::settings::{Device, Ending, Settings};
use super::written::{Config, DeviceTable};
use crate::phone::Driver;

impl Settings {
    /// The file that makes these settings, with every key that has a value.
    pub fn written(&self) -> Config {
        let default = table(&self.default);
        Config {
            allow: self.allow.as_ref().map(|allow| spanned(allow.iter().map(text).collect())),
            bridge: default.bridge,
            mode: default.mode,
            on_stop: default.on_stop,
            driver: default.driver,
            isolated: default.isolated,
            state_file: Some(spanned(self.state_file.clone().unwrap_or_else(|| PathBuf::from("off")))),
            device: self
                .devices
                .iter()
                .map(|(udid, device)| (udid.to_string(), spanned(table(device))))
                .collect(),
        }
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&config::print(&self.written()))
    }
}

fn table(device: &Device) -> DeviceTable {
    DeviceTable {
        bridge: Some(text(&device.bridge)),
        mode: Some(spanned(i64::from(device.mode.number()))),
        on_stop: Some(text(match device.on_stop {
            Ending::Restore => "restore",
            Ending::Keep => "keep",
        })),
        driver: Some(text(match device.driver {
            Driver::Auto => "auto",
            Driver::Kernel => "kernel",
            Driver::Userspace => "userspace",
        })),
        isolated: Some(device.isolated),
    }
}
