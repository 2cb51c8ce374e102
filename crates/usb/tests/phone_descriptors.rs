//! The captured phone's descriptors, and those that it has after the switch.

mod support;

use iosmux_usb::descriptor::Transfer;
use iosmux_usb::{Configuration, DescriptorError, Descriptors, Device, FunctionError, Mac, Mode, is_phone};
use support::{fixture, initial, switched};

#[test]
fn the_captured_device_is_read_and_built_again() {
    let bytes = fixture("iphone_12a8_bcd1404_mode1_device.bin");
    let device = Device::parse(&bytes).unwrap();
    assert!(is_phone(device.vendor, device.product));
    assert_eq!((device.usb, device.release, device.configurations), (0x0200, 0x1404, 4));
    assert_eq!((device.manufacturer_string, device.product_string, device.serial_string), (1, 2, 3));
    assert_eq!(device.to_bytes().as_slice(), bytes);
}

#[test]
fn the_captured_configurations_are_read() {
    let phone = Descriptors::parse(&initial()).unwrap();
    let summary: Vec<String> = phone.configurations.iter().map(summary).collect();
    insta::assert_snapshot!(summary.join("\n"), @r"
    1 (string 5): 0.0 06/01/01 [02 81 83]
    2 (string 6): 0.0 01/01/00 [], 1.0 01/02/00 [], 1.1 01/02/00 [81], 2.0 03/00/00 [83]
    3 (string 7): 0.0 06/01/01 [02 81 83], 1.0 ff/fe/02 [04 85]
    4 (string 8): 0.0 06/01/01 [02 81 83], 1.0 ff/fe/02 [04 85], 2.0 ff/fd/01 [], 2.1 ff/fd/01 [86 05], 2.2 ff/fd/01 [86 05]
    ");
    assert_eq!(Mode::guess(&phone), Some(Mode::Initial));
    assert_eq!(phone.ncm_configuration(), None);
    assert!(phone.configurations[2].has_usbmux() && !phone.configurations[0].has_usbmux());
    let interrupt = phone.configurations[0].settings[0].endpoints[2];
    assert_eq!(
        (interrupt.transfer(), interrupt.max_packet, interrupt.interval),
        (Transfer::Interrupt, 64, 10)
    );
}

fn summary(configuration: &Configuration) -> String {
    let settings: Vec<String> = configuration
        .settings
        .iter()
        .map(|setting| {
            let endpoints: Vec<String> =
                setting.endpoints.iter().map(|endpoint| format!("{:02x}", endpoint.address)).collect();
            let (class, subclass, protocol) = (setting.class, setting.subclass, setting.protocol);
            let name = format!("{}.{}", setting.interface, setting.alternate);
            format!("{name} {class:02x}/{subclass:02x}/{protocol:02x} [{}]", endpoints.join(" "))
        })
        .collect();
    format!("{} (string {}): {}", configuration.value, configuration.name_string, settings.join(", "))
}

#[test]
fn both_functions_are_found_and_the_private_one_is_that_without_a_status_endpoint() {
    let phone = Descriptors::parse(&switched()).unwrap();
    assert_eq!(Mode::guess(&phone), Some(Mode::Ncm));
    let (configuration, private) = phone.ncm_configuration().unwrap();
    assert_eq!(configuration.value, 5);
    assert_eq!((private.control, private.data, private.alternate), (4, 5, 1));
    assert_eq!((private.bulk_in.address, private.bulk_out.address), (0x87, 0x06));
    assert_eq!((private.ethernet.mac_string, private.ethernet.max_segment), (17, 1514));
    let tethering = configuration.tethering_function().unwrap();
    assert_eq!((tethering.control, tethering.status.unwrap().address), (2, 0x88));
    assert_eq!(configuration.ncm_functions().len(), 2);
}

/// Configuration 5, with one byte of it changed where `find` first is.
fn changed(find: &[u8], at: usize, byte: u8) -> Vec<Result<u8, FunctionError>> {
    let mut bytes = switched();
    let place = bytes.windows(find.len()).position(|window| window == find).unwrap();
    bytes[place + at] = byte;
    let phone = Descriptors::parse(&bytes).unwrap();
    let functions = phone.configurations.last().unwrap().ncm_functions();
    functions.into_iter().map(|function| function.map(|function| function.control)).collect()
}

#[test]
fn functions_that_lack_something_are_named_and_the_other_one_is_found() {
    let ethernet = [13, 0x24, 0x0f, 15];
    assert_eq!(changed(&ethernet, 2, 0x7f), [Err(FunctionError::NoEthernet { control: 2 }), Ok(4)]);
    let union = [5, 0x24, 6, 2, 3];
    assert_eq!(changed(&union, 4, 1), [Err(FunctionError::NoData { control: 2, data: 1 }), Ok(4)]);
    // A union of another interface, or none: the next interface is taken (inferred, docs/research/gaps.md).
    assert_eq!(changed(&union, 3, 9), [Ok(2), Ok(4)]);
    assert_eq!(changed(&union, 2, 0x7f), [Ok(2), Ok(4)]);
    let bulk = [7, 5, 0x86, 2, 0, 2, 0, 9, 4, 4];
    assert_eq!(changed(&bulk, 3, 1), [Err(FunctionError::NoEndpoints { control: 2, data: 3 }), Ok(4)]);
    // A packet of 0 bytes, of 0 once the bits above are ignored, and one with such a bit.
    for high in [0x00, 0x08, 0x0a] {
        assert_eq!(changed(&bulk, 5, high), [Err(FunctionError::NoEndpoints { control: 2, data: 3 }), Ok(4)]);
    }
}

#[test]
fn broken_descriptors_are_named_with_their_place() {
    let bytes = initial();
    assert!(matches!(
        Descriptors::parse(&bytes[..17]),
        Err(DescriptorError::Truncated { at: 0, wanted: 18, left: 17, .. })
    ));
    assert!(matches!(
        Descriptors::parse(&bytes[..40]),
        Err(DescriptorError::Truncated { at: 18, wanted: 39, left: 22, .. })
    ));
    let with = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        Descriptors::parse(&bytes).unwrap_err()
    };
    assert!(matches!(with(0, 17), DescriptorError::Short { at: 0, length: 17, least: 18, .. }));
    assert!(matches!(with(1, 2), DescriptorError::Type { at: 0, kind: 2, .. }));
    assert!(matches!(with(19, 4), DescriptorError::Type { at: 18, kind: 4, .. }));
    assert!(matches!(with(27, 0), DescriptorError::Short { at: 27, length: 0, least: 2, .. }));
    assert!(matches!(
        with(27, 31),
        DescriptorError::Truncated { at: 27, wanted: 31, left: 30, .. } | DescriptorError::Type { .. }
    ));
    assert!(matches!(with(28, 5), DescriptorError::Type { at: 27, what: "interface", kind: 5 }));
    insta::assert_snapshot!(with(27, 0), @"at byte 27 a descriptor has a bLength of 0, at least 2 was expected; replug the phone");
}

#[test]
fn more_than_a_phone_has_is_not_read() {
    let mut bytes = fixture("iphone_12a8_bcd1404_mode1_device.bin");
    for _ in 0..17 {
        bytes.extend(fixture("iphone_12a8_bcd1404_mode1_config1.bin"));
    }
    assert!(matches!(
        Descriptors::parse(&bytes),
        Err(DescriptorError::TooMany { what: "configurations", most: 16, .. })
    ));
    let mut long = fixture("iphone_12a8_bcd1404_mode1_config1.bin");
    (long[2], long[3]) = (0xff, 0xff);
    long.resize(65_535, 2);
    assert!(matches!(
        Configuration::parse(&long),
        Err(DescriptorError::TooMany { what: "bytes", most: 4096, .. })
    ));
}

#[test]
fn the_phones_address_follows_from_its_hosts_mac_as_captured() {
    let vector: serde_json::Value =
        serde_json::from_slice(&fixture("private_ncm_linklocal_vector.json")).unwrap();
    let digits = vector["host_mac"].as_str().unwrap().replace(':', "");
    let mac = Mac::from_string_descriptor(&digits).unwrap();
    assert_eq!(mac.phone_address().to_string(), vector["device_link_local"].as_str().unwrap());
}

#[test]
fn the_captured_strings_are_macs() {
    let strings: serde_json::Value = serde_json::from_slice(&fixture("iphone_string_table.json")).unwrap();
    for number in ["15", "17", "24"] {
        let text = strings[number].as_str().unwrap();
        assert_eq!(Mac::from_string_descriptor(text).unwrap().to_string_descriptor(), text);
    }
}
