//! What the fleet is told before it begins.

use std::collections::{BTreeMap, BTreeSet};

use iosmux_capture::Recorder;
use iosmux_pairing::store::Store;
use iosmux_tunnel::Transport;
use iosmux_usb::Udid;
use zeroize::Zeroizing;

use crate::config::SuspendRemoted;
use crate::model::same_udid;
use crate::phone::Policy;

/// The name of tunnels' interfaces. Not `tun…`: pymobiledevice3 passes over those. Source: platform.md (peers).
const INTERFACE: &str = "iosmux-tun%d";

/// Who this host is and what it may do.
#[derive(Debug, Clone)]
pub struct FleetConfig {
    /// What phones know this host by; its UUID and its identifier are made from it.
    pub host_name: String,
    /// The pair records.
    pub store: Store,
    /// How long things may take.
    pub policy: Policy,
    /// Whether phones may be asked to trust this host without a person's command.
    pub may_pair: bool,
    /// The phones that are allowed; none means all.
    pub allow: Option<BTreeSet<Udid>>,
    /// The transport of a phone, by UDID, where the default is not wanted.
    pub transports: BTreeMap<Udid, Transport>,
    /// What to type when a device shows a PIN.
    pub pin: Option<Zeroizing<String>>,
    /// The name of tunnels' interfaces, as a pattern; none where the system chooses.
    pub tunnel_interface: Option<String>,
    /// Whether Apple's remoted is suspended while the link to a phone is used. Needs the command of
    /// [`remoted::watchdog`](crate::remoted::watchdog) in this program.
    pub suspend_remoted: SuspendRemoted,
    /// Records what is said to phones.
    pub recorder: Option<Recorder>,
}

impl FleetConfig {
    /// All phones are allowed and may be asked.
    pub fn new(host_name: impl Into<String>, store: Store) -> Self {
        Self {
            host_name: host_name.into(),
            store,
            policy: Policy::default(),
            may_pair: true,
            allow: None,
            transports: BTreeMap::new(),
            pin: None,
            tunnel_interface: cfg!(target_os = "linux").then(|| INTERFACE.to_owned()),
            suspend_remoted: SuspendRemoted::Never,
            recorder: None,
        }
    }

    /// Whether a phone is allowed.
    pub(crate) fn allows(&self, udid: &str) -> bool {
        self.allow.as_ref().is_none_or(|allowed| allowed.iter().any(|one| same_udid(one.as_str(), udid)))
    }

    /// The transport that is wanted for a phone.
    pub(crate) fn transport(&self, udid: &str) -> Option<Transport> {
        self.transports.iter().find(|(one, _)| same_udid(one.as_str(), udid)).map(|(_, transport)| *transport)
    }
}
