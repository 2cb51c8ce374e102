//! Why a phone is where it is: what was expected, what came, where, and what to do next.

use std::time::Duration;

use iosmux_usb::Mode;

use crate::ports::{Holder, PortState, named};

/// Where TAP interfaces are made.
pub(crate) const TUN: &str = "/dev/net/tun";

/// Why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The configuration leaves it out.
    NotAllowed,
    /// Its serial string is no UDID.
    NoUdid {
        /// What is wrong with it, in words that are fit for people.
        problem: String,
    },
    /// Its descriptors make no sense.
    Descriptors {
        /// What is wrong with them.
        problem: String,
    },
    /// Its node can't be opened, or the bridge can't be changed, by this user.
    Denied {
        /// What was refused.
        what: String,
    },
    /// It refuses to tell its mode.
    TooOld,
    /// It refuses the mode.
    ModeRefused {
        /// Which.
        mode: u8,
        /// Its answer; none when it stalled.
        answer: Option<u8>,
        /// How often it was asked.
        attempts: u32,
    },
    /// It consents and does not change.
    NotSwitched {
        /// The mode.
        mode: u8,
        /// Whether it left the bus and came back without NCM; else it never left.
        came_back: bool,
        /// How often it was asked.
        attempts: u32,
    },
    /// It left the bus for the mode and did not come back.
    NotBack {
        /// The mode.
        mode: u8,
        /// How long was waited.
        after: Duration,
    },
    /// Another program takes the mode away, or the phone forgets it.
    SwitchedBack {
        /// The mode that it was asked for.
        mode: u8,
        /// Who may have done it.
        by: Vec<Holder>,
        /// How often.
        times: u32,
    },
    /// Another program chooses another configuration.
    ConfigurationTaken {
        /// What was chosen here.
        wanted: u8,
        /// What is chosen now.
        came: Option<u8>,
        /// Who may have done it.
        by: Vec<Holder>,
        /// How often.
        times: u32,
    },
    /// The configuration can't be chosen while somebody has an interface.
    Busy {
        /// Who.
        holders: Vec<Holder>,
    },
    /// The kernel made no network interface.
    NoNetdev {
        /// The control interface.
        control: u8,
    },
    /// There is no bridge of this name.
    BridgeMissing {
        /// Its name.
        bridge: String,
    },
    /// An interface that is no bridge has the name.
    NotABridge {
        /// The name.
        bridge: String,
    },
    /// The bridge is down.
    BridgeDown {
        /// Its name.
        bridge: String,
    },
    /// The interface belongs to something else.
    OtherBridge {
        /// The interface.
        interface: String,
        /// The index of what has it.
        master: u32,
    },
    /// Something takes the interface out of the bridge again and again.
    TakenOut {
        /// The interface.
        interface: String,
        /// How often.
        times: u32,
    },
    /// The bridge waits before it forwards.
    ForwardDelay {
        /// Its name.
        bridge: String,
        /// How long each of two phases takes.
        delay: Duration,
    },
    /// The bridge does not forward.
    NotForwarding {
        /// The interface.
        interface: String,
        /// What the port does.
        state: Option<PortState>,
    },
    /// Something fails again and again.
    Failing {
        /// What.
        what: String,
        /// How it fails.
        text: String,
        /// How often in a row.
        attempts: u32,
    },
    /// Mode 1 could not be had back.
    NotRestored {
        /// Why.
        text: String,
    },
}

impl Reason {
    /// A name for programs, e.g. `bridge-missing`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotAllowed => "not-allowed",
            Self::NoUdid { .. } => "no-udid",
            Self::Descriptors { .. } => "descriptors",
            Self::Denied { .. } => "denied",
            Self::TooOld => "too-old",
            Self::ModeRefused { .. } => "mode-refused",
            Self::NotSwitched { .. } => "not-switched",
            Self::NotBack { .. } => "not-back",
            Self::SwitchedBack { .. } => "switched-back",
            Self::ConfigurationTaken { .. } => "configuration-taken",
            Self::Busy { .. } => "busy",
            Self::NoNetdev { .. } => "no-netdev",
            Self::BridgeMissing { .. } => "bridge-missing",
            Self::NotABridge { .. } => "not-a-bridge",
            Self::BridgeDown { .. } => "bridge-down",
            Self::OtherBridge { .. } => "other-bridge",
            Self::TakenOut { .. } => "taken-out",
            Self::ForwardDelay { .. } => "forward-delay",
            Self::NotForwarding { .. } => "not-forwarding",
            Self::Failing { .. } => "failing",
            Self::NotRestored { .. } => "not-restored",
        }
    }

    /// What was expected and what came.
    pub fn text(&self) -> String {
        match self {
            Self::NotAllowed => "the configuration's `allow` does not list it".to_owned(),
            Self::NoUdid { problem } => format!("its USB serial string is none: {problem}"),
            Self::Descriptors { problem } => format!("its USB descriptors make no sense: {problem}"),
            Self::Denied { what } => what.clone(),
            Self::TooOld => {
                "it was asked for its USB mode (GET_MODE) and refused, as phones with iOS 10.3 or older do, and phones that are \
                 stuck"
                    .to_owned()
            }
            Self::ModeRefused { mode, answer, attempts } => {
                let came = match answer {
                    Some(answer) => format!("answered {answer:#04x} instead of 0"),
                    None => "refused the request".to_owned(),
                };
                format!("it was asked {} for mode {mode} and {came}", times(*attempts))
            }
            Self::NotSwitched { mode, came_back, attempts } => {
                let came = if *came_back {
                    "came back without an NCM configuration"
                } else {
                    "did not leave the bus for it"
                };
                format!("it consented {} to mode {mode} and {came}", times(*attempts))
            }
            Self::NotBack { mode, after } => {
                format!("it left USB for mode {mode} and did not come back within {} s", after.as_secs())
            }
            Self::SwitchedBack { by, times: count, .. } => {
                format!("it was in the mode with NCM and went back to another {}{}", times(*count), suspects(by))
            }
            Self::ConfigurationTaken { wanted, came, by, times: count } => format!(
                "configuration {wanted} was chosen and is {} now, {}{}",
                came.map_or_else(|| "none".to_owned(), |came| came.to_string()),
                times(*count),
                suspects(by)
            ),
            Self::Busy { holders } => {
                format!("its NCM configuration can't be chosen while {} has an interface of it", named(holders))
            }
            Self::NoNetdev { control } => format!(
                "the kernel made no network interface for the NCM function at interface {control}, which has no status \
                 endpoint: its cdc_ncm is too old for it, or not loaded"
            ),
            Self::BridgeMissing { bridge } => format!("there is no bridge {bridge}"),
            Self::NotABridge { bridge } => {
                format!("a bridge named {bridge} was expected, and the interface of that name is none")
            }
            Self::BridgeDown { bridge } => format!("the bridge {bridge} is down"),
            Self::OtherBridge { interface, master } => {
                format!("{interface} belongs to another bridge or bond (interface {master})")
            }
            Self::TakenOut { interface, times: count } => {
                format!("{interface} joined the bridge and was taken out of it {}", times(*count))
            }
            Self::ForwardDelay { bridge, delay } => format!(
                "{bridge} has STP on and lets a new port wait twice {} s before frames pass",
                delay.as_secs()
            ),
            Self::NotForwarding { interface, state } => match state {
                Some(PortState::Blocking) => {
                    format!("the bridge's spanning tree blocks {interface}: it takes it for a loop")
                }
                _ => format!("{interface} has no carrier: the phone does not take the link up"),
            },
            Self::Failing { what, text, attempts } => format!("{what} failed {}: {text}", times(*attempts)),
            Self::NotRestored { text } => format!("it was not given back in mode 1: {text}"),
        }
    }

    /// What a person can do.
    pub fn next_step(&self) -> String {
        match self {
            Self::NotAllowed => "add its UDID to `allow` if it is meant to be here, and reload".to_owned(),
            Self::NoUdid { .. } | Self::Descriptors { .. } => {
                "plug it in again; if that does not help, open an issue with what `iosmux-bridge list --json` prints".to_owned()
            }
            Self::Denied { what } if what.contains("CAP_NET_ADMIN") => {
                "run it from its unit, which grants that, or with sudo".to_owned()
            }
            Self::Denied { what } if what.contains(TUN) => {
                format!(
                    "let this user open it, as udev lets everybody (`chmod 0666 {TUN}`), and its unit (DeviceAllow={TUN} rw), \
                     or run with sudo; it is tried again by itself"
                )
            }
            Self::Failing { text, .. } if text.contains(TUN) => {
                "load its module (`modprobe tun`); it is tried again by itself".to_owned()
            }
            Self::Denied { .. } => {
                "install the udev rule of iosmux (docs/bridge.md) and plug it in again, or run with sudo; it is tried again by \
                 itself"
                    .to_owned()
            }
            Self::TooOld => "restart it and plug it in again; a tunnel needs iOS 17 or newer".to_owned(),
            Self::ModeRefused { .. } => {
                "unlock it, plug it in again, and restart it if it still refuses".to_owned()
            }
            Self::NotSwitched { .. } | Self::NotBack { .. } => {
                "plug it in again, without a hub if there is one; restart it if that does not help".to_owned()
            }
            Self::SwitchedBack { mode, by, .. } => switched_back(*mode, by),
            Self::ConfigurationTaken { by, .. } => configuration_taken(by),
            Self::Busy { .. } => "stop that program; it is tried again by itself".to_owned(),
            Self::NoNetdev { .. } => {
                "set `driver = \"auto\"`, so that iosmux' own driver carries the frames, or use Linux 6.12 or newer".to_owned()
            }
            Self::BridgeMissing { bridge } => {
                format!("make it, e.g. start its network (`virsh net-start default` for virbr0) or `ip link add {bridge} type bridge`; it is joined then")
            }
            Self::NotABridge { .. } => {
                "name a bridge in the configuration and reload, or start `up` with --bridge; `ip link show type bridge` lists \
                 those that are there"
                    .to_owned()
            }
            Self::BridgeDown { bridge } => format!("`ip link set {bridge} up`; it is joined then"),
            Self::OtherBridge { interface, .. } => {
                format!("`ip link set {interface} nomaster`, and keep other programs from taking it")
            }
            Self::TakenOut { interface, .. } => {
                format!("keep other programs from managing {interface}, e.g. NetworkManager (unmanaged-devices)")
            }
            Self::ForwardDelay { bridge, .. } => {
                format!("wait, or `ip link set {bridge} type bridge stp_state 0` if the bridge has no loops")
            }
            Self::NotForwarding { state: Some(PortState::Blocking), .. } => {
                "remove the loop, or switch STP off for this bridge".to_owned()
            }
            Self::NotForwarding { .. } => "unlock the phone, or plug it in again".to_owned(),
            Self::Failing { .. } => "it is tried again by itself; plug it in again if that does not help".to_owned(),
            Self::NotRestored { .. } => "plug it in again: that gives it back as well".to_owned(),
        }
    }
}

fn times(count: u32) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        count => format!("{count} times"),
    }
}

fn suspects(by: &[Holder]) -> String {
    if by.is_empty() {
        return "; no program that does so was found".to_owned();
    }
    format!("; {} may have done it", named(by))
}

fn is_program(by: &[Holder], name: &str) -> bool {
    by.iter().any(|holder| matches!(holder, Holder::Process { name: came, .. } if came.starts_with(name)))
}

fn switched_back(mode: u8, by: &[Holder]) -> String {
    if is_program(by, "usbmuxd") && mode != Mode::Ncm.number() {
        return format!(
            "stop usbmuxd, which leaves no phone in mode {mode} (`systemctl stop usbmuxd`), or set `mode = 3` and reload; then \
             plug the phone in again"
        );
    }
    if is_program(by, "usbmuxd") {
        return "set USBMUXD_DEFAULT_DEVICE_MODE=3 for usbmuxd, or stop it; then plug the phone in again"
            .to_owned();
    }
    "stop the program that switches it, then plug it in again; reload or restart iosmux-bridge for another attempt".to_owned()
}

fn configuration_taken(by: &[Holder]) -> String {
    let fastcharge = |holder: &Holder| matches!(holder, Holder::Driver(name) if name.contains("fastcharge"));
    if by.iter().any(fastcharge) {
        return "unload apple_mfi_fastcharge (`modprobe -r apple_mfi_fastcharge`) and plug the phone in again".to_owned();
    }
    if is_program(by, "usbmuxd") {
        return "stop usbmuxd, or keep its udev rule from the phone (docs/bridge.md); then plug it in again"
            .to_owned();
    }
    "stop the program that chooses another configuration, then plug it in again".to_owned()
}

#[cfg(test)]
#[path = "reason_tests.rs"]
mod tests;
