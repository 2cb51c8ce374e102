//! Where a phone is, as others see it.

use std::net::Ipv6Addr;

use serde::Serialize;

use super::device::Device;

/// Where a phone is; `fakephone usb` prints each one as a JSON line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsbState {
    /// `fakephone/usb/1`.
    pub schema: &'static str,
    /// Its UDID.
    pub udid: String,
    /// Whether its cable is in.
    pub plugged: bool,
    /// The port of the virtual host controller that it was in last.
    pub port: Option<u32>,
    /// Its mode.
    pub mode: u8,
    /// bConfigurationValue of its configuration; 0 is none.
    pub configuration: u8,
    /// Whether the host has opened the private function.
    pub open: bool,
    /// Whether it leaves control requests unanswered, by the fault of that name.
    pub mute: bool,
    /// iMACAddress of the private function.
    pub host_mac: String,
    /// Its address on the private link.
    pub address: Ipv6Addr,
}

impl UsbState {
    /// Of this device, whose cable is in or not.
    pub(super) fn of(device: &Device, plugged: bool, port: Option<u32>) -> UsbState {
        let config = device.config();
        UsbState {
            schema: "fakephone/usb/1",
            udid: config.udid.to_string(),
            plugged,
            port,
            mode: device.mode().number(),
            configuration: device.configuration(),
            open: device.is_open(),
            mute: device.is_mute(),
            host_mac: config.private_mac.to_string(),
            address: config.private_mac.phone_address(),
        }
    }
}
