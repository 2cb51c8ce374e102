//! UDIDs: as serial strings have them, and as people write them. Source: protocol.md §1.1.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::string::Escaped;

/// Hex digits of a UDID of today. Source: protocol.md §1.1.
const DIGITS: usize = 24;
/// Where its dash is. Source: protocol.md §1.1.
const DASH: usize = 8;
/// Hex digits of an old one, which has no dash. Source: protocol.md §1.1.
const OLD_DIGITS: usize = 40;

/// A UDID: hex digits, and a dash at one place. Safe in paths, units and logs.
///
/// It has one case, whatever came: that of UniqueDeviceID in captured Handshakes, upper, and lower for an old one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Udid(String);

/// Text that is no UDID.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "a UDID was expected, {} came: {DIGITS} hexadecimal digits (with a dash after the first {DASH}, or without) or \
     {OLD_DIGITS}, as in 00008020-0000000000001234", Escaped(.0)
)]
pub struct UdidError(String);

impl Udid {
    /// From a serial string, which newer phones pad with NUL characters.
    pub fn from_serial(serial: &str) -> Result<Udid, UdidError> {
        let digits = serial.trim_end_matches('\0');
        let wrong = || UdidError(serial.to_owned());
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        match digits.len() {
            OLD_DIGITS => Ok(Udid(digits.to_ascii_lowercase())),
            DIGITS => {
                let (head, tail) = digits.split_at_checked(DASH).ok_or_else(wrong)?;
                Ok(Udid(format!("{head}-{tail}").to_ascii_uppercase()))
            }
            _ => Err(wrong()),
        }
    }

    /// From what a person wrote: with its dash or without.
    pub fn from_text(text: &str) -> Result<Udid, UdidError> {
        let digits = match text.split_once('-') {
            Some((head, tail)) if head.len() == DASH && !text.contains('\0') => [head, tail].concat(),
            None if !text.contains('\0') => text.to_owned(),
            _ => return Err(UdidError(text.to_owned())),
        };
        match Udid::from_serial(&digits) {
            Ok(udid) if text.contains('-') && !udid.0.contains('-') => Err(UdidError(text.to_owned())),
            Ok(udid) => Ok(udid),
            Err(_) => Err(UdidError(text.to_owned())),
        }
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The serial string of a phone with this UDID, NULs included. Source: protocol.md §1.1.
    #[must_use]
    pub fn to_serial(&self) -> String {
        let mut digits = self.0.replace('-', "");
        digits.extend(std::iter::repeat_n('\0', OLD_DIGITS.saturating_sub(digits.len())));
        digits
    }
}

impl fmt::Display for Udid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Udid> for String {
    fn from(udid: Udid) -> String {
        udid.0
    }
}

impl TryFrom<String> for Udid {
    type Error = UdidError;

    fn try_from(text: String) -> Result<Udid, UdidError> {
        Udid::from_text(&text)
    }
}

impl std::str::FromStr for Udid {
    type Err = UdidError;

    fn from_str(text: &str) -> Result<Udid, UdidError> {
        Udid::from_text(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERIAL: &str = "000080200000000000001234";

    #[test]
    fn both_forms_of_serial_are_read() {
        let padded = format!("{SERIAL}{}", "\0".repeat(16));
        for serial in [SERIAL, &padded] {
            let udid = Udid::from_serial(serial).unwrap();
            assert_eq!(udid.as_str(), "00008020-0000000000001234");
            assert_eq!(udid.to_serial(), padded);
        }
        let old = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(Udid::from_serial(old).unwrap().to_string(), old);
        assert_eq!(Udid::from_serial(old).unwrap().to_serial(), old);
    }

    #[test]
    fn a_udid_has_one_case() {
        let (upper, lower) = ("00008020-00000000000ABCDE", "00008020-00000000000abcde");
        assert_eq!(lower.parse::<Udid>().unwrap().as_str(), upper);
        let old = "0123456789ABCDEF0123456789ABCDEF01234567";
        assert_eq!(Udid::from_serial(old).unwrap().as_str(), old.to_lowercase());
        let read: Udid = serde_json::from_value(lower.into()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), upper);
        assert!(serde_json::from_value::<Udid>("../x".into()).is_err());
    }

    #[test]
    fn people_write_it_with_the_dash_or_without() {
        for text in ["00008020-0000000000001234", SERIAL] {
            assert_eq!(text.parse::<Udid>().unwrap().as_str(), "00008020-0000000000001234");
        }
        let dashed = "01234567-89abcdef0123456789abcdef01234567";
        for text in ["0000802-00000000000001234", "00008020-00000000000-1234", dashed, "00008020\0"] {
            assert_eq!(text.parse::<Udid>().unwrap_err(), UdidError(text.to_owned()));
        }
    }

    #[test]
    fn anything_else_is_refused_and_escaped() {
        for serial in
            ["", "\0", "../../etc/passwd", "00008020000000000000123", "00008020\x00000000000001234", "ż"]
        {
            assert!(Udid::from_serial(serial).is_err(), "{serial:?}");
        }
        let error = Udid::from_serial(&"../\n\u{1b}[2J".repeat(500)).unwrap_err().to_string();
        assert!(error.contains(r#""../\u{a}\u{1b}[2J"#) && error.len() < 800, "{error}");
        assert!(error.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{error}");
    }
}
