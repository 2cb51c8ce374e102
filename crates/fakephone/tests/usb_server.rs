//! The phone behind USB/IP, byte for byte: what a kernel sends and what it gets.

use std::time::Duration;

use iosmux_fakephone::usb::server::Server;
use iosmux_fakephone::usb::usbip::{HEADER, OK, STALLED, UNLINKED, UsbIpError};
use iosmux_fakephone::usb::{Device, DeviceConfig, UsbFault};
use iosmux_usb::mode::GET_MODE;
use iosmux_usb::ncm::{Alignment, NtbParameters};
use iosmux_usb::ntb::{Decoder, Encoder, Layout};
use iosmux_usb::{Mode, Setup};
use proptest::prelude::*;

/// A host and the phone.
struct Host {
    device: Device,
    server: Server,
    sequence: u32,
}

/// An answer: command, sequence, status, carried bytes, data.
type Answer = (u32, u32, i32, u32, Vec<u8>);

impl Host {
    fn new(mode: Mode, faults: &[&str]) -> Host {
        let faults = faults.iter().map(|name| UsbFault::from_name(name).unwrap()).collect();
        let config =
            DeviceConfig { mode, faults, ..DeviceConfig::new("00008020-0000000000001234".parse().unwrap()) };
        Host { device: Device::new(config), server: Server::default(), sequence: 0 }
    }

    /// The private function is open.
    fn open(faults: &[&str]) -> Host {
        let mut host = Host::new(Mode::Ncm, faults);
        host.device.control(Setup::set_configuration(5), &[]).unwrap();
        host.device.control(Setup::set_interface(5, 1), &[]).unwrap();
        host
    }

    fn message(
        &mut self,
        command: u32,
        direction: u32,
        endpoint: u32,
        [flags, length]: [u32; 2],
        setup: [u8; 8],
    ) -> Vec<u8> {
        self.sequence += 1;
        let numbers = [command, self.sequence, 0x0001_0002, direction, endpoint, flags, length, 0, 0, 0];
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        bytes.extend(setup);
        bytes
    }

    fn control(&mut self, setup: Setup) -> Vec<u8> {
        self.message(1, setup.is_in().into(), 0, [0x200, setup.length.into()], setup.to_bytes())
    }

    fn read(&mut self, endpoint: u32, length: u32) -> Vec<u8> {
        self.message(1, 1, endpoint, [0x200, length], [0; 8])
    }

    fn write(&mut self, endpoint: u32, data: &[u8], flags: u32) -> Vec<u8> {
        let mut bytes = self.message(1, 0, endpoint, [flags, u32::try_from(data.len()).unwrap()], [0; 8]);
        bytes.extend(data);
        bytes
    }

    fn unlink(&mut self, transfer: u32) -> Vec<u8> {
        self.message(2, 0, 0, [transfer, 0], [0; 8])
    }

    fn send(&mut self, bytes: &[u8]) -> Vec<Answer> {
        self.server.receive(&mut self.device, bytes).unwrap();
        answers(&self.server.output())
    }
}

/// Cuts what came; the length of data is what the answer says, which these hosts ask for with reads only.
fn answers(mut bytes: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let (header, rest) = bytes.split_at(HEADER);
        let number = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().unwrap());
        let status = i32::from_be_bytes(header[20..24].try_into().unwrap());
        assert!(header[28..].iter().all(|byte| *byte == 0));
        let carried = number(24);
        let data = if rest.len() >= HEADER && rest.starts_with(&[0, 0, 0]) && (rest[3] == 3 || rest[3] == 4) {
            &rest[..0]
        } else {
            &rest[..rest.len().min(usize::try_from(carried).unwrap())]
        };
        answers.push((number(0), number(4), status, carried, data.to_vec()));
        bytes = &rest[data.len()..];
    }
    answers
}

fn layout() -> Layout {
    let alignment = Alignment { divisor: 4, remainder: 0, ndp: 4 };
    let parameters = NtbParameters {
        formats: 1,
        in_max_size: 16_384,
        in_alignment: alignment,
        out_max_size: 16_384,
        out_alignment: alignment,
        out_max_datagrams: 1,
    };
    Layout { max_frames: 1, ..Layout::to_device(&parameters, 512) }
}

#[test]
fn a_device_descriptor_is_brought_and_an_unknown_one_stalls() {
    let mut host = Host::new(Mode::Initial, &[]);
    let message = host.control(Setup::get_descriptor(1, 0, 0, 64));
    let answer = host.send(&message);
    assert_eq!(answer.len(), 1);
    let (command, sequence, status, carried, data) = &answer[0];
    assert_eq!((*command, *sequence, *status, *carried), (3, 1, OK, 18));
    assert_eq!(*data, include_bytes!("../src/usb/data/mode1_device.bin"));
    let message = host.control(Setup::get_descriptor(6, 0, 0, 10));
    assert_eq!(host.send(&message), [(3, 2, STALLED, 0, Vec::new())]);
}

#[test]
fn a_request_in_the_wrong_direction_stalls_and_does_nothing() {
    let mut host = Host::new(Mode::Initial, &[]);
    let setup = Mode::Ncm.set();
    let mut message = host.message(1, 0, 0, [0, 1], setup.to_bytes());
    message.push(0);
    assert_eq!(host.send(&message), [(3, 1, STALLED, 0, Vec::new())]);
    assert_eq!(host.server.departure(), None);
    // Without data there is no direction: Linux calls it outward. Source: Linux, drivers/usb/core/urb.c (usb_submit_urb).
    let message = host.message(1, 0, 0, [0, 0], Setup { length: 0, ..setup }.to_bytes());
    assert_eq!(host.send(&message), [(3, 2, OK, 0, Vec::new())]);
}

#[test]
fn messages_come_in_any_pieces() {
    let mut host = Host::open(&[]);
    let mut encoder = Encoder::new(layout());
    encoder.push(&[5; 200]).unwrap();
    let block = encoder.finish().unwrap().bytes.to_vec();
    let mut bytes = host.control(Setup::get_configuration());
    bytes.extend(host.write(6, &block, 0));
    let mut output = Vec::new();
    for byte in bytes {
        host.server.receive(&mut host.device, &[byte]).unwrap();
        output.extend(host.server.output());
    }
    let carried = u32::try_from(block.len()).unwrap();
    assert_eq!(output.len(), HEADER + 1 + HEADER);
    assert_eq!(output[HEADER], 5);
    assert_eq!(answers(&output[HEADER + 1..]), [(3, 2, OK, carried, Vec::new())]);
    assert_eq!(host.device.take_frame(), Some(vec![5; 200]));
}

#[test]
fn a_read_waits_until_a_frame_comes() {
    let mut host = Host::open(&[]);
    let (first, second) = (host.read(7, 16_384), host.read(7, 16_384));
    assert_eq!(host.send(&[first, second].concat()), []);
    host.device.send_frame(&[6; 60]);
    host.server.complete(&mut host.device);
    let answer = answers(&host.server.output());
    assert_eq!((answer.len(), answer[0].1, answer[0].2), (1, 1, OK));
    assert_eq!(Decoder::new(16_384).decode(&answer[0].4).unwrap().collect::<Vec<_>>(), [vec![6; 60]]);
    host.server.complete(&mut host.device);
    assert_eq!(answers(&host.server.output()), []);
}

#[test]
fn an_unlink_says_whether_the_transfer_was_still_there() {
    let mut host = Host::open(&[]);
    let read = host.read(5, 512);
    assert_eq!(host.send(&read), []);
    let unlink = host.unlink(1);
    assert_eq!(host.send(&unlink), [(4, 2, UNLINKED, 0, Vec::new())]);
    let again = host.unlink(1);
    assert_eq!(host.send(&again), [(4, 3, OK, 0, Vec::new())]);
}

#[test]
fn the_flag_for_a_packet_of_no_bytes_ends_a_block() {
    let mut host = Host::open(&[]);
    let mut encoder = Encoder::new(layout());
    encoder.push(&[8; 512 - 30]).unwrap();
    let block = encoder.finish().unwrap().bytes.to_vec();
    assert_eq!(block.len(), 512);
    let without = host.write(6, &block, 0);
    host.send(&without);
    assert_eq!(host.device.take_frame(), None, "the transfer goes on");
    let mut host = Host::open(&[]);
    let with = host.write(6, &block, 0x40);
    host.send(&with);
    assert_eq!(host.device.take_frame(), Some(vec![8; 512 - 30]));
}

#[test]
fn a_mode_is_accepted_before_the_phone_leaves() {
    let mut host = Host::new(Mode::Initial, &[]);
    let message = host.control(Mode::Ncm.set());
    assert_eq!(host.send(&message), [(3, 1, OK, 1, vec![0])]);
    let departure = host.server.departure().unwrap();
    assert_eq!((departure.mode, departure.away), (Mode::Ncm, Some(Duration::from_millis(300))));
    assert_eq!(host.server.departure(), None);
}

#[test]
fn a_phone_that_vanishes_answers_nothing_any_more() {
    let mut host = Host::open(&["vanish:1"]);
    let mut encoder = Encoder::new(layout());
    encoder.push(&[5; 60]).unwrap();
    let block = encoder.finish().unwrap().bytes.to_vec();
    let mut bytes = host.write(6, &block, 0);
    bytes.extend(host.control(Setup::get_configuration()));
    assert_eq!(host.send(&bytes), []);
    assert_eq!(host.server.departure().unwrap().after, Duration::ZERO);
    let late = host.control(Setup::get_configuration());
    assert_eq!(host.send(&late), []);
}

#[test]
fn a_mute_phone_leaves_control_requests_to_be_given_up_until_it_is_plugged_in_anew() {
    let answers_after = |host: &mut Host, requests: &[Setup]| {
        let bytes: Vec<u8> = requests.iter().flat_map(|setup| host.control(*setup)).collect();
        host.send(&bytes).len()
    };
    let (standard, vendor) = (Setup::get_configuration(), GET_MODE);
    let (choose, open) = (Setup::set_configuration(5), Setup::set_interface(5, 1));
    for (fault, requests, answered) in [
        ("mute", [standard, choose, vendor, standard], 2),
        ("mute:configured", [vendor, choose, standard, vendor], 2),
        ("mute:0", [choose, vendor, open, standard], 3),
    ] {
        let mut host = Host::new(Mode::Ncm, &[fault]);
        assert_eq!(answers_after(&mut host, &requests), answered, "{fault}");
        host.device.send_frame(&[6; 60]);
        host.server.complete(&mut host.device);
        assert_eq!(answers(&host.server.output()), [], "{fault}: nothing ends its wait");
        let (waiting, sequence) = (host.sequence, host.sequence + 1);
        let unlink = host.unlink(waiting);
        assert_eq!(host.send(&unlink), [(4, sequence, UNLINKED, 0, Vec::new())], "{fault}");
        host.device.replug(Mode::Initial);
        assert_eq!(answers_after(&mut host, &[standard]), 1, "{fault}");
    }
}

#[test]
fn a_stalling_phone_stalls_transfers_that_wait() {
    let mut host = Host::new(Mode::Ncm, &["stall"]);
    host.device.control(Setup::set_configuration(5), &[]).unwrap();
    let (read, write) = (host.read(5, 512), host.write(4, b"usbmux", 0));
    let answers = host.send(&[read, write].concat());
    assert_eq!(
        answers.iter().map(|answer| (answer.1, answer.2)).collect::<Vec<_>>(),
        [(2, STALLED), (1, STALLED)]
    );
}

#[test]
fn more_transfers_than_any_driver_has_end_the_attachment() {
    let mut host = Host::open(&[]);
    let mut bytes = Vec::new();
    for _ in 0..=1024 {
        bytes.extend(host.read(7, 512));
    }
    let refused = host.server.receive(&mut host.device, &bytes);
    assert_eq!(refused, Err(UsbIpError::Pending(1024)));
}

proptest! {
    #[test]
    fn any_bytes_are_answered_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        command in 1_u8..3, endpoint in 0_u8..16, direction in 0_u8..2, length in 0_u8..200,
    ) {
        let mut host = Host::open(&[]);
        let mut message = bytes;
        if message.len() >= HEADER {
            for (at, byte) in [(0, 0), (1, 0), (2, 0), (3, command), (12, 0), (13, 0), (14, 0), (15, direction),
                (16, 0), (17, 0), (18, 0), (19, endpoint), (24, 0), (25, 0), (26, 0), (27, length), (32, 0), (33, 0), (34, 0), (35, 0)] {
                message[at] = byte;
            }
        }
        // An error ends the attachment; nothing else may happen.
        if host.server.receive(&mut host.device, &message).is_ok() {
            let output = host.server.output();
            prop_assert!(output.is_empty() || output.len() >= HEADER);
        }
    }
}
