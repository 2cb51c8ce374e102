//! The NCM functions of the phone, without any bus: blocks both ways, and what hosts set.

use iosmux_fakephone::usb::{Device, DeviceConfig};
use iosmux_usb::ncm::{self, Notification, NtbParameters};
use iosmux_usb::ntb::{Decoder, Encoder, Layout};
use iosmux_usb::setup::IN_CLASS_INTERFACE;
use iosmux_usb::{Mode, Setup};

/// A phone whose private function is open.
fn open() -> (Device, NtbParameters) {
    let config = DeviceConfig::new("00008020-0000000000001234".parse().unwrap());
    let mut phone = Device::new(DeviceConfig { mode: Mode::Ncm, ..config });
    phone.control(Setup::set_configuration(5), &[]).unwrap();
    let answer = phone.control(ncm::get_ntb_parameters(4), &[]).unwrap();
    let (setup, data) = ncm::set_ntb_input_size(4, ncm::INPUT_SIZE);
    phone.control(setup, &data).unwrap();
    phone.control(Setup::set_interface(5, 1), &[]).unwrap();
    (phone, NtbParameters::parse(&answer).unwrap())
}

#[test]
fn alternate_setting_0_forgets_what_was_set() {
    let (mut phone, _) = open();
    let (setup, data) = ncm::set_max_datagram_size(4, 1000);
    phone.control(setup, &data).unwrap();
    let sizes = |phone: &mut Device| {
        let ask = |request, length| Setup::new(IN_CLASS_INTERFACE, request, 0, 4, length);
        let input = phone.control(ask(ncm::GET_NTB_INPUT_SIZE, 4), &[]).unwrap();
        let datagram = phone.control(ask(ncm::GET_MAX_DATAGRAM_SIZE, 2), &[]).unwrap();
        (input, datagram)
    };
    let of = |input: u32, datagram: u16| (input.to_le_bytes().to_vec(), datagram.to_le_bytes().to_vec());
    assert_eq!(sizes(&mut phone), of(16_384, 1000));
    phone.control(Setup::set_interface(5, 1), &[]).unwrap();
    assert_eq!(sizes(&mut phone), of(16_384, 1000));
    phone.control(Setup::set_interface(5, 0), &[]).unwrap();
    assert_eq!(sizes(&mut phone), of(32_768, 1514));
    // A host that sets first and resets then gets longer blocks than it asked for.
    phone.control(Setup::set_interface(5, 1), &[]).unwrap();
    for _ in 0..20 {
        phone.send_frame(&[1; 1514]);
    }
    assert!(phone.bulk_in(0x87, 65_536).unwrap().unwrap().len() > 16_384);
}

#[test]
fn frames_go_both_ways_through_the_private_function() {
    let (mut phone, parameters) = open();
    let mut encoder = Encoder::new(Layout::to_device(&parameters, 512));
    for byte in 1..=3 {
        encoder.push(&[byte; 60]).unwrap();
    }
    phone.bulk_out(0x06, encoder.finish().unwrap().bytes).unwrap();
    for byte in 1..=3 {
        assert_eq!(phone.take_frame(), Some(vec![byte; 60]));
    }
    assert_eq!((phone.take_frame(), phone.bulk_in(0x87, 16_384)), (None, Ok(None)));
    for byte in 4..=5 {
        phone.send_frame(&[byte; 1514]);
    }
    let block = phone.bulk_in(0x87, 16_384).unwrap().unwrap();
    let mut decoder = Decoder::new(16_384);
    let frames: Vec<u8> = decoder.decode(&block).unwrap().map(|frame| frame[0]).collect();
    assert_eq!((frames, phone.bulk_in(0x87, 16_384)), (vec![4, 5], Ok(None)));
    let traffic = phone.traffic();
    assert_eq!((traffic.from_host, traffic.to_host, traffic.dropped, traffic.bad_blocks), (3, 2, 0, 0));
}

#[test]
fn a_block_that_fills_its_packets_waits_for_the_packet_of_no_bytes() {
    let (mut phone, parameters) = open();
    let layout = Layout { max_frames: 1, ..Layout::to_device(&parameters, 512) };
    let mut encoder = Encoder::new(layout);
    encoder.push(&[7; 512 - 30]).unwrap();
    let block = encoder.finish().unwrap();
    assert!(block.zero_length_packet);
    phone.bulk_out(0x06, block.bytes).unwrap();
    assert_eq!(phone.take_frame(), None);
    phone.bulk_out(0x06, &[]).unwrap();
    assert_eq!(phone.take_frame(), Some(vec![7; 512 - 30]));
    phone.bulk_out(0x06, &[]).unwrap();
    phone.bulk_out(0x06, b"no block").unwrap();
    assert_eq!((phone.take_frame(), phone.traffic().bad_blocks), (None, 1));
}

#[test]
fn a_frame_from_the_host_that_is_too_long_is_dropped_and_counted() {
    let (mut phone, _) = open();
    let mut block = b"NCMH\x0c\0\0\0\0\0\x0c\0NCM0\x14\0\0\0\x20\0\xef\x05\x10\x06\x0e\0\0\0\0\0".to_vec();
    block.resize(0x610 + 14, 3);
    phone.bulk_out(0x06, &block).unwrap();
    assert_eq!((phone.take_frame(), phone.take_frame()), (Some(vec![3; 14]), None));
    assert_eq!((phone.traffic().dropped, phone.traffic().bad_blocks), (1, 0));
}

#[test]
fn a_short_buffer_gets_the_block_in_parts() {
    let (mut phone, _) = open();
    phone.send_frame(&[9; 1000]);
    let mut block = Vec::new();
    while let Some(part) = phone.bulk_in(0x87, 512).unwrap() {
        assert!(part.len() <= 512);
        block.extend(part);
    }
    assert_eq!(Decoder::new(16_384).decode(&block).unwrap().collect::<Vec<_>>(), [vec![9; 1000]]);
}

#[test]
fn a_block_that_filled_its_last_buffer_is_ended_by_a_packet_of_no_bytes() {
    let (mut phone, _) = open();
    // The head, an NDP for forty frames, padding: what is before the frame.
    phone.send_frame(&[9; 60]);
    let head = phone.bulk_in(0x87, 16_384).unwrap().unwrap().len() - 60;
    for (length, buffer, ended) in
        [(1024, 512, true), (1024, 1024, true), (1024, 2048, false), (1023, 1023, false)]
    {
        phone.send_frame(&vec![9; length - head]);
        let mut sizes = Vec::new();
        while let Some(part) = phone.bulk_in(0x87, buffer).unwrap() {
            sizes.push(part.len());
        }
        assert_eq!(sizes.iter().sum::<usize>(), length);
        assert_eq!(sizes.last() == Some(&0), ended, "{sizes:?}");
        assert_eq!(sizes.len(), length.div_ceil(buffer) + usize::from(ended));
    }
}

#[test]
fn a_block_of_full_length_is_not_ended_by_a_packet_of_no_bytes() {
    let (mut phone, _) = open();
    let (setup, data) = ncm::set_ntb_input_size(4, 2048);
    phone.control(setup, &data).unwrap();
    phone.send_frame(&[9; 60]);
    let head = phone.bulk_in(0x87, 2048).unwrap().unwrap().len() - 60;
    phone.send_frame(&[9; 1000]);
    phone.send_frame(&vec![9; 2048 - head - 1000]);
    assert_eq!(phone.bulk_in(0x87, 2048).unwrap().unwrap().len(), 2048);
    assert_eq!(phone.bulk_in(0x87, 2048), Ok(None));
}

#[test]
fn the_tethering_function_says_that_it_is_connected_and_carries_nothing() {
    let (mut phone, parameters) = open();
    assert_eq!(phone.bulk_in(0x88, 16), Ok(None));
    phone.control(Setup::set_interface(3, 1), &[]).unwrap();
    let mut next = || Notification::from_bytes(&phone.bulk_in(0x88, 16).unwrap().unwrap()).unwrap();
    assert!(matches!(next(), (Notification::Speed { down: 480_000_000, .. }, 2)));
    assert_eq!(next(), (Notification::Connection { up: true }, 2));
    assert_eq!(phone.bulk_in(0x88, 16), Ok(None));
    // A short buffer gets a notification in parts.
    phone.control(Setup::set_interface(3, 1), &[]).unwrap();
    let sizes = [10, 10, 10].map(|max| phone.bulk_in(0x88, max).unwrap().unwrap().len());
    assert_eq!((sizes, phone.bulk_in(0x88, 10)), ([10, 6, 8], Ok(None)));
    let mut encoder = Encoder::new(Layout::to_device(&parameters, 512));
    encoder.push(&[1; 60]).unwrap();
    phone.bulk_out(0x05, encoder.finish().unwrap().bytes).unwrap();
    assert_eq!((phone.take_frame(), phone.bulk_in(0x86, 512)), (None, Ok(None)));
    assert_eq!((phone.traffic().tethering, phone.traffic().from_host), (1, 0));
}

#[test]
fn a_host_that_never_reads_costs_a_bounded_queue() {
    let (mut phone, _) = open();
    for sent in 0..1000 {
        assert_eq!(phone.has_room(), sent < 256);
        phone.send_frame(&[1; 1514]);
    }
    phone.send_frame(&[1; 1515]);
    assert_eq!(phone.traffic().dropped, 1000 - 256 + 1);
}
