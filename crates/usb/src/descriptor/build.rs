//! Building descriptors.

use super::{ASSOCIATION, CONFIGURATION, DEVICE, Device, ENDPOINT, INTERFACE};

impl Device {
    /// The 18 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; super::DEVICE_LENGTH] {
        let [usb_low, usb_high] = self.usb.to_le_bytes();
        let [class, subclass, protocol] = self.class;
        let [vendor_low, vendor_high] = self.vendor.to_le_bytes();
        let [product_low, product_high] = self.product.to_le_bytes();
        let [release_low, release_high] = self.release.to_le_bytes();
        [
            18,
            DEVICE,
            usb_low,
            usb_high,
            class,
            subclass,
            protocol,
            self.max_packet,
            vendor_low,
            vendor_high,
            product_low,
            product_high,
            release_low,
            release_high,
            self.manufacturer_string,
            self.product_string,
            self.serial_string,
            self.configurations,
        ]
    }
}

/// A configuration being built; its lengths are counted at the end.
#[derive(Debug, Clone)]
pub struct ConfigurationBuilder {
    value: u8,
    name_string: u8,
    attributes: u8,
    max_power: u8,
    interfaces: u8,
    body: Vec<u8>,
}

impl ConfigurationBuilder {
    /// An empty one. `max_power` is in units of 2 mA.
    #[must_use]
    pub fn new(value: u8, name_string: u8, attributes: u8, max_power: u8) -> ConfigurationBuilder {
        ConfigurationBuilder { value, name_string, attributes, max_power, interfaces: 0, body: Vec::new() }
    }

    /// Appends a descriptor; interfaces are counted by their first alternate setting.
    #[must_use]
    pub fn with(mut self, descriptor: &[u8]) -> ConfigurationBuilder {
        if let [_, INTERFACE, _, 0, ..] = descriptor {
            self.interfaces = self.interfaces.saturating_add(1);
        }
        self.body.extend_from_slice(descriptor);
        self
    }

    /// The bytes. Source: USB 2.0 table 9-10.
    #[must_use]
    pub fn build(self) -> Vec<u8> {
        let total = u16::try_from(self.body.len().saturating_add(9)).unwrap_or(u16::MAX);
        let [low, high] = total.to_le_bytes();
        let mut bytes = vec![
            9,
            CONFIGURATION,
            low,
            high,
            self.interfaces,
            self.value,
            self.name_string,
            self.attributes,
            self.max_power,
        ];
        bytes.extend(self.body);
        bytes
    }
}

/// An interface descriptor: number and alternate, count of endpoints, class triple, name. Source: USB 2.0 table 9-12.
#[must_use]
pub fn interface(
    (number, alternate): (u8, u8),
    endpoints: u8,
    [class, subclass, protocol]: [u8; 3],
    name_string: u8,
) -> [u8; 9] {
    [9, INTERFACE, number, alternate, endpoints, class, subclass, protocol, name_string]
}

/// An endpoint descriptor. Source: USB 2.0 table 9-13.
#[must_use]
pub fn endpoint(address: u8, attributes: u8, max_packet: u16, interval: u8) -> [u8; 7] {
    let [low, high] = max_packet.to_le_bytes();
    [7, ENDPOINT, address, attributes, low, high, interval]
}

/// An interface association. Source: USB ECN Interface Association Descriptor.
#[must_use]
pub fn association(first: u8, count: u8, [class, subclass, protocol]: [u8; 3], name_string: u8) -> [u8; 8] {
    [8, ASSOCIATION, first, count, class, subclass, protocol, name_string]
}
