//! The phone's string table.
//!
//! Its texts were captured together (crates/usb/tests/fixtures/iphone_string_table.json). From 16 on they stand where the captured
//! descriptors, which are another phone's, point to: the order is inferred (docs/research/gaps.md).

use iosmux_usb::{Mac, Udid, string};

use super::fault::{UsbFault, WrongDescriptors};

/// The string that names the tethering function's MAC.
pub const TETHERING_MAC: u8 = 15;
/// The string that names the private function's MAC.
pub const PRIVATE_MAC: u8 = 18;
/// iConfiguration of configuration 5.
pub const CONFIGURATION: u8 = 9;
/// iInterface of NCM control interfaces.
pub const NCM_CONTROL: [u8; 2] = [19, 22];
/// iInterface of NCM data interfaces.
pub const NCM_DATA: [u8; 2] = [16, 26];

/// Characters of each string of the fault `long-strings`.
const LONG: usize = 2047;
/// What they are made of: nothing that may reach a path, a log or a terminal as it is.
const HOSTILE: &str = "../../\n\u{1b}[31m%s'\"`$(id)\u{202e}\u{feff};";

/// Who the phone is.
#[derive(Debug, Clone)]
pub struct Strings {
    serial: String,
    tethering: Mac,
    private: Mac,
    long: bool,
    wrong_mac: bool,
}

impl Strings {
    /// The table of a phone with this UDID and these MACs.
    #[must_use]
    pub fn new(udid: &Udid, tethering: Mac, private: Mac, faults: &[UsbFault]) -> Strings {
        Strings {
            serial: udid.to_serial(),
            tethering,
            private,
            long: faults.contains(&UsbFault::LongStrings),
            wrong_mac: faults.contains(&UsbFault::WrongDescriptors(WrongDescriptors::Mac)),
        }
    }

    /// A string descriptor; `None` where there is none.
    #[must_use]
    pub fn descriptor(&self, number: u8) -> Option<Vec<u8>> {
        if number == 0 {
            return Some(string::languages().to_vec());
        }
        let text = self.text(number)?;
        if self.long {
            let mut bytes = string::encode(&HOSTILE.repeat(string::MAX_CHARACTERS));
            let units: Vec<u16> = HOSTILE.encode_utf16().collect();
            let rest = units.iter().copied().cycle().skip(string::MAX_CHARACTERS);
            bytes.extend(rest.take(LONG - string::MAX_CHARACTERS).flat_map(u16::to_le_bytes));
            return Some(bytes);
        }
        Some(string::encode(&text))
    }

    /// The text of a string.
    fn text(&self, number: u8) -> Option<String> {
        let captured = match number {
            1 => "Apple Inc.",
            2 => "iPhone",
            3 => return Some(self.serial.clone()),
            4 => return Some(format!("{}-R", self.serial.trim_end_matches('\0'))),
            5 => "PTP",
            6 => "iPod USB Interface",
            7 => "PTP + Apple Mobile Device",
            8 => "PTP + Apple Mobile Device + Apple USB Ethernet",
            CONFIGURATION => "PTP + Apple Mobile Device + NCM",
            10 => "PTP + Apple Mobile Device + Valeria",
            11 => "Apple Mobile Device + Interdevice Audio",
            12 => "Interdevice Audio Interfaces",
            13 => "PTP + Apple Mobile Device + Apple USB Ethernet + NCM",
            14 => "NCM Direct Only",
            TETHERING_MAC => return Some(self.tethering.to_string_descriptor()),
            PRIVATE_MAC if self.wrong_mac => "../no MAC\u{7}",
            PRIVATE_MAC | 24 => return Some(self.private.to_string_descriptor()),
            16 | 26 => "NCM Data",
            17 => "AppleUSBEthernet",
            19 | 22 => "NCM Control",
            20 => "Apple USB Multiplexor",
            21 => "Valeria",
            23 => "IDAM MIDI Streaming Interface",
            25 => "NCM Control Direct",
            27 => "PTP",
            _ => return None,
        };
        Some(captured.to_owned())
    }
}

/// MACs that follow from a UDID, so that phones on one bridge have different ones: a real phone's have no known relation to it.
/// The first bytes are those of the captured ones: tethering first, then private.
#[must_use]
pub fn derived_macs(udid: &Udid) -> [Mac; 2] {
    // FNV-1a: enough to keep phones apart.
    let hash = udid.as_str().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let [.., b, c, d, e, f] = hash.to_be_bytes();
    // The phone's own MAC has another last byte: keep the two functions' and the phone's apart.
    [Mac([0xc6, b, c, d, e, f]), Mac([0x82, b, c, d, e, f])]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn udid() -> Udid {
        "00008020-0000000000001234".parse().unwrap()
    }

    fn table(faults: &[UsbFault]) -> Strings {
        let [tethering, private] = derived_macs(&udid());
        Strings::new(&udid(), tethering, private, faults)
    }

    #[test]
    fn every_captured_text_is_there_once_for_each_time_it_was_captured() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../usb/tests/fixtures/iphone_string_table.json");
        let captured: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let own = |text: &str| text.starts_with('<') || (text.len() == 12 && text.ends_with(['4', 'D']));
        let mut expected: Vec<&str> =
            captured.as_object().unwrap().values().filter_map(|v| v.as_str()).collect();
        expected.retain(|text| !own(text));
        let mut texts: Vec<String> = (1..=27).filter_map(|number| table(&[]).text(number)).collect();
        assert_eq!((texts.len(), table(&[]).text(28)), (27, None));
        texts.retain(|text| !text.starts_with("0000") && text.len() != 12);
        expected.sort_unstable();
        texts.sort_unstable();
        assert_eq!(texts, expected);
    }

    #[test]
    fn the_serial_is_padded_and_read_back_as_udid() {
        let serial = string::decode(&table(&[]).descriptor(3).unwrap()).unwrap();
        assert_eq!(serial.len(), 40);
        assert_eq!(Udid::from_serial(&serial).unwrap(), udid());
    }

    #[test]
    fn long_strings_have_four_kilobytes_and_claim_what_a_descriptor_can() {
        let strings = table(&[UsbFault::LongStrings]);
        for number in 1..=27 {
            let bytes = strings.descriptor(number).unwrap();
            assert_eq!((bytes.len(), bytes[0]), (4096, 254));
            assert!(Udid::from_serial(&string::decode(&bytes).unwrap()).is_err());
        }
        assert_eq!(strings.descriptor(0).unwrap(), string::languages());
    }

    #[test]
    fn two_phones_have_four_macs() {
        let other = derived_macs(&"00008020-0000000000001235".parse().unwrap());
        let [tethering, private] = derived_macs(&udid());
        let all = [tethering, private, private.of_phone(), other[0], other[1], other[1].of_phone()];
        let different: std::collections::BTreeSet<_> = all.into_iter().collect();
        assert_eq!(different.len(), all.len());
        assert!(Mac::from_string_descriptor(&private.to_string_descriptor()).is_ok());
    }
}
