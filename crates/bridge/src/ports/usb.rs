//! USB: phones as sysfs shows them, and open ones.

use std::fmt;
use std::future::Future;
use std::io;

use iosmux_usb::Udid;

use super::Changes;

/// The longest list of descriptors that is read, in bytes: a device descriptor and six configurations of at most 4 KiB.
pub const MAX_DESCRIPTORS: usize = 18 + 6 * 4096;

/// The place of a phone on USB; it changes with every enumeration, also at the same port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The name in sysfs, e.g. `1-2` or `3-1.4`: the port.
    pub id: String,
    /// The bus number.
    pub bus: u8,
    /// The device number on this bus: another one after each enumeration.
    pub device: u8,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (/dev/bus/usb/{:03}/{:03})", self.id, self.bus, self.device)
    }
}

/// A phone as sysfs shows it, without opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// Where.
    pub address: Address,
    /// The device descriptor and every configuration as the phone sent them (sysfs `descriptors`), at most [`MAX_DESCRIPTORS`].
    pub descriptors: Vec<u8>,
    /// `bConfigurationValue`; none or 0 while it is unconfigured.
    pub configuration: Option<u8>,
    /// The serial string's bytes as sysfs shows them: not validated, possibly padded with NULs.
    pub serial: Option<Vec<u8>>,
    /// The interfaces of the active configuration that a kernel driver is bound to.
    pub drivers: Vec<Bound>,
    /// The network interfaces below it.
    pub netdevs: Vec<Netdev>,
}

/// Apple's phones and tablets that are attached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Phones {
    /// Those that the kernel shows.
    pub attached: Vec<Attached>,
    /// Where those are that it does not show now: a request that a phone does not answer locks its attributes.
    pub late: Vec<Address>,
}

impl Attached {
    /// Its UDID.
    ///
    /// # Errors
    /// What its serial string is instead, in words that are fit for people and logs.
    pub fn udid(&self) -> Result<Udid, String> {
        let serial = self.serial.as_deref().unwrap_or_default();
        Udid::from_serial(&String::from_utf8_lossy(serial)).map_err(|error| error.to_string())
    }
}

/// A kernel driver bound to an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// `bInterfaceNumber`.
    pub interface: u8,
    /// The driver's name, e.g. `cdc_ncm` or `ipheth`; `usbfs` when a program claimed it.
    pub driver: String,
}

/// A network interface that a kernel driver made for a USB interface, found by its path in sysfs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Netdev {
    /// `bInterfaceNumber` of the control interface that it belongs to.
    pub interface: u8,
    /// The interface's index.
    pub index: u32,
    /// Its name now.
    pub name: String,
    /// Its MAC address: the phone's iMACAddress.
    pub mac: [u8; 6],
    /// Whether udev has finished with it, so that it is renamed no more; true where no udev runs.
    pub named: bool,
}

/// Who has an interface of a phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A kernel driver.
    Driver(String),
    /// A program that has claimed it through usbfs, or that is known to switch phones and runs.
    Process {
        /// Its number.
        pid: u32,
        /// Its name.
        name: String,
    },
    /// A program that can't be looked at from here.
    Unknown,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Driver(name) => write!(f, "the kernel driver {name}"),
            Self::Process { pid, name } => write!(f, "{name} (process {pid})"),
            Self::Unknown => f.write_str("another user's program (`sudo lsof /dev/bus/usb/*/*` names it)"),
        }
    }
}

/// Why USB did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum UsbError {
    /// It is not there (any more).
    #[error("the phone is not on USB any more")]
    Gone,
    /// The node can't be opened.
    #[error("{node} may not be opened by this user")]
    Denied {
        /// Which.
        node: String,
    },
    /// A right is missing.
    #[error("{action} needs CAP_NET_ADMIN")]
    Right {
        /// What was tried, e.g. `making a TAP interface`.
        action: &'static str,
    },
    /// An interface is claimed.
    #[error("the phone is in use by {}", named(.holders))]
    Busy {
        /// By whom; empty when nobody could be found.
        holders: Vec<Holder>,
    },
    /// The phone refused the request (a stall).
    #[error("the phone refused the request")]
    Refused,
    /// The phone did not answer in time.
    #[error("the phone did not answer the request in time")]
    Late,
    /// The system's words.
    #[error("{action}: {source}")]
    Io {
        /// What was tried, e.g. `setting the configuration`.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// Names of holders for people.
pub fn named(holders: &[Holder]) -> String {
    if holders.is_empty() {
        return "a program that could not be found".to_owned();
    }
    holders.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The USB of this computer.
pub trait UsbHost: Send + Sync + 'static {
    /// An open phone.
    type Device: UsbDevice;
    /// Phones that come, go, or change their configuration, drivers or network interfaces (udev's naming included).
    type Changes: Changes;

    /// Follows changes: by udev where it runs, by the kernel's own events or by polling where not.
    ///
    /// # Errors
    /// When nothing can be followed.
    fn changes(&self) -> io::Result<Self::Changes>;

    /// Apple's phones and tablets that are attached now (05ac, 0x1290 to 0x12af). Source: protocol.md §1.1.
    ///
    /// # Errors
    /// When sysfs can't be read; a device that goes while it is read is left out.
    fn list(&self) -> impl Future<Output = io::Result<Phones>> + Send;

    /// Opens the node. The handle stays good until the phone leaves this address.
    ///
    /// # Errors
    /// [`UsbError::Gone`] (also when another device has the address now), [`UsbError::Denied`].
    fn open(&self, address: &Address) -> impl Future<Output = Result<Self::Device, UsbError>> + Send;

    /// What is known to switch modes or configurations and is there: a running usbmuxd, the module
    /// apple_mfi_fastcharge, programs that have the phone's node open as far as they can be seen.
    fn meddlers(&self, address: &Address) -> impl Future<Output = Vec<Holder>> + Send;
}

/// An open phone; dropping it closes the node.
pub trait UsbDevice: Send + Sync + 'static {
    /// GET_MODE: the bytes of the answer, four as far as is known. Source: protocol.md §1.2.
    ///
    /// # Errors
    /// [`UsbError`]; a phone that does not know the request refuses.
    fn get_mode(&self) -> impl Future<Output = Result<Vec<u8>, UsbError>> + Send;

    /// SET_MODE: the bytes of the answer; one 0 is consent, after which it enumerates anew. Source: protocol.md §1.2.
    ///
    /// # Errors
    /// [`UsbError`]; one that goes while it answers is [`UsbError::Gone`].
    fn set_mode(&self, mode: u8) -> impl Future<Output = Result<Vec<u8>, UsbError>> + Send;

    /// Detaches every kernel driver, then chooses the configuration.
    ///
    /// # Errors
    /// [`UsbError::Busy`] with who still has an interface; drivers that were detached are attached again then.
    fn set_configuration(&self, value: u8) -> impl Future<Output = Result<(), UsbError>> + Send;

    /// A string descriptor in the phone's first language as text, not validated in any way.
    ///
    /// # Errors
    /// [`UsbError`].
    fn string(&self, index: u8) -> impl Future<Output = Result<String, UsbError>> + Send;
}
