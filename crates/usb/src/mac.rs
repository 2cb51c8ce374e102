//! iMACAddress, and the addresses that follow from it. Source: protocol.md §1.5, §1.7.

use std::fmt;
use std::net::Ipv6Addr;

use thiserror::Error;

use crate::string::Escaped;

/// The MAC that a phone gives its host for one NCM function.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

/// Text that is no MAC of an interface.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MacError {
    /// Not twelve hex digits.
    #[error("an iMACAddress string was expected: 12 hex digits; {} came; replug the phone", Escaped(.0))]
    Digits(String),
    /// A group address or zero, which no interface has.
    #[error("the iMACAddress {0} is no address of one interface; replug the phone")]
    NotUnicast(Mac),
}

impl Mac {
    /// From the string that iMACAddress names.
    pub fn from_string_descriptor(text: &str) -> Result<Mac, MacError> {
        let wrong = || MacError::Digits(text.to_owned());
        if text.len() != 12 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let number = u64::from_str_radix(text, 16).map_err(|_| wrong())?;
        let [_, _, mac @ ..] = number.to_be_bytes();
        let mac = Mac(mac);
        // Source: IEEE 802 (the first octet's lowest bit says group).
        if number == 0 || mac.0[0] & 1 == 1 { Err(MacError::NotUnicast(mac)) } else { Ok(mac) }
    }

    /// The string that iMACAddress names: upper case. Source: protocol.md §1.5.
    #[must_use]
    pub fn to_string_descriptor(self) -> String {
        let [a, b, c, d, e, f] = self.0;
        format!("{a:02X}{b:02X}{c:02X}{d:02X}{e:02X}{f:02X}")
    }

    /// The link-local address that an interface with this MAC makes itself. Source: RFC 4291 appendix A (EUI-64).
    #[must_use]
    pub fn link_local(self) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.0;
        Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f])
    }

    /// The MAC whose last byte is turned round: the phone's address on the private link belongs to it.
    /// Source: protocol.md §1.7. That the phone's frames carry it too is inferred (docs/research/gaps.md).
    #[must_use]
    pub fn of_phone(self) -> Mac {
        let [a, b, c, d, e, f] = self.0;
        Mac([a, b, c, d, e, !f])
    }

    /// The phone's address on the private link, when this is the iMACAddress of its function. Source: protocol.md §1.7.
    #[must_use]
    pub fn phone_address(self) -> Ipv6Addr {
        self.of_phone().link_local()
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(formatter, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mac({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_captured_string_is_read() {
        let mac = Mac::from_string_descriptor("82B9896BEB4D").unwrap();
        assert_eq!(mac.to_string(), "82:b9:89:6b:eb:4d");
        assert_eq!(mac.to_string_descriptor(), "82B9896BEB4D");
    }

    #[test]
    fn the_address_of_the_log_of_2023_comes_out() {
        // Source: protocol.md §1.7.
        let host = Mac([0xfa, 0x39, 0x0f, 0x7b, 0x39, 0xed]);
        assert_eq!(host.link_local().to_string(), "fe80::f839:fff:fe7b:39ed");
        assert_eq!(host.phone_address().to_string(), "fe80::f839:fff:fe7b:3912");
    }

    #[test]
    fn what_is_no_mac_is_refused_and_escaped() {
        for text in ["", "82B9896BEB4", "82B9896BEB4DD", "+2B9896BEB4D", "82:B9:89:6B:", "żółw1234"] {
            assert_eq!(Mac::from_string_descriptor(text), Err(MacError::Digits(text.to_owned())));
        }
        for text in ["000000000000", "010000000000", "FFFFFFFFFFFF"] {
            assert!(matches!(Mac::from_string_descriptor(text), Err(MacError::NotUnicast(_))), "{text}");
        }
        let error = Mac::from_string_descriptor("\n\u{1b}").unwrap_err().to_string();
        assert!(error.contains(r#""\u{a}\u{1b}""#), "{error}");
    }
}
