//! Why a phone is where it is: what was expected, what came, where, and what to do next.

use std::time::Duration;

use crate::ports::{Holder, PortState, named};

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
            Self::SwitchedBack { by, times: count } => {
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
            Self::SwitchedBack { by, .. } => switched_back(by),
            Self::ConfigurationTaken { by, .. } => configuration_taken(by),
            Self::Busy { .. } => "stop that program; it is tried again by itself".to_owned(),
            Self::NoNetdev { .. } => {
                "set `driver = \"auto\"`, so that iosmux' own driver carries the frames, or use Linux 6.12 or newer".to_owned()
            }
            Self::BridgeMissing { bridge } => {
                format!("make it, e.g. start its network (`virsh net-start default` for virbr0) or `ip link add {bridge} type bridge`; it is joined then")
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

fn switched_back(by: &[Holder]) -> String {
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
mod tests {
    use super::*;

    fn usbmuxd() -> Vec<Holder> {
        vec![Holder::Process { pid: 812, name: "usbmuxd".to_owned() }]
    }

    fn all() -> Vec<Reason> {
        let bridge = || "virbr0".to_owned();
        let interface = || "iosmux0".to_owned();
        let fastcharge = || vec![Holder::Driver("apple_mfi_fastcharge".to_owned())];
        let udid = iosmux_usb::Udid::from_serial("../\u{1b}").unwrap_err().to_string();
        let descriptors = iosmux_usb::Descriptors::parse(&[18, 1]).unwrap_err().to_string();
        vec![
            Reason::NotAllowed,
            Reason::NoUdid { problem: udid },
            Reason::Descriptors { problem: descriptors },
            Reason::Denied { what: "/dev/bus/usb/001/004 may not be opened".to_owned() },
            Reason::Denied { what: "joining the bridge needs CAP_NET_ADMIN".to_owned() },
            Reason::TooOld,
            Reason::ModeRefused { mode: 3, answer: Some(4), attempts: 3 },
            Reason::ModeRefused { mode: 3, answer: None, attempts: 3 },
            Reason::NotSwitched { mode: 3, came_back: false, attempts: 3 },
            Reason::NotSwitched { mode: 3, came_back: true, attempts: 3 },
            Reason::NotBack { mode: 3, after: Duration::from_secs(10) },
            Reason::SwitchedBack { by: usbmuxd(), times: 3 },
            Reason::SwitchedBack { by: Vec::new(), times: 3 },
            Reason::ConfigurationTaken { wanted: 5, came: Some(1), by: fastcharge(), times: 3 },
            Reason::ConfigurationTaken { wanted: 5, came: Some(4), by: usbmuxd(), times: 3 },
            Reason::ConfigurationTaken { wanted: 5, came: None, by: Vec::new(), times: 3 },
            Reason::Busy { holders: usbmuxd() },
            Reason::Busy { holders: vec![Holder::Driver("ipheth".to_owned()), Holder::Unknown] },
            Reason::NoNetdev { control: 4 },
            Reason::BridgeMissing { bridge: bridge() },
            Reason::BridgeDown { bridge: bridge() },
            Reason::OtherBridge { interface: interface(), master: 7 },
            Reason::TakenOut { interface: interface(), times: 3 },
            Reason::ForwardDelay { bridge: bridge(), delay: Duration::from_secs(15) },
            Reason::NotForwarding { interface: interface(), state: Some(PortState::Blocking) },
            Reason::NotForwarding { interface: interface(), state: Some(PortState::Disabled) },
            Reason::Failing {
                what: "asking for its mode".to_owned(),
                text: "there was no answer in time".to_owned(),
                attempts: 5,
            },
            Reason::NotRestored { text: "the phone refused".to_owned() },
        ]
    }

    #[test]
    fn every_reason_says_what_came_and_what_to_do() {
        let told: Vec<String> = all()
            .iter()
            .map(|one| {
                let step = one.next_step();
                format!("{}: {}\n    Next: {step}", one.name(), one.text())
            })
            .collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn no_reason_is_left_out() {
        let mut names: Vec<_> = all().iter().map(Reason::name).collect();
        names.sort_unstable();
        names.dedup();
        let source = include_str!("reason.rs");
        let (_, rest) = source.split_once("pub fn name").unwrap();
        let (body, _) = rest.split_once("/// What was expected").unwrap();
        assert_eq!(names.len(), body.matches("=> \"").count(), "each name has an example above");
    }
}
