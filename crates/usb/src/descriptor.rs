//! Descriptors: read, and built. Source: USB 2.0 §9.5, §9.6; CDC 1.2 §5.2.3; NCM 1.0 §5.2.

mod build;
mod cdc;
mod parse;

use thiserror::Error;

pub use build::{ConfigurationBuilder, association, endpoint, interface};
pub use cdc::{ETHERNET, Ethernet, Functional, HEADER, NCM, UNION};

/// bDescriptorType of a device. Source: USB 2.0 table 9-5.
pub const DEVICE: u8 = 1;
/// bDescriptorType of a configuration. Source: USB 2.0 table 9-5.
pub const CONFIGURATION: u8 = 2;
/// bDescriptorType of a string. Source: USB 2.0 table 9-5.
pub const STRING: u8 = 3;
/// bDescriptorType of an interface. Source: USB 2.0 table 9-5.
pub const INTERFACE: u8 = 4;
/// bDescriptorType of an endpoint. Source: USB 2.0 table 9-5.
pub const ENDPOINT: u8 = 5;
/// bDescriptorType of an interface association. Source: USB ECN Interface Association Descriptor.
pub const ASSOCIATION: u8 = 11;
/// bDescriptorType of a CDC functional descriptor of an interface. Source: CDC 1.2 table 12.
pub const CS_INTERFACE: u8 = 0x24;

/// Bytes of a device descriptor. Source: USB 2.0 table 9-8.
pub const DEVICE_LENGTH: usize = 18;
/// Configurations of a device at most. The bound is our own: phones have six (protocol.md §1.3).
pub const MAX_CONFIGURATIONS: usize = 16;
/// Bytes of a configuration at most. The bound is our own: the longest seen has 149 (fixtures).
pub const MAX_CONFIGURATION: usize = 4096;

/// A device descriptor. Source: USB 2.0 table 9-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// bcdUSB.
    pub usb: u16,
    /// bDeviceClass, bDeviceSubClass, bDeviceProtocol.
    pub class: [u8; 3],
    /// bMaxPacketSize0 in bytes.
    pub max_packet: u8,
    /// idVendor.
    pub vendor: u16,
    /// idProduct.
    pub product: u16,
    /// bcdDevice.
    pub release: u16,
    /// iManufacturer.
    pub manufacturer_string: u8,
    /// iProduct.
    pub product_string: u8,
    /// iSerialNumber.
    pub serial_string: u8,
    /// bNumConfigurations.
    pub configurations: u8,
}

/// A configuration with everything in it. Source: USB 2.0 table 9-10.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// bConfigurationValue: what SET_CONFIGURATION takes.
    pub value: u8,
    /// iConfiguration.
    pub name_string: u8,
    /// bmAttributes.
    pub attributes: u8,
    /// bMaxPower, in units of 2 mA.
    pub max_power: u8,
    /// Its interfaces, each alternate setting an entry of its own, in their order.
    pub settings: Vec<Setting>,
}

/// One alternate setting of an interface. Source: USB 2.0 table 9-12.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// bInterfaceNumber.
    pub interface: u8,
    /// bAlternateSetting.
    pub alternate: u8,
    /// bInterfaceClass.
    pub class: u8,
    /// bInterfaceSubClass.
    pub subclass: u8,
    /// bInterfaceProtocol.
    pub protocol: u8,
    /// iInterface.
    pub name_string: u8,
    /// Its endpoints.
    pub endpoints: Vec<Endpoint>,
    /// Its CDC functional descriptors, when it is a CDC control interface.
    pub functional: Vec<Functional>,
}

/// An endpoint. Source: USB 2.0 table 9-13.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// bEndpointAddress: bit 7 says to the host.
    pub address: u8,
    /// bmAttributes.
    pub attributes: u8,
    /// wMaxPacketSize in bytes.
    pub max_packet: u16,
    /// bInterval.
    pub interval: u8,
}

/// What an endpoint does. Source: USB 2.0 table 9-13 (bmAttributes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    /// Control.
    Control,
    /// Isochronous.
    Isochronous,
    /// Bulk.
    Bulk,
    /// Interrupt.
    Interrupt,
}

impl Endpoint {
    /// Whether it sends to the host.
    #[must_use]
    pub fn is_in(self) -> bool {
        self.address & 0x80 != 0
    }

    /// What it does.
    #[must_use]
    pub fn transfer(self) -> Transfer {
        match self.attributes & 3 {
            0 => Transfer::Control,
            1 => Transfer::Isochronous,
            2 => Transfer::Bulk,
            _ => Transfer::Interrupt,
        }
    }
}

impl Configuration {
    /// Whether there is usbmux in it. Source: protocol.md §1.4 (255/254/2).
    #[must_use]
    pub fn has_usbmux(&self) -> bool {
        self.settings.iter().any(|setting| (setting.class, setting.subclass) == (0xff, 0xfe))
    }

    /// One setting of an interface.
    #[must_use]
    pub fn setting(&self, interface: u8, alternate: u8) -> Option<&Setting> {
        self.settings.iter().find(|setting| (setting.interface, setting.alternate) == (interface, alternate))
    }
}

/// All that a device has, as sysfs' file `descriptors` gives it: the device's, then each configuration's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptors {
    /// The device's own.
    pub device: Device,
    /// Its configurations.
    pub configurations: Vec<Configuration>,
}

/// Bytes that are no descriptors, and where they went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DescriptorError {
    /// The bytes end too early.
    #[error("at byte {at} a {what} of {wanted} bytes was expected, {left} are left; replug the phone")]
    Truncated {
        /// Where, counted from the first byte.
        at: usize,
        /// Of what.
        what: &'static str,
        /// Bytes that it needs or claims.
        wanted: usize,
        /// Bytes that there are.
        left: usize,
    },
    /// A bLength below what its type has.
    #[error(
        "at byte {at} a {what} has a bLength of {length}, at least {least} was expected; replug the phone"
    )]
    Short {
        /// Where.
        at: usize,
        /// Of what.
        what: &'static str,
        /// bLength.
        length: u8,
        /// What the type has.
        least: u8,
    },
    /// Another type of descriptor than this place has.
    #[error("at byte {at} a {what} was expected, a descriptor of type {kind:#04x} came; replug the phone")]
    Type {
        /// Where.
        at: usize,
        /// What was expected.
        what: &'static str,
        /// bDescriptorType.
        kind: u8,
    },
    /// More than any phone has.
    #[error("at byte {at} more {what} came than the {most} that are read; report this phone")]
    TooMany {
        /// Where.
        at: usize,
        /// Of what.
        what: &'static str,
        /// The bound.
        most: usize,
    },
}
