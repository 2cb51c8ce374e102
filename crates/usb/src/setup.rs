//! Setup packets. Source: USB 2.0 §9.3, §9.4.

use std::fmt;

use crate::bytes::{u8_at, u16_at};

/// The eight bytes that begin a control transfer.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Setup {
    /// bmRequestType: direction, kind, recipient.
    pub request_type: u8,
    /// bRequest.
    pub request: u8,
    /// wValue.
    pub value: u16,
    /// wIndex.
    pub index: u16,
    /// wLength: bytes that follow, or that are wanted at most.
    pub length: u16,
}

/// Device to host, standard, device. Source: USB 2.0 table 9-2.
pub const IN_DEVICE: u8 = 0x80;
/// Device to host, standard, interface.
pub const IN_INTERFACE: u8 = 0x81;
/// Device to host, standard, endpoint.
pub const IN_ENDPOINT: u8 = 0x82;
/// Host to device, standard, device.
pub const OUT_DEVICE: u8 = 0x00;
/// Host to device, standard, interface.
pub const OUT_INTERFACE: u8 = 0x01;
/// Host to device, standard, endpoint.
pub const OUT_ENDPOINT: u8 = 0x02;
/// Device to host, class, interface.
pub const IN_CLASS_INTERFACE: u8 = 0xa1;
/// Host to device, class, interface.
pub const OUT_CLASS_INTERFACE: u8 = 0x21;
/// Device to host, vendor, device.
pub const IN_VENDOR_DEVICE: u8 = 0xc0;

/// Source: USB 2.0 table 9-4.
pub const GET_STATUS: u8 = 0;
/// Source: USB 2.0 table 9-4.
pub const CLEAR_FEATURE: u8 = 1;
/// Source: USB 2.0 table 9-4.
pub const SET_FEATURE: u8 = 3;
/// Source: USB 2.0 table 9-4.
pub const SET_ADDRESS: u8 = 5;
/// Source: USB 2.0 table 9-4.
pub const GET_DESCRIPTOR: u8 = 6;
/// Source: USB 2.0 table 9-4.
pub const GET_CONFIGURATION: u8 = 8;
/// Source: USB 2.0 table 9-4.
pub const SET_CONFIGURATION: u8 = 9;
/// Source: USB 2.0 table 9-4.
pub const GET_INTERFACE: u8 = 10;
/// Source: USB 2.0 table 9-4.
pub const SET_INTERFACE: u8 = 11;

impl Setup {
    /// A request with a data stage of `length` bytes at most.
    #[must_use]
    pub const fn new(request_type: u8, request: u8, value: u16, index: u16, length: u16) -> Setup {
        Setup { request_type, request, value, index, length }
    }

    /// Whether the data stage goes to the host. Source: USB 2.0 table 9-2 (bit 7).
    #[must_use]
    pub const fn is_in(self) -> bool {
        self.request_type & 0x80 != 0
    }

    /// GET_DESCRIPTOR of a descriptor type and number; `language` is 0 unless it is a string.
    #[must_use]
    pub const fn get_descriptor(kind: u8, number: u8, language: u16, length: u16) -> Setup {
        Setup::new(IN_DEVICE, GET_DESCRIPTOR, u16::from_be_bytes([kind, number]), language, length)
    }

    /// SET_CONFIGURATION of a bConfigurationValue; 0 is none.
    #[must_use]
    pub const fn set_configuration(value: u8) -> Setup {
        Setup::new(OUT_DEVICE, SET_CONFIGURATION, u16::from_be_bytes([0, value]), 0, 0)
    }

    /// GET_CONFIGURATION: one byte comes.
    #[must_use]
    pub const fn get_configuration() -> Setup {
        Setup::new(IN_DEVICE, GET_CONFIGURATION, 0, 0, 1)
    }

    /// SET_INTERFACE: an alternate setting of an interface.
    #[must_use]
    pub const fn set_interface(interface: u8, alternate: u8) -> Setup {
        let (value, index) = (u16::from_be_bytes([0, alternate]), u16::from_be_bytes([0, interface]));
        Setup::new(OUT_INTERFACE, SET_INTERFACE, value, index, 0)
    }

    /// The eight bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        let [v0, v1] = self.value.to_le_bytes();
        let [i0, i1] = self.index.to_le_bytes();
        let [l0, l1] = self.length.to_le_bytes();
        [self.request_type, self.request, v0, v1, i0, i1, l0, l1]
    }

    /// From the eight bytes; `None` when there are fewer.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Setup> {
        Some(Setup {
            request_type: u8_at(bytes, 0)?,
            request: u8_at(bytes, 1)?,
            value: u16_at(bytes, 2)?,
            index: u16_at(bytes, 4)?,
            length: u16_at(bytes, 6)?,
        })
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setup { request_type, request, value, index, length } = self;
        write!(f, "Setup({request_type:02x} {request:02x} {value:04x} {index:04x} {length})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_bytes_of_the_standard() {
        assert_eq!(Setup::get_descriptor(3, 2, 0x0409, 255).to_bytes(), [0x80, 6, 2, 3, 0x09, 0x04, 0xff, 0]);
        assert_eq!(Setup::set_configuration(5).to_bytes(), [0, 9, 5, 0, 0, 0, 0, 0]);
        assert_eq!(Setup::set_interface(5, 1).to_bytes(), [1, 11, 1, 0, 5, 0, 0, 0]);
        assert_eq!(Setup::get_configuration().to_bytes(), [0x80, 8, 0, 0, 0, 0, 1, 0]);
        for setup in [Setup::get_descriptor(3, 2, 0x0409, 255), Setup::set_interface(5, 1)] {
            assert_eq!(Setup::from_bytes(&setup.to_bytes()), Some(setup));
        }
        assert_eq!(Setup::from_bytes(&[0; 7]), None);
    }
}
