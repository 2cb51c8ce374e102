//! What must hold for any bytes given as a string descriptor. Shared by the fuzz target and the unit tier's seeded run.

use iosmux_usb::string::{self, Escaped};
use iosmux_usb::{Mac, Udid};

/// What the bytes were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A phone's serial string.
    Serial,
    /// An iMACAddress.
    Mac,
    /// Other text.
    Text,
    /// None.
    Bad,
}

/// Reads the bytes and checks what came out.
pub(crate) fn strings(bytes: &[u8]) -> Verdict {
    let text = match string::decode(bytes) {
        Ok(text) => text,
        Err(error) => {
            harmless(&error.to_string());
            return Verdict::Bad;
        }
    };
    assert!(text.encode_utf16().count() <= string::MAX_CHARACTERS);
    assert_eq!(string::decode(&string::encode(&text)).unwrap(), text, "text reads back");
    harmless(&Escaped(&text).to_string());
    let (udid, mac) = (Udid::from_serial(&text), Mac::from_string_descriptor(&text));
    match (udid, mac) {
        (Ok(udid), _) => {
            assert!(udid.as_str().bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-'));
            assert!(matches!(udid.as_str().len(), 25 | 40));
            assert_eq!(udid.as_str().parse(), Ok(udid.clone()), "a UDID reads back");
            assert_eq!(Udid::from_serial(&udid.to_serial()), Ok(udid));
            Verdict::Serial
        }
        (_, Ok(mac)) => {
            assert_eq!(mac.0[0] & 1, 0, "never a group address");
            assert_eq!(Mac::from_string_descriptor(&mac.to_string_descriptor()), Ok(mac));
            assert_eq!(mac.to_string_descriptor(), text.to_ascii_uppercase(), "its digits read back");
            let [a, b, c, d, e, f] = mac.0;
            let interface = [a ^ 2, b, c, 0xff, 0xfe, d, e, f ^ 0xff];
            assert_eq!(
                mac.phone_address().octets(),
                [[0xfe, 0x80, 0, 0, 0, 0, 0, 0], interface].concat()[..]
            );
            Verdict::Mac
        }
        (Err(udid), Err(mac)) => {
            harmless(&udid.to_string());
            harmless(&mac.to_string());
            Verdict::Text
        }
    }
}

/// Short, and printable ASCII alone: fit for a log.
fn harmless(text: &str) {
    assert!(text.len() < 1000 && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text:?}");
}
