//! NCM class requests, NTB parameters and notifications. Source: NCM 1.0 §6.2, §6.3; ECM 1.2 §6.2; protocol.md §1.6.

use thiserror::Error;

use crate::bytes::{u8_at, u16_at, u32_at};
use crate::setup::{IN_CLASS_INTERFACE, OUT_CLASS_INTERFACE, Setup};

/// SET_ETHERNET_PACKET_FILTER. Source: ECM 1.2 table 6.
pub const SET_ETHERNET_PACKET_FILTER: u8 = 0x43;
/// GET_NTB_PARAMETERS. Source: NCM 1.0 table 6-2.
pub const GET_NTB_PARAMETERS: u8 = 0x80;
/// GET_NTB_FORMAT. Source: NCM 1.0 table 6-2.
pub const GET_NTB_FORMAT: u8 = 0x83;
/// SET_NTB_FORMAT. Source: NCM 1.0 table 6-2.
pub const SET_NTB_FORMAT: u8 = 0x84;
/// GET_NTB_INPUT_SIZE. Source: NCM 1.0 table 6-2.
pub const GET_NTB_INPUT_SIZE: u8 = 0x85;
/// SET_NTB_INPUT_SIZE. Source: NCM 1.0 table 6-2.
pub const SET_NTB_INPUT_SIZE: u8 = 0x86;
/// GET_MAX_DATAGRAM_SIZE. Source: NCM 1.0 table 6-2.
pub const GET_MAX_DATAGRAM_SIZE: u8 = 0x87;
/// SET_MAX_DATAGRAM_SIZE. Source: NCM 1.0 table 6-2.
pub const SET_MAX_DATAGRAM_SIZE: u8 = 0x88;
/// GET_CRC_MODE. Source: NCM 1.0 table 6-2.
pub const GET_CRC_MODE: u8 = 0x89;
/// SET_CRC_MODE. Source: NCM 1.0 table 6-2.
pub const SET_CRC_MODE: u8 = 0x8a;

/// Bytes of the NTB parameters. Source: NCM 1.0 table 6-3.
pub const NTB_PARAMETERS_LENGTH: u16 = 28;
/// The input size that working hosts ask for, in bytes. Source: protocol.md §1.6.
pub const INPUT_SIZE: u32 = 16_384;
/// The input size that a device must support at least, in bytes. Source: NCM 1.0 §6.2.7.
pub const MIN_NTB_SIZE: u32 = 2048;
/// The largest divisor and alignment that our blocks keep to. The bound is our own: the smallest block must have room for the
/// longest frame behind its NDP. Linux' bound is the size of its blocks.
pub const MAX_ALIGNMENT: u16 = 256;
/// NTB16's block length is a 16 bit number. Source: NCM 1.0 table 3-1.
pub const MAX_NTB16_SIZE: u32 = 65_535;

/// NETWORK_CONNECTION. Source: CDC 1.2 table 20.
pub const NETWORK_CONNECTION: u8 = 0x00;
/// CONNECTION_SPEED_CHANGE. Source: CDC 1.2 table 20.
pub const CONNECTION_SPEED_CHANGE: u8 = 0x2a;

/// GET_NTB_PARAMETERS.
#[must_use]
pub const fn get_ntb_parameters(control: u8) -> Setup {
    class_in(GET_NTB_PARAMETERS, control, NTB_PARAMETERS_LENGTH)
}

/// SET_NTB_INPUT_SIZE with its four bytes of data.
#[must_use]
pub const fn set_ntb_input_size(control: u8, size: u32) -> (Setup, [u8; 4]) {
    (class_out(SET_NTB_INPUT_SIZE, 0, control, 4), size.to_le_bytes())
}

/// SET_NTB_FORMAT to NTB16. Source: NCM 1.0 §6.2.5.
#[must_use]
pub const fn set_ntb_format_16(control: u8) -> Setup {
    class_out(SET_NTB_FORMAT, 0, control, 0)
}

/// SET_CRC_MODE to no CRC. Source: NCM 1.0 §6.2.11.
#[must_use]
pub const fn set_crc_mode_off(control: u8) -> Setup {
    class_out(SET_CRC_MODE, 0, control, 0)
}

/// SET_MAX_DATAGRAM_SIZE with its two bytes of data.
#[must_use]
pub const fn set_max_datagram_size(control: u8, size: u16) -> (Setup, [u8; 2]) {
    (class_out(SET_MAX_DATAGRAM_SIZE, 0, control, 2), size.to_le_bytes())
}

/// SET_ETHERNET_PACKET_FILTER: promiscuous, all multicast, directed, broadcast, as a bridge port needs it.
/// Source: ECM 1.2 table 8.
#[must_use]
pub const fn set_packet_filter_all(control: u8) -> Setup {
    class_out(SET_ETHERNET_PACKET_FILTER, 0b1111, control, 0)
}

const fn class_in(request: u8, control: u8, length: u16) -> Setup {
    Setup::new(IN_CLASS_INTERFACE, request, 0, u16::from_be_bytes([0, control]), length)
}

const fn class_out(request: u8, value: u16, control: u8, length: u16) -> Setup {
    Setup::new(OUT_CLASS_INTERFACE, request, value, u16::from_be_bytes([0, control]), length)
}

/// What a device says of its blocks; "in" is to the host. Source: NCM 1.0 table 6-3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NtbParameters {
    /// bmNtbFormatsSupported.
    pub formats: u16,
    /// dwNtbInMaxSize in bytes.
    pub in_max_size: u32,
    /// Where payloads of blocks to the host are.
    pub in_alignment: Alignment,
    /// dwNtbOutMaxSize in bytes.
    pub out_max_size: u32,
    /// Where payloads of blocks to the device must be.
    pub out_alignment: Alignment,
    /// wNtbOutMaxDatagrams; 0 is no limit.
    pub out_max_datagrams: u16,
}

/// Where the parts of a block are. Source: NCM 1.0 §3.3.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alignment {
    /// wNdp…Divisor: payloads, what follows the 14 bytes of Ethernet header, begin at a multiple of it plus `remainder`.
    pub divisor: u16,
    /// wNdp…PayloadRemainder.
    pub remainder: u16,
    /// wNdp…Alignment: NDPs begin at a multiple of it.
    pub ndp: u16,
}

/// Parameters that nobody can keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NtbParametersError {
    /// Too few bytes.
    #[error("NTB parameters of 28 bytes were expected, {0} came; replug the phone")]
    Length(usize),
    /// No NTB16.
    #[error("the phone supports NTB formats {0:#06x} only, bit 0 (NTB16) was expected; report this phone")]
    NoNtb16(u16),
    /// A block that holds no frame, or that none can be as long as.
    #[error("the phone's {which} is {size}, at least {MIN_NTB_SIZE} was expected; replug the phone")]
    Size {
        /// The field.
        which: &'static str,
        /// Its value in bytes.
        size: u32,
    },
}

impl Alignment {
    fn read(bytes: &[u8], at: usize) -> Option<Alignment> {
        Some(Alignment {
            divisor: u16_at(bytes, at)?,
            remainder: u16_at(bytes, at.checked_add(2)?)?,
            ndp: u16_at(bytes, at.checked_add(4)?)?,
        })
    }

    /// The alignment that our blocks keep to: this one, but 4, 0 and 4 for the numbers in it that make no sense or are above
    /// [`MAX_ALIGNMENT`], as Linux has it. Source: NCM 1.0 table 6-3; Linux, drivers/net/usb/cdc_ncm.c (cdc_ncm_fix_modulus).
    #[must_use]
    pub fn kept(self) -> Alignment {
        let bound = |number: u16| number.is_power_of_two() && number <= MAX_ALIGNMENT;
        let divisor = if bound(self.divisor) { self.divisor } else { 4 };
        let remainder = if self.remainder < divisor { self.remainder } else { 0 };
        let ndp = if bound(self.ndp) && self.ndp >= 4 { self.ndp } else { 4 };
        Alignment { divisor, remainder, ndp }
    }

    fn to_bytes(self) -> [u8; 6] {
        let ([a, b], [c, d], [e, f]) =
            (self.divisor.to_le_bytes(), self.remainder.to_le_bytes(), self.ndp.to_le_bytes());
        [a, b, c, d, e, f]
    }
}

impl NtbParameters {
    /// From what GET_NTB_PARAMETERS brought, checked: with these a block can be made, of the alignment that is
    /// [`Alignment::kept`].
    pub fn parse(bytes: &[u8]) -> Result<NtbParameters, NtbParametersError> {
        let read = || {
            // Behind each alignment there are two bytes: reserved, and wNtbOutMaxDatagrams.
            Some(NtbParameters {
                formats: u16_at(bytes, 2)?,
                in_max_size: u32_at(bytes, 4)?,
                in_alignment: Alignment::read(bytes, 8)?,
                out_max_size: u32_at(bytes, 16)?,
                out_alignment: Alignment::read(bytes, 20)?,
                out_max_datagrams: u16_at(bytes, 26)?,
            })
        };
        let parameters = read().ok_or(NtbParametersError::Length(bytes.len()))?;
        if parameters.formats & 1 == 0 {
            return Err(NtbParametersError::NoNtb16(parameters.formats));
        }
        for (which, size) in
            [("dwNtbInMaxSize", parameters.in_max_size), ("dwNtbOutMaxSize", parameters.out_max_size)]
        {
            if size < MIN_NTB_SIZE {
                return Err(NtbParametersError::Size { which, size });
            }
        }
        Ok(parameters)
    }

    /// The 28 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = NTB_PARAMETERS_LENGTH.to_le_bytes().to_vec();
        bytes.extend(self.formats.to_le_bytes());
        bytes.extend(self.in_max_size.to_le_bytes());
        bytes.extend(self.in_alignment.to_bytes());
        bytes.extend([0, 0]);
        bytes.extend(self.out_max_size.to_le_bytes());
        bytes.extend(self.out_alignment.to_bytes());
        bytes.extend(self.out_max_datagrams.to_le_bytes());
        bytes
    }
}

/// A notification on a status endpoint. Source: CDC 1.2 §6.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notification {
    /// NETWORK_CONNECTION.
    Connection {
        /// Whether there is one.
        up: bool,
    },
    /// CONNECTION_SPEED_CHANGE.
    Speed {
        /// To the host, in bits per second.
        down: u32,
        /// From the host, in bits per second.
        up: u32,
    },
}

impl Notification {
    /// The bytes, as the control interface `control` sends them.
    #[must_use]
    pub fn to_bytes(self, control: u8) -> Vec<u8> {
        match self {
            Notification::Connection { up } => {
                vec![0xa1, NETWORK_CONNECTION, up.into(), 0, control, 0, 0, 0]
            }
            Notification::Speed { down, up } => {
                let mut bytes = vec![0xa1, CONNECTION_SPEED_CHANGE, 0, 0, control, 0, 8, 0];
                bytes.extend(down.to_le_bytes());
                bytes.extend(up.to_le_bytes());
                bytes
            }
        }
    }

    /// The notification and its control interface; `None` when the bytes are neither of the two.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<(Notification, u16)> {
        let control = u16_at(bytes, 4)?;
        let notification = match (u8_at(bytes, 0)?, u8_at(bytes, 1)?) {
            (0xa1, NETWORK_CONNECTION) => Notification::Connection { up: u16_at(bytes, 2)? != 0 },
            (0xa1, CONNECTION_SPEED_CHANGE) => {
                Notification::Speed { down: u32_at(bytes, 8)?, up: u32_at(bytes, 12)? }
            }
            _ => return None,
        };
        Some((notification, control))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIGNMENT: Alignment = Alignment { divisor: 4, remainder: 0, ndp: 4 };

    fn parameters() -> NtbParameters {
        NtbParameters {
            formats: 1,
            in_max_size: 32_768,
            in_alignment: ALIGNMENT,
            out_max_size: 16_384,
            out_alignment: ALIGNMENT,
            out_max_datagrams: 16,
        }
    }

    #[test]
    fn parameters_are_read_back() {
        let bytes = parameters().to_bytes();
        assert_eq!(bytes.len(), 28);
        assert_eq!(bytes[..4], [28, 0, 1, 0]);
        assert_eq!(NtbParameters::parse(&bytes), Ok(parameters()));
        assert_eq!(NtbParameters::parse(&bytes[..27]), Err(NtbParametersError::Length(27)));
    }

    #[test]
    fn parameters_that_nobody_can_keep_to_are_refused() {
        let parse = |change: fn(&mut NtbParameters)| {
            let mut parameters = parameters();
            change(&mut parameters);
            NtbParameters::parse(&parameters.to_bytes()).unwrap_err()
        };
        assert_eq!(parse(|it| it.formats = 2), NtbParametersError::NoNtb16(2));
        assert_eq!(
            parse(|it| it.out_max_size = 2047),
            NtbParametersError::Size { which: "dwNtbOutMaxSize", size: 2047 }
        );
    }

    #[test]
    fn an_alignment_that_can_not_be_kept_to_is_replaced_number_by_number() {
        let alignment = |divisor, remainder, ndp| Alignment { divisor, remainder, ndp };
        for kept in [alignment(4, 2, 4), alignment(1, 0, 256), alignment(256, 255, 8)] {
            assert_eq!(kept.kept(), kept);
        }
        for (said, kept) in [
            (alignment(0, 0, 4), alignment(4, 0, 4)),
            (alignment(3, 2, 8), alignment(4, 2, 8)),
            (alignment(512, 14, 4), alignment(4, 0, 4)),
            (alignment(8, 8, 4), alignment(8, 0, 4)),
            (alignment(8, 1, 2), alignment(8, 1, 4)),
            (alignment(8, 1, 512), alignment(8, 1, 4)),
            (alignment(u16::MAX, u16::MAX, 32_768), alignment(4, 0, 4)),
        ] {
            assert_eq!(said.kept(), kept, "{said:?}");
            let parameters = NtbParameters { out_alignment: said, ..parameters() };
            assert_eq!(NtbParameters::parse(&parameters.to_bytes()), Ok(parameters));
        }
    }

    #[test]
    fn requests_name_the_control_interface() {
        assert_eq!(get_ntb_parameters(4).to_bytes(), [0xa1, 0x80, 0, 0, 4, 0, 28, 0]);
        let (setup, data) = set_ntb_input_size(4, 16_384);
        assert_eq!((setup.to_bytes(), data), ([0x21, 0x86, 0, 0, 4, 0, 4, 0], [0, 0x40, 0, 0]));
        let (setup, data) = set_max_datagram_size(4, 1514);
        assert_eq!((setup.to_bytes(), data), ([0x21, 0x88, 0, 0, 4, 0, 2, 0], [0xea, 5]));
        assert_eq!(set_crc_mode_off(2).to_bytes(), [0x21, 0x8a, 0, 0, 2, 0, 0, 0]);
        assert_eq!(set_ntb_format_16(2).to_bytes(), [0x21, 0x84, 0, 0, 2, 0, 0, 0]);
    }

    #[test]
    fn notifications_are_read_back() {
        for one in [Notification::Connection { up: true }, Notification::Speed { down: 5, up: 7 }] {
            assert_eq!(Notification::from_bytes(&one.to_bytes(2)), Some((one, 2)));
        }
        assert_eq!(Notification::from_bytes(&[0xa1, 1, 0, 0, 2, 0, 0, 0]), None);
        assert_eq!(Notification::from_bytes(&[0xa1, 0]), None);
    }
}
