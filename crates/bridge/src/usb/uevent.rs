//! Messages about devices, of the kernel and of udev: whether one is about a phone, a driver or a network interface.
//!
//! Messages only nudge; nothing of them is believed or kept.

use std::str;

/// The longest message that is looked at, in bytes. udev's are at most 8 KiB.
pub(crate) const MAX_MESSAGE: usize = 16 * 1024;
/// Begins udev's messages. Source: systemd's src/libsystemd/sd-device/device-monitor.c ("libudev", 0xfeedcafe).
const UDEV_MAGIC: [u8; 12] = *b"libudev\0\xfe\xed\xca\xfe";
/// Properties of one message at most.
const MAX_PROPERTIES: usize = 256;

/// Whether looking again is worth it after this message.
pub(crate) fn concerns_us(message: &[u8]) -> bool {
    let Some(properties) = properties(message) else { return false };
    let subsystem = properties
        .split(|byte| *byte == 0)
        .take(MAX_PROPERTIES)
        .find_map(|property| str::from_utf8(property).ok()?.strip_prefix("SUBSYSTEM="));
    matches!(subsystem, Some("usb" | "net"))
}

/// The part with properties: behind `ACTION@DEVPATH` of the kernel's, behind the header of udev's.
fn properties(message: &[u8]) -> Option<&[u8]> {
    if !message.starts_with(&UDEV_MAGIC) {
        let head = message.iter().position(|byte| *byte == 0)?;
        let (head, rest) = message.split_at_checked(head)?;
        return head.contains(&b'@').then_some(rest);
    }
    // Behind the magic: the header's size, then where the properties are and how long. In the machine's byte order.
    let number = |at: usize| {
        let bytes = message.get(at..)?.first_chunk()?;
        usize::try_from(u32::from_ne_bytes(*bytes)).ok()
    };
    let (offset, length) = (number(16)?, number(20)?);
    message.get(offset..offset.checked_add(length)?)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn kernel(subsystem: &str) -> Vec<u8> {
        format!("add@/devices/x\0ACTION=add\0DEVPATH=/devices/x\0SUBSYSTEM={subsystem}\0SEQNUM=1\0").into()
    }

    pub(crate) fn udev(subsystem: &str) -> Vec<u8> {
        let properties = format!("UDEV_DATABASE_VERSION=1\0ACTION=bind\0SUBSYSTEM={subsystem}\0");
        let mut message = UDEV_MAGIC.to_vec();
        for number in [40, 40, properties.len() as u32, 0, 0, 0, 0] {
            message.extend(number.to_ne_bytes());
        }
        message.extend(properties.as_bytes());
        message
    }

    #[test]
    fn messages_about_usb_and_interfaces_concern_us() {
        for subsystem in ["usb", "net"] {
            assert!(concerns_us(&kernel(subsystem)) && concerns_us(&udev(subsystem)), "{subsystem}");
        }
        for subsystem in ["block", "usbx", ""] {
            assert!(!concerns_us(&kernel(subsystem)) && !concerns_us(&udev(subsystem)), "{subsystem}");
        }
    }

    #[test]
    fn what_is_no_message_does_not() {
        assert!(!concerns_us(b""));
        assert!(!concerns_us(b"SUBSYSTEM=usb\0"));
        let mut message = udev("usb");
        message.truncate(23);
        assert!(!concerns_us(&message));
        let mut beyond = udev("usb");
        beyond[16..24].fill(0xff);
        assert!(!concerns_us(&beyond));
    }

    proptest! {
        #[test]
        fn no_bytes_harm(message in prop::collection::vec(any::<u8>(), 0..256), magic in any::<bool>()) {
            let mut bytes = if magic { UDEV_MAGIC.to_vec() } else { Vec::new() };
            bytes.extend(message);
            concerns_us(&bytes);
        }
    }
}
