//! What the daemon runs with: everything checked, every default filled in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use iosmux_service::config::{self, ConfigError};
use iosmux_usb::{Mode, Udid};

use super::check;
use super::written::Config;
use crate::phone::{Driver, Reason, Wanted};

/// The bridge that phones join unless told otherwise: that of libvirt's default network.
pub const DEFAULT_BRIDGE: &str = "virbr0";
/// The state file's name, in the runtime directory.
const STATE_FILE: &str = "bridge.json";
/// The runtime directory where systemd made none.
const RUNTIME_DIRECTORY: &str = "/run/iosmux";

/// Everything that can be configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The only phones that are touched; none means every phone.
    pub allow: Option<BTreeSet<Udid>>,
    /// What holds for phones without a table of their own.
    pub default: Device,
    /// What holds for single phones.
    pub devices: BTreeMap<Udid, Device>,
    /// Where the state is written.
    pub state_file: Option<PathBuf>,
}

/// What is done with a phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The bridge that it joins.
    pub bridge: String,
    /// The mode that it is asked for.
    pub mode: Mode,
    /// What becomes of its mode when the daemon stops.
    pub on_stop: Ending,
    /// Which NCM driver carries its frames.
    pub driver: Driver,
    /// Whether it talks only to ports that are not isolated.
    pub isolated: bool,
}

/// What becomes of a phone's mode when the daemon stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ending {
    /// Mode 1, in which tethering works.
    #[default]
    Restore,
    /// It stays, so that the next start is quicker.
    Keep,
}

impl Default for Device {
    fn default() -> Self {
        Self {
            bridge: DEFAULT_BRIDGE.to_owned(),
            mode: Mode::Ncm,
            on_stop: Ending::default(),
            driver: Driver::default(),
            isolated: false,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            allow: None,
            default: Device::default(),
            devices: BTreeMap::new(),
            state_file: Some(state_file()),
        }
    }
}

/// The state file unless told otherwise: in `$RUNTIME_DIRECTORY`, which systemd sets, else in /run/iosmux.
pub fn state_file() -> PathBuf {
    let directories = std::env::var_os("RUNTIME_DIRECTORY").unwrap_or_default();
    // It may name several. Source: systemd.exec(5), RuntimeDirectory=.
    let first = std::env::split_paths(&directories).next().filter(|path| path.is_absolute());
    first.unwrap_or_else(|| PathBuf::from(RUNTIME_DIRECTORY)).join(STATE_FILE)
}

impl Settings {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`ConfigError`] with everything that is wrong.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text = config::read(file)?;
        Self::from_text(Some(file.display().to_string()), &text)
    }

    /// Checks a file's text; `file` is its name in errors.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with everything that is wrong.
    pub fn from_text(file: Option<String>, text: &str) -> Result<Self, ConfigError> {
        let checked = config::parse::<Config>(text)
            .map_err(|problem| vec![problem])
            .and_then(|config| check::check(&config, text));
        checked.map_err(|problems| ConfigError::Invalid { file, problems })
    }

    /// What is done with this phone.
    pub fn device(&self, udid: &Udid) -> &Device {
        self.devices.get(udid).unwrap_or(&self.default)
    }

    /// What is wanted of a phone, or of one whose serial string is no UDID.
    pub fn wanted(&self, udid: Result<&Udid, &str>) -> Wanted {
        let device = udid.map_or(&self.default, |udid| self.device(udid));
        let refusal = match udid {
            Err(problem) => Some(Reason::NoUdid { problem: problem.to_owned() }),
            Ok(udid) => {
                let left_out = self.allow.as_ref().is_some_and(|allow| !allow.contains(udid));
                left_out.then_some(Reason::NotAllowed)
            }
        };
        Wanted {
            refusal,
            bridge: device.bridge.clone(),
            mode: device.mode,
            driver: device.driver,
            isolated: device.isolated,
        }
    }

    /// Whether this phone's mode stays when the daemon stops.
    pub fn keeps(&self, udid: Option<&Udid>) -> bool {
        udid.map_or(&self.default, |udid| self.device(udid)).on_stop == Ending::Keep
    }
}
