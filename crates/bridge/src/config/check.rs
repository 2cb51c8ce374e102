//! From what is written to what it means. Everything that is wrong is told at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use iosmux_service::config::{Checker, Place, Problem};
use iosmux_usb::{Mode, Udid};
use toml::Spanned;

use super::settings::{self, Device, Ending, Settings};
use super::written::{Config, DeviceTable};
use crate::phone::Driver;

/// The word that switches something off.
const OFF: &str = "off";
/// Bytes of an interface's name. Source: Linux, IFNAMSIZ (16 with the final zero).
const INTERFACE_NAME: usize = 15;
/// The modes that have an NCM function. Source: protocol.md §1.3.
const MODES: [Mode; 3] = [Mode::Ncm, Mode::EthernetAndNcm, Mode::NcmDirect];

/// Checks everything and fills in defaults.
///
/// # Errors
/// All that is wrong, in the order of the file.
pub(super) fn check(config: &Config, text: &str) -> Result<Settings, Vec<Problem>> {
    let mut checker = Checker::new(text);
    let settings = settings(&mut checker, config);
    checker.finish(settings)
}

/// What can't be used is left out; the problem that it leaves keeps the settings from being used.
fn settings(checker: &mut Checker<'_>, config: &Config) -> Settings {
    let table = DeviceTable {
        bridge: config.bridge.clone(),
        mode: config.mode.clone(),
        on_stop: config.on_stop.clone(),
        driver: config.driver.clone(),
        isolated: config.isolated,
    };
    let default = device(checker, "", &table, &Device::default());
    Settings {
        allow: config.allow.as_ref().map(|listed| allow(checker, listed)),
        devices: devices(checker, config, &default),
        default,
        state_file: state_file(checker, config.state_file.as_ref()),
    }
}

fn device(checker: &mut Checker<'_>, prefix: &str, table: &DeviceTable, default: &Device) -> Device {
    let key = |name: &str| format!("{prefix}{name}");
    let endings = [("restore", Ending::Restore), ("keep", Ending::Keep)];
    let drivers = [("auto", Driver::Auto), ("kernel", Driver::Kernel), ("userspace", Driver::Userspace)];
    Device {
        bridge: bridge(checker, &key("bridge"), table.bridge.as_ref(), &default.bridge),
        mode: mode(checker, &key("mode"), table.mode.as_ref(), default.mode),
        on_stop: checker.word(&key("on-stop"), table.on_stop.as_ref(), &endings, default.on_stop),
        driver: checker.word(&key("driver"), table.driver.as_ref(), &drivers, default.driver),
        isolated: table.isolated.unwrap_or(default.isolated),
    }
}

fn bridge(checker: &mut Checker<'_>, key: &str, value: Option<&Spanned<String>>, default: &str) -> String {
    let Some(value) = value else { return default.to_owned() };
    bridge_name(value.get_ref()).unwrap_or_else(|text| {
        checker.wrong(&Place::of(key, value), text);
        default.to_owned()
    })
}

/// The name of a bridge.
///
/// # Errors
/// What was expected and what came, when no interface can have this name.
pub fn bridge_name(name: &str) -> Result<String, String> {
    // Source: Linux, dev_valid_name.
    let odd = |letter: char| letter.is_whitespace() || letter.is_control() || "/:".contains(letter);
    if name.is_empty() || name.len() > INTERFACE_NAME || name.contains(odd) || name == "." || name == ".." {
        return Err(format!(
            "the name of a bridge (1 to {INTERFACE_NAME} bytes) was expected, {name:?} came"
        ));
    }
    Ok(name.to_owned())
}

fn mode(checker: &mut Checker<'_>, key: &str, value: Option<&Spanned<i64>>, default: Mode) -> Mode {
    let Some(value) = value else { return default };
    let number = u16::try_from(*value.get_ref()).ok();
    let mode = number.and_then(Mode::from_number).filter(|mode| MODES.contains(mode));
    mode.unwrap_or_else(|| {
        let text = format!("a mode with NCM was expected: 3, 4 or 5; {} came", value.get_ref());
        checker.wrong(&Place::of(key, value), text);
        default
    })
}

fn allow(checker: &mut Checker<'_>, listed: &Spanned<Vec<Spanned<String>>>) -> BTreeSet<Udid> {
    if listed.get_ref().is_empty() {
        let text = "it is empty, so that no phone would be touched: leave the key out to allow every phone";
        checker.wrong(&Place::of("allow", listed), text);
    }
    let udids: Vec<_> =
        listed.get_ref().iter().map(|one| (Place::of("allow", one), one.get_ref().as_str())).collect();
    checker.distinct(&udids, str::parse::<Udid>).into_iter().collect()
}

fn devices(checker: &mut Checker<'_>, config: &Config, default: &Device) -> BTreeMap<Udid, Device> {
    let mut devices = BTreeMap::new();
    for (key, table) in &config.device {
        let device = device(checker, &format!("device.{key}."), table.get_ref(), default);
        match key.parse::<Udid>() {
            Err(error) => checker.wrong(&Place::of("device", table), error),
            Ok(udid) => {
                if devices.insert(udid, device).is_some() {
                    checker.wrong(&Place::of("device", table), format!("{key:?} is there twice"));
                }
            }
        }
    }
    devices
}

fn state_file(checker: &mut Checker<'_>, value: Option<&Spanned<PathBuf>>) -> Option<PathBuf> {
    let Some(value) = value else { return Some(settings::state_file()) };
    let path = value.get_ref();
    if path == Path::new(OFF) {
        return None;
    }
    if !path.is_absolute() || path.file_name().is_none() {
        let text = format!("an absolute path of a file or \"off\" was expected, {path:?} came");
        checker.wrong(&Place::of("state-file", value), text);
    }
    Some(path.clone())
}
