//! What the phone has in each mode.

use iosmux_usb::descriptor::{ConfigurationBuilder, Ethernet, Functional, endpoint, interface};
use iosmux_usb::{Device, Mode};

use super::fault::{UsbFault, WrongDescriptors};
use super::strings;

/// Source: data/README.md.
const DEVICE: &[u8] = include_bytes!("data/mode1_device.bin");
/// Source: data/README.md.
const INITIAL: [&[u8]; 4] = [
    include_bytes!("data/mode1_config1.bin"),
    include_bytes!("data/mode1_config2.bin"),
    include_bytes!("data/mode1_config3.bin"),
    include_bytes!("data/mode1_config4.bin"),
];
/// Where PTP and usbmux are in configuration 3: behind its head of nine bytes, to its end.
const PTP_LENGTH: usize = 9 + 3 * 7;

/// The tethering function's notifications. That there is such an endpoint is known, its address is inferred
/// (docs/research/gaps.md).
pub const STATUS_IN: u8 = 0x88;
/// The control and data interface of the tethering function. Source: protocol.md §1.5.
pub const TETHERING: [u8; 2] = [2, 3];
/// The control and data interface of the private function. Source: protocol.md §1.5.
pub const PRIVATE: [u8; 2] = [4, 5];
/// The tethering function's bulk endpoints, from the host and to it. Source: protocol.md §1.5.
pub const TETHERING_BULK: [u8; 2] = [0x05, 0x86];
/// The private function's bulk endpoints, from the host and to it. Source: protocol.md §1.5.
pub const PRIVATE_BULK: [u8; 2] = [0x06, 0x87];
/// wMaxPacketSize of bulk endpoints in bytes. Source: USB 2.0 §5.8.3 (high speed).
pub const BULK_PACKET: u16 = 512;

/// The descriptors of one mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModeDescriptors {
    /// The device descriptor.
    pub device: Vec<u8>,
    /// The configurations in their order.
    pub configurations: Vec<Vec<u8>>,
    /// bConfigurationValue of the one with NCM.
    pub ncm: Option<u8>,
}

impl ModeDescriptors {
    /// Of the modes 1 and 3; what the others have is not known.
    #[must_use]
    pub fn new(mode: Mode, faults: &[UsbFault]) -> ModeDescriptors {
        let mut configurations: Vec<Vec<u8>> = INITIAL.iter().map(|bytes| bytes.to_vec()).collect();
        let mut ncm = None;
        if mode == Mode::Ncm {
            if faults.contains(&UsbFault::ModeDrift) {
                configurations
                    .push(ConfigurationBuilder::new(5, 10, 0xc0, 250).with(ptp()).with(usbmux()).build());
            }
            let value = u8::try_from(configurations.len() + 1).unwrap_or(u8::MAX);
            configurations.push(ncm_configuration(value, faults));
            ncm = Some(value);
        }
        let mut device = DEVICE.to_vec();
        if let (Some(count), Ok(number)) = (device.get_mut(17), u8::try_from(configurations.len())) {
            *count = number;
        }
        ModeDescriptors { device, configurations, ncm }
    }

    /// The configuration of a bConfigurationValue.
    #[must_use]
    pub fn of_value(&self, value: u8) -> Option<&[u8]> {
        self.configurations.iter().find(|bytes| bytes.get(5) == Some(&value)).map(Vec::as_slice)
    }

    /// What the device descriptor says.
    ///
    /// # Panics
    /// Never: the bytes are captured ones.
    #[must_use]
    pub fn parsed_device(&self) -> Device {
        Device::parse(&self.device).expect("the captured device descriptor")
    }
}

/// PTP as captured: an interface and its three endpoints.
fn ptp() -> &'static [u8] {
    &INITIAL[2][9..9 + PTP_LENGTH]
}

/// usbmux as captured.
fn usbmux() -> &'static [u8] {
    &INITIAL[2][9 + PTP_LENGTH..]
}

/// The configuration with both NCM functions. Source: mode3_config5_layout.json; what is inferred is in docs/research/gaps.md.
fn ncm_configuration(value: u8, faults: &[UsbFault]) -> Vec<u8> {
    let wrong = |what| faults.contains(&UsbFault::WrongDescriptors(what));
    let builder =
        ConfigurationBuilder::new(value, strings::CONFIGURATION, 0xc0, 250).with(ptp()).with(usbmux());
    let mut builder = function(builder, TETHERING, 0, Some(STATUS_IN), TETHERING_BULK);
    if !wrong(WrongDescriptors::NoPrivate) {
        builder = function(builder, PRIVATE, 1, None, PRIVATE_BULK);
    }
    let mut bytes = builder.build();
    if wrong(WrongDescriptors::Lengths) {
        let last = bytes.len() - 7;
        bytes[last] = 0x7f;
    }
    bytes
}

/// One NCM function. The functional descriptors are inferred: CDC 1.2 §5.2.3, NCM 1.0 §5.2.
fn function(
    mut builder: ConfigurationBuilder,
    [control, data]: [u8; 2],
    number: usize,
    status: Option<u8>,
    [bulk_out, bulk_in]: [u8; 2],
) -> ConfigurationBuilder {
    let mac_string = [strings::TETHERING_MAC, strings::PRIVATE_MAC][number];
    let ethernet =
        Ethernet { mac_string, statistics: 0, max_segment: 1514, multicast_filters: 0, power_filters: 0 };
    let name = strings::NCM_CONTROL[number];
    builder = builder.with(&interface((control, 0), status.is_some().into(), [2, 0x0d, 0], name));
    for functional in [
        Functional::Header(0x0110),
        Functional::Union { control, data },
        Functional::Ethernet(ethernet),
        Functional::Ncm { version: 0x0100, capabilities: 0 },
    ] {
        builder = builder.with(&functional.to_bytes());
    }
    if let Some(address) = status {
        builder = builder.with(&endpoint(address, 3, 16, 9));
    }
    let name = strings::NCM_DATA[number];
    builder
        .with(&interface((data, 0), 0, [10, 0, 1], name))
        .with(&interface((data, 1), 2, [10, 0, 1], name))
        .with(&endpoint(bulk_out, 2, BULK_PACKET, 0))
        .with(&endpoint(bulk_in, 2, BULK_PACKET, 0))
}

#[cfg(test)]
mod tests {
    use iosmux_usb::Descriptors;

    use super::*;

    fn parse(descriptors: &ModeDescriptors) -> Result<Descriptors, iosmux_usb::DescriptorError> {
        let mut bytes = descriptors.device.clone();
        descriptors.configurations.iter().for_each(|configuration| bytes.extend(configuration));
        Descriptors::parse(&bytes)
    }

    #[test]
    fn the_initial_mode_is_the_captured_one() {
        let initial = ModeDescriptors::new(Mode::Initial, &[]);
        assert_eq!(initial.device, DEVICE);
        assert_eq!(initial.configurations, INITIAL);
        assert_eq!(initial.ncm, None);
        assert_eq!(Mode::guess(&parse(&initial).unwrap()), Some(Mode::Initial));
    }

    #[test]
    fn configuration_5_is_laid_out_as_published() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../usb/tests/fixtures/mode3_config5_layout.json");
        let layout: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let phone = parse(&ModeDescriptors::new(Mode::Ncm, &[])).unwrap();
        assert_eq!(Mode::guess(&phone), Some(Mode::Ncm));
        let configuration = phone.configurations.last().unwrap();
        assert_eq!(u64::from(configuration.value), layout["configuration"].as_u64().unwrap());
        let addresses = |number: u8, alternate| -> Vec<String> {
            let setting = configuration.setting(number, alternate).unwrap();
            setting.endpoints.iter().map(|endpoint| format!("{:#04x}", endpoint.address)).collect()
        };
        let published = |list: &serde_json::Value| -> Vec<String> {
            let texts = list.as_array().unwrap().iter().map(|text| text.as_str().unwrap());
            texts.map(|text| text.split(' ').next().unwrap().to_owned()).collect()
        };
        for one in layout["interfaces"].as_array().unwrap() {
            let number = u8::try_from(one["n"].as_u64().unwrap()).unwrap();
            let setting = configuration.setting(number, 0).unwrap();
            let class = format!("{:02x}/{:02x}/{:02x}", setting.class, setting.subclass, setting.protocol);
            assert_eq!(class, one["cls"].as_str().unwrap().trim_end_matches('?'));
            match one.get("eps") {
                Some(_) if number == 2 => assert_eq!(addresses(2, 0), ["0x88"]),
                Some(list) => assert_eq!(addresses(number, 0), published(list)),
                None => {
                    assert_eq!(addresses(number, 0), published(&one["alt0"]));
                    assert_eq!(addresses(number, 1), published(&one["alt1"]));
                }
            }
        }
        assert_eq!(configuration.settings.iter().filter(|setting| setting.alternate == 0).count(), 6);
        assert_eq!(configuration.private_function().unwrap().control, PRIVATE[0]);
    }

    #[test]
    fn wrong_descriptors_are_wrong() {
        let with = |fault| parse(&ModeDescriptors::new(Mode::Ncm, &[fault]));
        assert!(with(UsbFault::WrongDescriptors(WrongDescriptors::Lengths)).is_err());
        let plain = with(UsbFault::WrongDescriptors(WrongDescriptors::NoPrivate)).unwrap();
        assert_eq!(plain.ncm_configuration(), None);
        assert!(plain.configurations[4].tethering_function().is_some());
        let drifted = with(UsbFault::ModeDrift).unwrap();
        assert_eq!(drifted.ncm_configuration().unwrap().0.value, 6);
    }
}
