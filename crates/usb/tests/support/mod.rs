//! What more than one test needs.

use iosmux_usb::descriptor::{ConfigurationBuilder, Ethernet, Functional, endpoint, interface};

/// A file of tests/fixtures.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

/// The captured phone in its initial mode, as sysfs gives it.
pub(crate) fn initial() -> Vec<u8> {
    let parts = ["device", "config1", "config2", "config3", "config4"];
    parts.map(|part| fixture(&format!("iphone_12a8_bcd1404_mode1_{part}.bin"))).concat()
}

/// An NCM function whose functional descriptors are inferred (docs/research/gaps.md).
pub(crate) fn ncm(
    builder: ConfigurationBuilder,
    control: u8,
    mac_string: u8,
    status: Option<u8>,
    bulk: [u8; 2],
) -> ConfigurationBuilder {
    let ethernet =
        Ethernet { mac_string, statistics: 0, max_segment: 1514, multicast_filters: 0, power_filters: 0 };
    let mut builder = builder.with(&interface((control, 0), status.is_some().into(), [2, 0x0d, 0], 18));
    for functional in [
        Functional::Header(0x0110),
        Functional::Union { control, data: control + 1 },
        Functional::Ethernet(ethernet),
        Functional::Ncm { version: 0x0100, capabilities: 0 },
    ] {
        builder = builder.with(&functional.to_bytes());
    }
    if let Some(address) = status {
        builder = builder.with(&endpoint(address, 3, 16, 9));
    }
    builder
        .with(&interface((control + 1, 0), 0, [10, 0, 1], 26))
        .with(&interface((control + 1, 1), 2, [10, 0, 1], 26))
        .with(&endpoint(bulk[0], 2, 512, 0))
        .with(&endpoint(bulk[1], 2, 512, 0))
}

/// The same phone after SET_MODE 3; configuration 5 follows mode3_config5_layout.json.
pub(crate) fn switched() -> Vec<u8> {
    let mut bytes = initial();
    bytes[17] = 5;
    let ptp_and_usbmux = fixture("iphone_12a8_bcd1404_mode1_config3.bin")[9..].to_vec();
    let builder =
        ConfigurationBuilder::new(5, 9, 0xc0, 250).with(&ptp_and_usbmux[..30]).with(&ptp_and_usbmux[30..]);
    let builder = ncm(builder, 2, 15, Some(0x88), [0x05, 0x86]);
    bytes.extend(ncm(builder, 4, 17, None, [0x06, 0x87]).build());
    bytes
}
