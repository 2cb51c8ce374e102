//! CDC functional descriptors. Source: CDC 1.2 §5.2.3; ECM 1.2 §5.4; NCM 1.0 §5.2.1.

use crate::bytes::{u8_at, u16_at, u32_at};

/// bDescriptorSubtype of the header. Source: CDC 1.2 table 13.
pub const HEADER: u8 = 0x00;
/// bDescriptorSubtype of the union. Source: CDC 1.2 table 13.
pub const UNION: u8 = 0x06;
/// bDescriptorSubtype of Ethernet networking. Source: CDC 1.2 table 13.
pub const ETHERNET: u8 = 0x0f;
/// bDescriptorSubtype of NCM. Source: NCM 1.0 table 5-2.
pub const NCM: u8 = 0x1a;

/// A functional descriptor of a CDC control interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Functional {
    /// Header: bcdCDC.
    Header(u16),
    /// Union: the control interface and its first data interface.
    Union {
        /// bControlInterface.
        control: u8,
        /// bSubordinateInterface0.
        data: u8,
    },
    /// Ethernet networking.
    Ethernet(Ethernet),
    /// NCM.
    Ncm {
        /// bcdNcmVersion.
        version: u16,
        /// bmNetworkCapabilities.
        capabilities: u8,
    },
    /// Another one, or one that is too short for its subtype.
    Other {
        /// bDescriptorSubtype.
        subtype: u8,
    },
}

/// The Ethernet networking descriptor. Source: ECM 1.2 table 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ethernet {
    /// iMACAddress: the string that holds the MAC.
    pub mac_string: u8,
    /// bmEthernetStatistics.
    pub statistics: u32,
    /// wMaxSegmentSize in bytes, the Ethernet header included.
    pub max_segment: u16,
    /// wNumberMCFilters.
    pub multicast_filters: u16,
    /// bNumberPowerFilters.
    pub power_filters: u8,
}

impl Functional {
    /// From a whole descriptor, bLength first.
    pub(super) fn read(bytes: &[u8]) -> Functional {
        let subtype = u8_at(bytes, 2).unwrap_or(u8::MAX);
        let known = match subtype {
            HEADER => u16_at(bytes, 3).map(Functional::Header),
            UNION => Functional::union(bytes),
            ETHERNET => Ethernet::read(bytes).map(Functional::Ethernet),
            NCM => Functional::ncm(bytes),
            _ => None,
        };
        known.unwrap_or(Functional::Other { subtype })
    }

    fn union(bytes: &[u8]) -> Option<Functional> {
        Some(Functional::Union { control: u8_at(bytes, 3)?, data: u8_at(bytes, 4)? })
    }

    fn ncm(bytes: &[u8]) -> Option<Functional> {
        Some(Functional::Ncm { version: u16_at(bytes, 3)?, capabilities: u8_at(bytes, 5)? })
    }

    /// The bytes; of [`Functional::Other`] the head only.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        use super::CS_INTERFACE;
        match self {
            Functional::Header(release) => {
                let [low, high] = release.to_le_bytes();
                vec![5, CS_INTERFACE, HEADER, low, high]
            }
            Functional::Union { control, data } => vec![5, CS_INTERFACE, UNION, control, data],
            Functional::Ethernet(ethernet) => ethernet.to_bytes(),
            Functional::Ncm { version, capabilities } => {
                let [low, high] = version.to_le_bytes();
                vec![6, CS_INTERFACE, NCM, low, high, capabilities]
            }
            Functional::Other { subtype } => vec![3, CS_INTERFACE, subtype],
        }
    }
}

impl Ethernet {
    fn read(bytes: &[u8]) -> Option<Ethernet> {
        Some(Ethernet {
            mac_string: u8_at(bytes, 3)?,
            statistics: u32_at(bytes, 4)?,
            max_segment: u16_at(bytes, 8)?,
            multicast_filters: u16_at(bytes, 10)?,
            power_filters: u8_at(bytes, 12)?,
        })
    }

    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![13, super::CS_INTERFACE, ETHERNET, self.mac_string];
        bytes.extend(self.statistics.to_le_bytes());
        bytes.extend(self.max_segment.to_le_bytes());
        bytes.extend(self.multicast_filters.to_le_bytes());
        bytes.push(self.power_filters);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_is_read() {
        let ethernet = Ethernet {
            mac_string: 17,
            statistics: 0,
            max_segment: 1514,
            multicast_filters: 0,
            power_filters: 0,
        };
        for one in [
            Functional::Header(0x0110),
            Functional::Union { control: 4, data: 5 },
            Functional::Ethernet(ethernet),
            Functional::Ncm { version: 0x0100, capabilities: 0 },
            Functional::Other { subtype: 0x12 },
        ] {
            let bytes = one.to_bytes();
            assert_eq!(usize::from(bytes[0]), bytes.len());
            assert_eq!(Functional::read(&bytes), one);
            if !matches!(one, Functional::Other { .. }) {
                let cut = Functional::read(&bytes[..bytes.len() - 1]);
                assert_eq!(cut, Functional::Other { subtype: bytes[2] });
            }
        }
    }
}
