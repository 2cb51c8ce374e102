//! Open phones, by nusb: the one place that knows it.

pub(crate) mod bulk;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use ::nusb::transfer::{ControlIn, ControlOut, ControlType, Recipient, TransferError};
use ::nusb::{ErrorKind, MaybeFuture as _};
use iosmux_usb::descriptor::STRING;
use iosmux_usb::mode::{GET_MODE, SET_MODE};
use iosmux_usb::setup::{IN_VENDOR_DEVICE, Setup};
use iosmux_usb::string;
use nix::libc;
use tokio::time::sleep;

use super::aside::Aside;
use super::holders::{USBFS, node};
use super::{System, in_time};
use crate::ports::{Address, Bound, UsbDevice, UsbError};
use crate::privileges::Access;

/// The longest wait for the answer to a request. A phone answers in a few ms; one that boots may take longer.
const ANSWER: Duration = Duration::from_secs(1);
/// How long the kernel may take to see that a phone is gone after a transfer has failed: it asks the hub.
const SEEN_GONE: Duration = Duration::from_millis(500);

/// An open phone. Its node stays open, for all uses of it, until the last of its copies is dropped.
///
/// The kernel lets one request to a phone happen at a time, and makes whoever submits another one, or closes the node, wait
/// for that: all of it is done in threads that may block.
#[derive(Debug, Clone)]
pub struct Device {
    handle: Arc<Aside<::nusb::Device>>,
    address: Address,
    system: Arc<System>,
}

impl Device {
    pub(super) async fn open(system: Arc<System>, address: Address) -> Result<Self, UsbError> {
        let opening = move || {
            let handle = Arc::new(Aside::new(open(&system.access, &address)?));
            // Between the look at sysfs and the open another device may have got the number.
            if !system.sysfs.is_at(&address) {
                return Err(UsbError::Gone);
            }
            Ok(Self { handle, address, system })
        };
        in_time(opening).await.map_err(late("opening the phone"))?
    }

    /// The same phone by a handle of its own, which knows the configuration that is active now.
    pub(crate) async fn again(&self) -> Result<Self, UsbError> {
        Self::open(Arc::clone(&self.system), self.address.clone()).await
    }

    fn handle(&self) -> Result<&::nusb::Device, UsbError> {
        self.handle.get().ok_or(UsbError::Gone)
    }

    /// A request with an answer.
    pub(crate) async fn ask(&self, action: &'static str, setup: Setup) -> Result<Vec<u8>, UsbError> {
        let Setup { request_type, request, value, index, length } = setup;
        let (control_type, recipient) = parts(request_type);
        let asked = ControlIn { control_type, recipient, request, value, index, length };
        let this = self.clone();
        let asking = move || Ok(this.handle()?.control_in(asked, ANSWER).wait());
        let answered = in_time(asking).await.map_err(late(action))??;
        self.outcome(action, answered).await
    }

    /// A request with data for the phone.
    pub(crate) async fn tell(&self, action: &'static str, setup: Setup, data: &[u8]) -> Result<(), UsbError> {
        let Setup { request_type, request, value, index, .. } = setup;
        let (control_type, recipient) = parts(request_type);
        let (this, data) = (self.clone(), data.to_vec());
        let telling = move || {
            let told = ControlOut { control_type, recipient, request, value, index, data: &data };
            Ok(this.handle()?.control_out(told, ANSWER).wait())
        };
        let answered = in_time(telling).await.map_err(late(action))??;
        self.outcome(action, answered).await
    }

    async fn outcome<T>(
        &self,
        action: &'static str,
        result: Result<T, TransferError>,
    ) -> Result<T, UsbError> {
        match result {
            Ok(answer) => Ok(answer),
            Err(TransferError::Stall) => Err(UsbError::Refused),
            Err(TransferError::Disconnected) => Err(UsbError::Gone),
            Err(TransferError::Cancelled) => Err(UsbError::Late),
            Err(error) => Err(self.fault(action, error.into()).await),
        }
    }

    /// A transfer that failed on the wire: mostly because the phone is gone, which the kernel sees a moment later.
    pub(crate) async fn fault(&self, action: &'static str, source: io::Error) -> UsbError {
        const LOOKS: u32 = 10;
        for _ in 0..LOOKS {
            if !self.system.sysfs.is_at(&self.address) {
                return UsbError::Gone;
            }
            sleep(SEEN_GONE / LOOKS).await;
        }
        UsbError::Io { action, source }
    }

    /// Claims an interface, away from a kernel driver but never from a program. It is the kernel's again when it is dropped.
    async fn claim(&self, interface: u8) -> Result<::nusb::Interface, UsbError> {
        let this = self.clone();
        let claiming = move || {
            let claimed = this.handle()?.detach_and_claim_interface(interface).wait();
            claimed.map_err(|error| this.refused("claiming an interface", &error))
        };
        in_time(claiming).await.map_err(late("claiming an interface"))?
    }

    /// See [`UsbDevice::set_configuration`]; blocks.
    fn choose(&self, value: u8) -> Result<(), UsbError> {
        if self.system.sysfs.configuration(&self.address.id) == Some(value) {
            // Choosing it once more would reset it.
            return Ok(());
        }
        let bound = self.system.sysfs.drivers(&self.address.id);
        // Detaching takes interfaces away from programs as well: theirs are left alone, and they are named.
        if bound.iter().any(|bound| bound.driver == USBFS) {
            return Err(self.busy(&bound));
        }
        let handle = self.handle()?;
        let detach = |bound: &&Bound| match handle.detach_kernel_driver(bound.interface) {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(%error, interface = bound.interface, driver = bound.driver, "not detached");
                false
            }
        };
        let detached: Vec<_> = bound.iter().filter(detach).collect();
        handle.set_configuration(value).wait().map_err(|error| {
            let error = self.refused("setting the configuration", &error);
            for bound in &detached {
                // A driver of two interfaces has taken the second one back with the first.
                let attached = handle.attach_kernel_driver(bound.interface);
                tracing::debug!(?attached, interface = bound.interface, driver = bound.driver, "given back");
            }
            error
        })
    }

    /// Who has interfaces of it, after the kernel has said that somebody has.
    fn busy(&self, bound: &[Bound]) -> UsbError {
        let ours = self.system.access.processes();
        UsbError::Busy { holders: self.system.processes.holders(&self.address, bound, &ours) }
    }

    fn refused(&self, action: &'static str, error: &::nusb::Error) -> UsbError {
        match error.kind() {
            ErrorKind::Disconnected => UsbError::Gone,
            ErrorKind::Busy => self.busy(&self.system.sysfs.drivers(&self.address.id)),
            _ => UsbError::Io { action, source: io_error(error) },
        }
    }
}

impl UsbDevice for Device {
    async fn get_mode(&self) -> Result<Vec<u8>, UsbError> {
        self.ask("asking for the mode", GET_MODE).await
    }

    async fn set_mode(&self, mode: u8) -> Result<Vec<u8>, UsbError> {
        // Source: protocol.md §1.2 (the mode is wIndex; one byte comes).
        self.ask("setting the mode", Setup::new(IN_VENDOR_DEVICE, SET_MODE, 0, mode.into(), 1)).await
    }

    async fn set_configuration(&self, value: u8) -> Result<(), UsbError> {
        let this = self.clone();
        in_time(move || this.choose(value)).await.map_err(late("setting the configuration"))?
    }

    async fn string(&self, index: u8) -> Result<String, UsbError> {
        const ACTION: &str = "reading a string";
        let languages = self.ask(ACTION, Setup::get_descriptor(STRING, 0, 0, 255)).await?;
        let language = match languages[..] {
            [_, STRING, low, high, ..] => u16::from_le_bytes([low, high]),
            _ => string::ENGLISH,
        };
        let bytes = self.ask(ACTION, Setup::get_descriptor(STRING, index, language, 255)).await?;
        let wrong = |error| UsbError::Io {
            action: ACTION,
            source: io::Error::new(io::ErrorKind::InvalidData, error),
        };
        string::decode(&bytes).map_err(wrong)
    }
}

/// Opens the node.
fn open(access: &Access, address: &Address) -> Result<::nusb::Device, UsbError> {
    let denied = || UsbError::Denied { node: node(address).display().to_string() };
    let action = "opening the phone";
    // Not by the library's list of devices, for which it reads the strings of them all: each may be locked.
    let opened = match access {
        Access::Directly => File::options().read(true).write(true).open(node(address)).map(OwnedFd::from),
        Access::Through(opener) => opener.open(address.bus, address.device),
    };
    let file = opened.map_err(|source| match (source.kind(), source.raw_os_error()) {
        // Not there, or another device's.
        (io::ErrorKind::NotFound | io::ErrorKind::InvalidInput, _) | (_, Some(libc::ENODEV)) => {
            UsbError::Gone
        }
        (io::ErrorKind::PermissionDenied, _) => denied(),
        (io::ErrorKind::WouldBlock, _) => UsbError::Late,
        _ => UsbError::Io { action, source },
    })?;
    ::nusb::Device::from_fd(file).wait().map_err(|error| match error.kind() {
        ErrorKind::Disconnected | ErrorKind::NotFound => UsbError::Gone,
        ErrorKind::PermissionDenied => denied(),
        _ => UsbError::Io { action, source: io_error(&error) },
    })
}

/// Kind and recipient. Source: USB 2.0 table 9-2 (bits 5 and 6, bits 0 to 4).
fn parts(request_type: u8) -> (ControlType, Recipient) {
    let kind = match (request_type >> 5) & 3 {
        0 => ControlType::Standard,
        1 => ControlType::Class,
        _ => ControlType::Vendor,
    };
    let recipient = match request_type & 0x1f {
        0 => Recipient::Device,
        1 => Recipient::Interface,
        2 => Recipient::Endpoint,
        _ => Recipient::Other,
    };
    (kind, recipient)
}

/// The system's number where there is one, so that people read its words.
fn io_error(error: &::nusb::Error) -> io::Error {
    match error.os_error().and_then(|code| i32::try_from(code).ok()) {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::other(error.to_string()),
    }
}

fn late(action: &'static str) -> impl Fn(io::Error) -> UsbError {
    move |source| match source.kind() {
        io::ErrorKind::TimedOut => UsbError::Late,
        _ => UsbError::Io { action, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iosmux_usb::setup::{IN_CLASS_INTERFACE, IN_DEVICE, OUT_CLASS_INTERFACE, OUT_ENDPOINT};

    #[test]
    fn request_types_are_taken_apart() {
        assert_eq!(parts(IN_VENDOR_DEVICE), (ControlType::Vendor, Recipient::Device));
        assert_eq!(parts(IN_CLASS_INTERFACE), (ControlType::Class, Recipient::Interface));
        assert_eq!(parts(OUT_CLASS_INTERFACE), (ControlType::Class, Recipient::Interface));
        assert_eq!(parts(IN_DEVICE), (ControlType::Standard, Recipient::Device));
        assert_eq!(parts(OUT_ENDPOINT), (ControlType::Standard, Recipient::Endpoint));
    }

    #[test]
    fn a_wait_that_was_too_long_is_no_error_of_the_system() {
        assert!(matches!(late("x")(io::ErrorKind::TimedOut.into()), UsbError::Late));
        assert!(matches!(late("x")(io::Error::other("y")), UsbError::Io { action: "x", .. }));
    }
}
