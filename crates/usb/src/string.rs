//! String descriptors, and text of a device made fit for people and logs.

use std::fmt::{self, Write as _};

use thiserror::Error;

use crate::bytes::{u8_at, u16_at};
use crate::descriptor::STRING;

/// US English, the one language that phones are asked in. Source: USB 2.0 §9.6.7 (LANGID).
pub const ENGLISH: u16 = 0x0409;
/// Characters that a string descriptor holds at most. Source: USB 2.0 §9.6.7 (bLength is one byte).
pub const MAX_CHARACTERS: usize = 126;
/// Characters that are shown of a text at most. The bound is our own.
const SHOWN: usize = 64;

/// Bytes that are no string descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StringError {
    /// Too short, or not of the type.
    #[error(
        "a string descriptor was expected: type 3 with an even bLength from 2 to 254; bytes {bytes:02x?} came; replug the phone"
    )]
    Header {
        /// bLength and bDescriptorType, where they came.
        bytes: [Option<u8>; 2],
    },
    /// It claims more than came.
    #[error("a string descriptor claims {claimed} bytes, {came} came; replug the phone")]
    Truncated {
        /// bLength.
        claimed: u8,
        /// What there was.
        came: usize,
    },
}

/// The text of a string descriptor. Halves of surrogate pairs become U+FFFD; what follows bLength is not looked at.
pub fn decode(bytes: &[u8]) -> Result<String, StringError> {
    let (claimed, kind) = (u8_at(bytes, 0), u8_at(bytes, 1));
    let Some(claimed) = claimed.filter(|length| kind == Some(STRING) && *length >= 2 && length % 2 == 0)
    else {
        return Err(StringError::Header { bytes: [claimed, kind] });
    };
    let text =
        bytes.get(2..usize::from(claimed)).ok_or(StringError::Truncated { claimed, came: bytes.len() })?;
    let units = text.chunks_exact(2).filter_map(|pair| u16_at(pair, 0));
    Ok(char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
}

/// A string descriptor; text beyond [`MAX_CHARACTERS`] UTF-16 units is cut.
#[must_use]
pub fn encode(text: &str) -> Vec<u8> {
    let units: Vec<u16> = text.encode_utf16().take(MAX_CHARACTERS).collect();
    let length = units.len().saturating_mul(2).saturating_add(2);
    let mut bytes = vec![u8::try_from(length).unwrap_or(u8::MAX), STRING];
    bytes.extend(units.into_iter().flat_map(u16::to_le_bytes));
    bytes
}

/// The descriptor of string 0: the languages. Source: USB 2.0 table 9-15.
#[must_use]
pub fn languages() -> [u8; 4] {
    let [low, high] = ENGLISH.to_le_bytes();
    [4, STRING, low, high]
}

/// Text of a device as one quoted line of bounded length: printable ASCII as it is, everything else as its number.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for character in self.0.chars().take(SHOWN) {
            match character {
                '"' | '\\' => write!(f, "\\{character}")?,
                ' '..='~' => f.write_char(character)?,
                _ => write!(f, "\\u{{{:x}}}", u32::from(character))?,
            }
        }
        let left = self.0.chars().count().saturating_sub(SHOWN);
        if left > 0 { write!(f, "\" and {left} more characters") } else { f.write_char('"') }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_back() {
        for text in ["", "iPhone", "PTP + Apple Mobile Device + NCM", "żółw", "📱"] {
            assert_eq!(decode(&encode(text)).unwrap(), text);
        }
        assert_eq!(encode("iP"), [6, 3, b'i', 0, b'P', 0]);
        assert_eq!(encode(&"x".repeat(4096)).len(), 254);
    }

    #[test]
    fn what_is_no_string_is_named() {
        assert_eq!(decode(&[]).unwrap_err(), StringError::Header { bytes: [None, None] });
        assert_eq!(decode(&[4, 2, 0, 0]).unwrap_err(), StringError::Header { bytes: [Some(4), Some(2)] });
        assert_eq!(decode(&[5, 3, 0, 0, 0]).unwrap_err(), StringError::Header { bytes: [Some(5), Some(3)] });
        assert_eq!(decode(&[6, 3, 0, 0]).unwrap_err(), StringError::Truncated { claimed: 6, came: 4 });
        assert_eq!(decode(&[4, 3, 0, 0xd8]).unwrap(), "\u{fffd}");
    }

    #[test]
    fn shown_text_is_short_and_harmless() {
        assert_eq!(
            Escaped("a\"\\\n\u{1b}[31m../\u{202e}").to_string(),
            r#""a\"\\\u{a}\u{1b}[31m../\u{202e}""#
        );
        let long = "\u{10ffff}".repeat(4096);
        let shown = Escaped(&long).to_string();
        assert!(shown.len() < 800 && shown.ends_with("\" and 4032 more characters"), "{shown}");
    }
}
