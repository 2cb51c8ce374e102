//! The phone as a USB device, without any bus: what a host sees, request by request.

use std::time::Duration;

use iosmux_fakephone::usb::{Departure, Device, DeviceConfig, Stall, UsbFault};
use iosmux_usb::mode::GET_MODE;
use iosmux_usb::ncm::{self, NtbParameters};
use iosmux_usb::ntb::{Encoder, Layout};
use iosmux_usb::setup::{IN_CLASS_INTERFACE, IN_VENDOR_DEVICE};
use iosmux_usb::{Configuration, Descriptors, Mac, Mode, ModeReply, Setup, Udid, string};
use proptest::prelude::*;

const UDID: &str = "00008020-0000000000001234";

fn phone(faults: &[UsbFault]) -> Device {
    let config = DeviceConfig { faults: faults.to_vec(), ..DeviceConfig::new(UDID.parse().unwrap()) };
    Device::new(config)
}

fn fault(name: &str) -> UsbFault {
    UsbFault::from_name(name).unwrap()
}

/// Reads all descriptors as a kernel does: by control requests alone.
fn enumerate(phone: &mut Device) -> Result<Descriptors, iosmux_usb::DescriptorError> {
    let mut bytes = phone.control(Setup::get_descriptor(1, 0, 0, 18), &[]).unwrap();
    for number in 0..bytes[17] {
        let head = phone.control(Setup::get_descriptor(2, number, 0, 9), &[]).unwrap();
        let length = u16::from_le_bytes([head[2], head[3]]);
        bytes.extend(phone.control(Setup::get_descriptor(2, number, 0, length), &[]).unwrap());
    }
    Descriptors::parse(&bytes)
}

fn text(phone: &mut Device, number: u8) -> String {
    let setup = Setup::get_descriptor(3, number, string::ENGLISH, 255);
    string::decode(&phone.control(setup, &[]).unwrap()).unwrap()
}

/// Asks for a mode, and carries out what the phone then does; gives how long it was away.
fn switch(phone: &mut Device, mode: Mode) -> Duration {
    assert_eq!(phone.control(mode.set(), &[]), Ok(vec![0]));
    let departure = phone.departure().unwrap();
    phone.replug(departure.mode);
    departure.away.unwrap()
}

/// A phone whose private function is open.
fn open(faults: &[UsbFault]) -> (Device, NtbParameters) {
    let mut phone = phone(faults);
    switch(&mut phone, Mode::Ncm);
    phone.control(Setup::set_configuration(5), &[]).unwrap();
    let answer = phone.control(ncm::get_ntb_parameters(4), &[]).unwrap();
    let parameters = NtbParameters::parse(&answer).unwrap();
    let (setup, data) = ncm::set_ntb_input_size(4, ncm::INPUT_SIZE);
    phone.control(setup, &data).unwrap();
    phone.control(Setup::set_interface(5, 1), &[]).unwrap();
    (phone, parameters)
}

#[test]
fn a_new_phone_is_in_its_initial_mode_with_the_udid_as_serial() {
    let mut phone = phone(&[]);
    let descriptors = enumerate(&mut phone).unwrap();
    assert_eq!(Mode::guess(&descriptors), Some(Mode::Initial));
    assert_eq!(phone.control(GET_MODE, &[]), Ok(ModeReply::INITIAL.0.to_vec()));
    let serial = text(&mut phone, descriptors.device.serial_string);
    assert_eq!(Udid::from_serial(&serial).unwrap().as_str(), UDID);
    assert_eq!(text(&mut phone, descriptors.device.product_string), "iPhone");
}

#[test]
fn set_mode_is_accepted_and_the_phone_is_away_for_a_third_of_a_second() {
    let mut phone = phone(&[]);
    phone.control(Setup::set_configuration(4), &[]).unwrap();
    assert_eq!(switch(&mut phone, Mode::Ncm), Duration::from_millis(300));
    assert_eq!(phone.control(Setup::get_configuration(), &[]), Ok(vec![0]));
    assert_eq!(phone.control(GET_MODE, &[]), Ok(ModeReply::NCM.0.to_vec()));
    let descriptors = enumerate(&mut phone).unwrap();
    let (configuration, private) = descriptors.ncm_configuration().unwrap();
    assert_eq!((configuration.value, private.control, private.data), (5, 4, 5));
    let mac = Mac::from_string_descriptor(&text(&mut phone, private.ethernet.mac_string)).unwrap();
    assert_eq!(mac, phone.config().private_mac);
    switch(&mut phone, Mode::Initial);
    assert_eq!(Mode::guess(&enumerate(&mut phone).unwrap()), Some(Mode::Initial));
}

#[test]
fn a_mode_whose_descriptors_nobody_knows_is_refused_and_counted() {
    let gaps = iosmux_fakephone::not_sourced::Gaps::default();
    let mut phone = phone(&[]).with_gaps(gaps.clone());
    for number in [0, 2, 4, 5, 77] {
        let setup = Setup::new(IN_VENDOR_DEVICE, 0x52, 0, number, 1);
        assert_eq!(phone.control(setup, &[]), Err(Stall));
    }
    assert_eq!((phone.departure(), gaps.counts()["usb-mode"]), (None, 5));
}

#[test]
fn requests_that_it_does_not_know_stall() {
    let (mut phone, _) = open(&[]);
    let class = |request, index| Setup::new(IN_CLASS_INTERFACE, request, 0, index, 4);
    for setup in [
        Setup::set_configuration(9),
        Setup::set_interface(5, 2),
        Setup::set_interface(9, 0),
        Setup::get_descriptor(6, 0, 0, 10),
        Setup::get_descriptor(15, 0, 0, 5),
        Setup::get_descriptor(2, 5, 0, 9),
        Setup::get_descriptor(3, 28, 0, 255),
        Setup::new(IN_VENDOR_DEVICE, 0x40, 0, 0, 4),
        class(0xa0, 4),
        class(0x80, 0),
        class(0x80, 5),
        class(0x80, 0x104),
        ncm::set_ntb_format_16(4),
        ncm::set_crc_mode_off(4),
    ] {
        assert_eq!(phone.control(setup, &[0; 4]), Err(Stall), "{setup:?}");
    }
    for size in [2047, 32_769] {
        let (setup, data) = ncm::set_ntb_input_size(4, size);
        assert_eq!(phone.control(setup, &data), Err(Stall));
    }
}

#[test]
fn the_opening_of_macos_is_taken_except_for_what_nobody_knows() {
    // Source: protocol.md §1.6.
    let mut phone = phone(&[]);
    switch(&mut phone, Mode::Ncm);
    phone.control(Setup::set_configuration(5), &[]).unwrap();
    phone.control(Setup::set_interface(5, 0), &[]).unwrap();
    phone.control(ncm::set_crc_mode_off(4), &[]).unwrap();
    phone.control(ncm::set_ntb_format_16(4), &[]).unwrap();
    let (setup, data) = ncm::set_max_datagram_size(4, 1514);
    phone.control(setup, &data).unwrap();
    let (setup, data) = ncm::set_ntb_input_size(4, 16_384);
    phone.control(setup, &data).unwrap();
    assert!(!phone.is_open());
    phone.control(Setup::set_interface(5, 1), &[]).unwrap();
    assert!(phone.is_open());
    let size = Setup::new(IN_CLASS_INTERFACE, ncm::GET_NTB_INPUT_SIZE, 0, 4, 4);
    assert_eq!(phone.control(size, &[]), Ok(16_384_u32.to_le_bytes().to_vec()));
}

#[test]
fn endpoints_are_there_only_while_their_setting_is_chosen() {
    let (mut phone, _) = open(&[]);
    assert_eq!(phone.bulk_in(0x85, 512), Ok(None), "usbmux stays quiet");
    assert_eq!(phone.bulk_out(0x04, b"anything"), Ok(()));
    assert_eq!(phone.bulk_in(0x86, 512), Err(Stall), "tethering is not open");
    phone.send_frame(&[1; 60]);
    phone.control(Setup::set_interface(5, 0), &[]).unwrap();
    assert_eq!((phone.bulk_in(0x87, 512), phone.bulk_out(0x06, &[])), (Err(Stall), Err(Stall)));
    phone.control(Setup::set_interface(5, 1), &[]).unwrap();
    assert_eq!(phone.bulk_in(0x87, 512), Ok(None), "what waited is gone");
    phone.control(Setup::set_configuration(0), &[]).unwrap();
    assert!(!phone.is_open());
    assert_eq!(phone.bulk_in(0x81, 512), Err(Stall));
}

#[test]
fn apples_ethernet_function_tells_its_mac_in_its_own_configuration_only() {
    let mut phone = phone(&[]);
    let ask = Setup::new(IN_VENDOR_DEVICE, 0, 0, 2, 64);
    assert_eq!(phone.control(ask, &[]), Err(Stall));
    phone.control(Setup::set_configuration(4), &[]).unwrap();
    assert_eq!(phone.control(ask, &[]), Ok(phone.config().tethering_mac.0.to_vec()));
    let carrier = Setup::new(IN_VENDOR_DEVICE, GET_MODE.request, 0, 2, 64);
    assert_eq!(phone.control(carrier, &[]), Ok(ModeReply::INITIAL.0.to_vec()));
}

#[test]
fn refused_modes() {
    let mut refuses = phone(&[fault("refuse-mode")]);
    assert_eq!(refuses.control(Mode::Ncm.set(), &[]), Ok(vec![1]));
    let mut stalls = phone(&[fault("refuse-mode:stall")]);
    assert_eq!(stalls.control(Mode::Ncm.set(), &[]), Err(Stall));
    assert_eq!((refuses.departure(), stalls.departure()), (None, None));
}

#[test]
fn slow_reenumeration_and_forgotten_modes() {
    let mut slow = phone(&[fault("slow-reenumeration:7")]);
    assert_eq!(switch(&mut slow, Mode::Ncm), Duration::from_secs(7));
    let mut forgets = phone(&[fault("forget-mode")]);
    switch(&mut forgets, Mode::Ncm);
    assert_eq!(forgets.mode(), Mode::Initial);
    for (name, after) in
        [("forget-mode:configured", Duration::from_millis(50)), ("suspend:3", Duration::from_secs(3))]
    {
        let (mut later, _) = open(&[fault(name)]);
        let departure = later.departure().unwrap();
        assert_eq!((departure.after, departure.mode), (after, Mode::Initial));
        later.replug(departure.mode);
        later.control(Setup::set_configuration(4), &[]).unwrap();
        assert_eq!((later.departure(), later.is_open()), (None, false));
    }
}

#[test]
fn a_phone_that_vanishes_leaves_in_the_transfer_and_once() {
    let (mut phone, parameters) = open(&[fault("vanish:2")]);
    let mut encoder = Encoder::new(Layout::to_device(&parameters, 512));
    let mut send = |phone: &mut Device| {
        encoder.push(&[1; 60]).unwrap();
        phone.bulk_out(0x06, encoder.finish().unwrap().bytes)
    };
    assert_eq!((send(&mut phone), phone.departure()), (Ok(()), None));
    assert_eq!(send(&mut phone), Err(Stall));
    let gone = Departure { after: Duration::ZERO, away: None, mode: Mode::Initial };
    assert_eq!(phone.departure(), Some(gone));
    assert_eq!((send(&mut phone), phone.departure()), (Ok(()), None));
}

#[test]
fn a_phone_that_stalls_can_be_enumerated_and_nothing_else() {
    let mut phone = phone(&[fault("stall")]);
    enumerate(&mut phone).unwrap();
    phone.control(Setup::set_configuration(3), &[]).unwrap();
    for setup in [GET_MODE, Mode::Ncm.set(), ncm::get_ntb_parameters(4)] {
        assert_eq!(phone.control(setup, &[]), Err(Stall));
    }
    assert_eq!((phone.bulk_in(0x85, 512), phone.bulk_out(0x04, &[1])), (Err(Stall), Err(Stall)));
}

#[test]
fn wrong_descriptors_long_strings_and_a_drifting_mode() {
    let mut wrong = phone(&[fault("wrong-descriptors")]);
    switch(&mut wrong, Mode::Ncm);
    assert!(enumerate(&mut wrong).is_err());
    let mut no_mac = phone(&[fault("wrong-descriptors:mac")]);
    switch(&mut no_mac, Mode::Ncm);
    let private = enumerate(&mut no_mac).unwrap().ncm_configuration().unwrap().1;
    assert!(Mac::from_string_descriptor(&text(&mut no_mac, private.ethernet.mac_string)).is_err());
    let mut long = phone(&[fault("long-strings")]);
    assert_eq!(long.control(Setup::get_descriptor(3, 3, string::ENGLISH, 4096), &[]).unwrap().len(), 4096);
    let error = Udid::from_serial(&text(&mut long, 3)).unwrap_err().to_string();
    assert!(error.len() < 1000 && error.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{error}");
    let mut drifts = phone(&[fault("mode-drift")]);
    switch(&mut drifts, Mode::Ncm);
    let descriptors = enumerate(&mut drifts).unwrap();
    assert_eq!(descriptors.ncm_configuration().unwrap().0.value, 6);
    assert_eq!(descriptors.device.configurations, 6);
    let reply = ModeReply::from_bytes(&drifts.control(GET_MODE, &[]).unwrap()).unwrap();
    assert_eq!(reply.reading(), iosmux_usb::mode::ModeReading::Unknown);
}

proptest! {
    #[test]
    fn no_sequence_of_requests_and_transfers_does_harm(
        steps in prop::collection::vec((any::<[u8; 8]>(), 0_u8..6, any::<u8>(), prop::collection::vec(any::<u8>(), 0..64)), 1..60),
        faults in prop::collection::vec(prop::sample::select(vec![
            "mode-drift", "forget-mode:configured", "wrong-descriptors", "wrong-descriptors:no-private", "long-strings",
        ]), 0..2),
    ) {
        let faults: Vec<UsbFault> = faults.into_iter().map(fault).collect();
        let mut phone = phone(&faults);
        for (setup, kind, endpoint, data) in steps {
            let arbitrary = Setup::from_bytes(&setup).unwrap();
            let answer = match kind {
                0 => phone.control(arbitrary, &data),
                1 => phone.control(Setup::set_configuration(endpoint % 7), &[]),
                2 => phone.control(Setup::set_interface(endpoint % 6, endpoint % 3), &[]),
                3 => phone.control(Mode::Ncm.set(), &[]),
                4 => phone.bulk_out(endpoint & 0x0f, &data).map(|()| Vec::new()),
                _ => phone.bulk_in(endpoint, 512).map(Option::unwrap_or_default),
            };
            if let (Ok(answer), 0) = (answer, kind) {
                prop_assert!(answer.len() <= usize::from(arbitrary.length));
            }
            if let Some(departure) = phone.departure() {
                phone.replug(departure.mode);
            }
            prop_assert!(phone.configuration() == 0 || phone.descriptors().of_value(phone.configuration()).is_some());
            for bytes in &phone.descriptors().configurations {
                let wrong = faults.contains(&fault("wrong-descriptors"));
                prop_assert!(wrong || Configuration::parse(bytes).is_ok());
            }
        }
    }
}
