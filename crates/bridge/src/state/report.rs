//! The report. Names in it are stable; fields that are not known are absent.

use std::net::Ipv6Addr;
use std::time::Duration;

use iosmux_usb::{Mac, Udid};
use serde::{Deserialize, Serialize};

use crate::phone::{Machine, Reason, State};

/// The version of the report.
pub const SCHEMA: &str = "iosmux-bridge-state/1";
/// The name of the notice that a firewall drops what phone and VM send each other.
pub const DROPPED: &str = "dropped";

/// Every phone at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// The daemon's version; absent when no daemon told this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The daemon's process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// When it was told, as RFC 3339 has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated: Option<String>,
    /// The phones, by port.
    pub phones: Vec<Phone>,
}

/// A phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phone {
    /// The port: its name in sysfs, e.g. `1-2`.
    pub id: String,
    /// Its UDID, if its serial string is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub udid: Option<String>,
    /// Where it is, e.g. `joined`; absent in a list that no daemon made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Why>,
    /// What is worth knowing though it is joined.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notices: Vec<Why>,
    /// Its USB mode, told by its descriptors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<u8>,
    /// Its answer to GET_MODE, e.g. `3:3:3:0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode_reply: Option<String>,
    /// The configuration that is chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<u8>,
    /// The bridge that it is meant for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bridge: Option<String>,
    /// The interface that is or will be a port of the bridge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<Interface>,
    /// The iMACAddress of the function that carries RSD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imac_address: Option<String>,
    /// Where the phone is on that link, made from the iMACAddress. Source: protocol.md §1.7.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_address: Option<Ipv6Addr>,
    /// The kernel's network interfaces below the phone.
    pub netdevs: Vec<UsbInterface>,
    /// Bus and device number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<[u8; 2]>,
    /// In how many milliseconds something is tried again at the latest, counted from [`Report::updated`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_in_ms: Option<u64>,
}

/// A reason or a notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// Its name, e.g. `bridge-missing`.
    pub name: String,
    /// What was expected and what came.
    pub text: String,
    /// What a person can do.
    pub next_step: String,
}

/// The interface that is or will be a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whose driver made it.
    pub driver: InterfaceDriver,
}

/// Whose driver made an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InterfaceDriver {
    /// The kernel's.
    Kernel,
    /// Our own.
    Userspace,
}

/// A network interface of the kernel's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsbInterface {
    /// bInterfaceNumber of its control interface.
    pub interface: u8,
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
}

impl Report {
    /// A report of these phones.
    pub fn new(phones: Vec<Phone>) -> Self {
        Self { schema: SCHEMA.to_owned(), version: None, pid: None, updated: None, phones }
    }

    /// Whether it tells nothing new: what merely counts down is none.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let still = |report: &Self| {
            let mut phones = report.phones.clone();
            phones.iter_mut().for_each(|phone| phone.retry_in_ms = None);
            phones
        };
        self.version == other.version && still(self) == still(other)
    }

    /// Whether each phone is joined, or waits for something that has a name: the daemon is ready then.
    pub fn is_settled(&self) -> bool {
        let settled = [State::Joined, State::Held, State::Gone].map(State::name);
        self.phones.iter().all(|phone| phone.state.as_deref().is_some_and(|state| settled.contains(&state)))
    }
}

impl From<&Reason> for Why {
    fn from(reason: &Reason) -> Self {
        Self { name: reason.name().to_owned(), text: reason.text(), next_step: reason.next_step() }
    }
}

impl Phone {
    /// What a machine knows; `now` is on the machine's clock.
    pub fn of(id: &str, udid: Option<&Udid>, machine: &Machine, now: Duration) -> Self {
        let picture = machine.picture();
        let usb = picture.usb.as_ref();
        let kernel = usb.and_then(|usb| usb.interface());
        let userspace = machine.userspace();
        let port = picture.port.as_ref().filter(|port| Some(port.index) == userspace);
        let interface = port
            .map(|port| (port.index, port.name.clone(), InterfaceDriver::Userspace))
            .or_else(|| kernel.map(|one| (one.index, one.name.clone(), InterfaceDriver::Kernel)))
            .map(|(index, name, driver)| Interface { index, name, driver });
        let mac = kernel.map(|netdev| netdev.mac).or_else(|| port.map(|port| port.mac)).map(Mac);
        let waits = machine.deadline().filter(|_| machine.state() == State::Held);
        Self {
            id: id.to_owned(),
            udid: udid.map(ToString::to_string),
            state: Some(machine.state().name().to_owned()),
            reason: machine.reason().map(Why::from),
            notices: notices(machine),
            mode: usb.and_then(|usb| usb.layout.as_ref().ok()?.mode).map(iosmux_usb::Mode::number),
            mode_reply: machine.mode().map(|reply| reply.to_string()),
            configuration: usb.and_then(|usb| usb.configuration),
            bridge: Some(machine.wanted().bridge.clone()),
            interface,
            imac_address: mac.map(|mac| mac.to_string()),
            phone_address: mac.map(Mac::phone_address),
            netdevs: usb.map(netdevs).unwrap_or_default(),
            address: usb.map(|usb| [usb.address.bus, usb.address.device]),
            retry_in_ms: waits.map(|at| at.saturating_sub(now).as_millis().try_into().unwrap_or(u64::MAX)),
        }
    }

    /// What sysfs shows, without any daemon.
    pub fn seen(attached: &crate::ports::Attached) -> Self {
        let usb = crate::phone::Usb::read(attached);
        let kernel = usb.interface();
        let mac = kernel.map(|netdev| Mac(netdev.mac));
        let interface = kernel.map(|one| Interface {
            index: one.index,
            name: one.name.clone(),
            driver: InterfaceDriver::Kernel,
        });
        let udid = attached.udid();
        let broken = |text: &String| Why::from(&Reason::Descriptors { problem: text.clone() });
        let no_udid =
            udid.as_ref().err().map(|problem| Why::from(&Reason::NoUdid { problem: problem.clone() }));
        Self {
            id: attached.address.id.clone(),
            reason: usb.layout.as_ref().err().map(broken).or(no_udid),
            udid: udid.ok().map(|udid| udid.to_string()),
            state: None,
            notices: Vec::new(),
            mode: usb.layout.as_ref().ok().and_then(|layout| layout.mode).map(iosmux_usb::Mode::number),
            mode_reply: None,
            configuration: usb.configuration,
            bridge: None,
            interface,
            imac_address: mac.map(|mac| mac.to_string()),
            phone_address: mac.map(Mac::phone_address),
            netdevs: netdevs(&usb),
            address: Some([usb.address.bus, usb.address.device]),
            retry_in_ms: None,
        }
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        self.udid.as_deref().unwrap_or(&self.id)
    }
}

fn netdevs(usb: &crate::phone::Usb) -> Vec<UsbInterface> {
    let one = |netdev: &crate::ports::Netdev| UsbInterface {
        interface: netdev.interface,
        index: netdev.index,
        name: netdev.name.clone(),
    };
    usb.netdevs.iter().map(one).collect()
}

fn notices(machine: &Machine) -> Vec<Why> {
    let mut notices = Vec::new();
    if let Some(dropped) = machine.dropped() {
        notices.push(Why {
            name: DROPPED.to_owned(),
            text: format!(
                "br_netfilter hands the bridge's frames to the firewall, and {} drops what the phone and the VM send each \
                 other",
                dropped.chain
            ),
            next_step: "let that chain accept what stays on the bridge, or set net.bridge.bridge-nf-call-ip6tables to 0 if \
                        nothing on this computer filters bridged frames (docs/bridge.md)"
                .to_owned(),
        });
    }
    if machine.userspace().is_some() {
        notices.push(Why {
            name: "userspace-driver".to_owned(),
            text: "iosmux' own NCM driver carries the frames: the kernel's made no network interface for the private \
                   function, or the configuration says so"
                .to_owned(),
            next_step: "nothing has to be done; Linux 6.12 or newer is quicker".to_owned(),
        });
    }
    notices
}

/// All phones in one line for systemd, e.g. `2 phones, 1 on the bridge; 1-2 waits: there is no bridge virbr0`.
pub fn status_line(report: &Report) -> String {
    let gone = State::Gone.name();
    let here: Vec<&Phone> =
        report.phones.iter().filter(|phone| phone.state.as_deref() != Some(gone)).collect();
    let count =
        |state: State| here.iter().filter(|phone| phone.state.as_deref() == Some(state.name())).count();
    let mut line = match here.len() {
        0 => "no phone is plugged in".to_owned(),
        1 => format!("1 phone, {} on the bridge", count(State::Joined)),
        all => format!("{all} phones, {} on the bridge", count(State::Joined)),
    };
    for phone in here {
        if let Some(reason) = &phone.reason {
            line += &format!("; {} waits: {}", phone.name(), reason.text);
        }
    }
    line
}
