//! USB/IP messages, as the kernel's virtual host controller sends them. Source: Linux, Documentation/usb/usbip_protocol.rst.

use iosmux_usb::Setup;

/// Bytes of a message before its data.
pub const HEADER: usize = 48;
/// Bytes of one transfer at most. The bound is our own: usbfs and usbnet ask for 64 KiB at most.
pub const MAX_TRANSFER: usize = 1 << 20;

const CMD_SUBMIT: u32 = 1;
const CMD_UNLINK: u32 = 2;
const RET_SUBMIT: u32 = 3;
const RET_UNLINK: u32 = 4;
/// Ends a transfer from the host with a packet of no bytes, if it fills its packets. Source: Linux, usbip_protocol.rst (transfer flags).
const ZERO_PACKET: u32 = 0x40;

/// The transfer went well.
pub const OK: i32 = 0;
/// The endpoint stalled. Source: Linux, Documentation/driver-api/usb/error-codes.rst (-EPIPE).
pub const STALLED: i32 = -32;
/// The transfer was unlinked. Source: the same (-ECONNRESET).
pub const UNLINKED: i32 = -104;

/// What the host asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// A transfer.
    Submit(Submit),
    /// Give up a transfer that has no answer yet.
    Unlink {
        /// Of this message.
        sequence: u32,
        /// Of the transfer.
        transfer: u32,
    },
}

/// A transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submit {
    /// Its number, which the answer repeats.
    pub sequence: u32,
    /// The endpoint's address, direction included; of endpoint 0 the direction of the data.
    pub endpoint: u8,
    /// Bytes that follow, or that there is room for.
    pub length: usize,
    /// Whether it ends with a packet of no bytes.
    pub zero_packet: bool,
    /// The setup packet, when it is a control transfer.
    pub setup: Setup,
}

/// A message that the virtual host controller never sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UsbIpError {
    /// Neither a transfer nor an unlink.
    #[error("USB/IP command 1 or 2 was expected, {0} came; unplug and plug in again")]
    Command(u32),
    /// No endpoint has this number or direction.
    #[error(
        "USB/IP names endpoint {number} in direction {direction}, 0 to 15 and 0 or 1 were expected; unplug and plug in again"
    )]
    Endpoint {
        /// Its number.
        number: u32,
        /// 0 is from the host.
        direction: u32,
    },
    /// More data than a transfer has.
    #[error(
        "USB/IP announces a transfer of {0} bytes, at most {MAX_TRANSFER} were expected; unplug and plug in again"
    )]
    Length(u32),
    /// An isochronous transfer: the phone has no such endpoint that anyone opens.
    #[error("USB/IP announces {0} isochronous packets, none were expected; unplug and plug in again")]
    Isochronous(u32),
    /// More transfers than are kept.
    #[error("more than {0} transfers wait for an answer; unplug and plug in again")]
    Pending(usize),
}

impl Command {
    /// Reads a message's head.
    pub fn read(header: &[u8; HEADER]) -> Result<Command, UsbIpError> {
        let number =
            |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let sequence = number(4);
        match number(0) {
            CMD_SUBMIT => submit(header, sequence, number).map(Command::Submit),
            CMD_UNLINK => Ok(Command::Unlink { sequence, transfer: number(20) }),
            other => Err(UsbIpError::Command(other)),
        }
    }

    /// Bytes that follow the head.
    #[must_use]
    pub fn data_length(&self) -> usize {
        match self {
            Command::Submit(submit) if submit.endpoint & 0x80 == 0 => submit.length,
            _ => 0,
        }
    }
}

fn submit(header: &[u8; HEADER], sequence: u32, number: impl Fn(usize) -> u32) -> Result<Submit, UsbIpError> {
    let (direction, endpoint) = (number(12), number(16));
    let address = match (u8::try_from(endpoint), direction) {
        (Ok(endpoint @ 0..=15), 0) => endpoint,
        (Ok(endpoint @ 0..=15), 1) => endpoint | 0x80,
        _ => return Err(UsbIpError::Endpoint { number: endpoint, direction }),
    };
    let length = usize::try_from(number(24)).ok().filter(|length| *length <= MAX_TRANSFER);
    let length = length.ok_or(UsbIpError::Length(number(24)))?;
    // -1 says that it is not isochronous as well.
    if !matches!(number(32), 0 | u32::MAX) {
        return Err(UsbIpError::Isochronous(number(32)));
    }
    let setup = &header[40..];
    let setup = Setup::from_bytes(setup).unwrap_or(Setup::new(0, 0, 0, 0, 0));
    Ok(Submit { sequence, endpoint: address, length, zero_packet: number(20) & ZERO_PACKET != 0, setup })
}

/// The head of the answer to a transfer: its status, and the bytes that were carried.
#[must_use]
pub fn submitted(sequence: u32, status: i32, carried: usize) -> [u8; HEADER] {
    answer(RET_SUBMIT, sequence, status, u32::try_from(carried).unwrap_or(u32::MAX))
}

/// The answer to an unlink.
#[must_use]
pub fn unlinked(sequence: u32, status: i32) -> [u8; HEADER] {
    answer(RET_UNLINK, sequence, status, 0)
}

fn answer(command: u32, sequence: u32, status: i32, carried: u32) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    for (at, number) in [(0, command), (4, sequence), (24, carried)] {
        header[at..at + 4].copy_from_slice(&number.to_be_bytes());
    }
    header[20..24].copy_from_slice(&status.to_be_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel's own examples. Source: Linux, usbip_protocol.rst ("Wireshark dump", USBIP_CMD_SUBMIT and USBIP_CMD_UNLINK).
    fn example(hex: &str) -> [u8; HEADER] {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect::<Vec<u8>>().try_into().unwrap()
    }

    const CMD_IN: &str = "00000001 00000d05 0001000f 00000001 00000001 00000200 00000040 ffffffff 00000000 00000004 00000000 00000000";
    const CMD_OUT: &str = "00000001 00000d06 0001000f 00000000 00000001 00000000 00000040 ffffffff 00000000 00000004 00000000 00000000";
    const RET_OUT: &str = "00000003 00000d06 00000000 00000000 00000000 00000000 00000040 ffffffff 00000000 00000000 00000000 00000000";
    const CONTROL: &str = "00000001 00000001 00010002 00000001 00000000 00000200 00000040 00000000 00000000 00000000 80060001 00004000";

    #[test]
    fn the_kernels_examples_are_read() {
        let Ok(Command::Submit(submit)) = Command::read(&example(CMD_IN)) else { panic!() };
        assert_eq!((submit.sequence, submit.endpoint, submit.length), (0xd05, 0x81, 64));
        assert_eq!(Command::Submit(submit).data_length(), 0);
        let Ok(command) = Command::read(&example(CMD_OUT)) else { panic!() };
        assert_eq!(command.data_length(), 64);
        let Ok(Command::Submit(submit)) = Command::read(&example(CONTROL)) else { panic!() };
        assert_eq!(submit.setup, Setup::get_descriptor(1, 0, 0, 64));
    }

    #[test]
    fn an_answer_has_the_kernels_form() {
        let mut expected = example(RET_OUT);
        // The start frame, which only isochronous transfers have: the kernel's example repeats what it was asked.
        expected[28..32].fill(0);
        assert_eq!(submitted(0xd06, OK, 64), expected);
        let stalled = submitted(7, STALLED, 0);
        assert_eq!(stalled[20..24], [0xff, 0xff, 0xff, 0xe0]);
        assert_eq!(unlinked(8, UNLINKED)[..8], [0, 0, 0, 4, 0, 0, 0, 8]);
    }

    #[test]
    fn what_the_kernel_never_sends_is_refused() {
        let with = |at: usize, number: u32| {
            let mut header = example(CMD_OUT);
            header[at..at + 4].copy_from_slice(&number.to_be_bytes());
            Command::read(&header).unwrap_err()
        };
        assert_eq!(with(0, 3), UsbIpError::Command(3));
        assert_eq!(with(16, 16), UsbIpError::Endpoint { number: 16, direction: 0 });
        assert_eq!(with(12, 2), UsbIpError::Endpoint { number: 1, direction: 2 });
        assert_eq!(with(24, 0x0010_0001), UsbIpError::Length(0x0010_0001));
        assert_eq!(with(32, 5), UsbIpError::Isochronous(5));
    }
}
