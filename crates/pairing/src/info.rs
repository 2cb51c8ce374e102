//! What each side says about itself in M5 and M6: an OPACK dictionary.

use crate::identity::{AltIrk, Identity};
use crate::opack::{OpackError, Value};

/// The Bluetooth address that every known host client sends; phones don't check it. Source: protocol.md §5.5.
const HOST_BT_ADDR: &str = "11:22:33:44:55:66";
/// The MAC that every known host client sends; phones don't check it. Source: protocol.md §5.5.
const HOST_MAC: [u8; 6] = [0x11, 0x22, 0x33, 0x44, 0x55, 0x66];
/// The serial number that every known host client sends; phones don't check it. Source: protocol.md §5.5.
const HOST_SERIAL: &str = "AAAAAAAAAAAA";
/// The model that every known host client sends. Source: protocol.md §5.5.
const HOST_MODEL: &str = "computer-model";

/// The longest text that is kept of what a peer says about itself, in bytes; what is longer is cut.
pub const MAX_TEXT: usize = 256;

/// A peer's description of itself; what it left out is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PeerInfo {
    /// The key that makes its announcements recognisable.
    pub alt_irk: Option<AltIrk>,
    /// Its account identifier; the one of pairing, on hosts.
    pub account_id: Option<String>,
    /// Its model, for example `iPhone15,3`.
    pub model: Option<String>,
    /// Its name, for people.
    pub name: Option<String>,
    /// Its UDID; devices only.
    pub udid: Option<String>,
    /// Its serial number.
    pub serial_number: Option<String>,
}

/// What a host says about itself in M5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostDescription {
    /// Its name, which the device shows.
    pub name: String,
    /// A UDID: only for accessories that expect a device as the host (pairable hosts, protocol.md §2); idevice's wants
    /// one.
    pub udid: Option<String>,
}

/// What a simulated device says about itself in M6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceDescription {
    /// Its model, for example `iPhone15,3`.
    pub model: String,
    /// Its name, for people.
    pub name: String,
    /// Its UDID.
    pub udid: String,
    /// Its serial number.
    pub serial_number: String,
    /// Its Bluetooth address.
    pub bt_addr: String,
    /// Its chip identifier, where it is given.
    pub ecid: Option<u64>,
}

fn text(key: &str, value: &str) -> (String, Value) {
    (key.to_owned(), Value::String(value.to_owned()))
}

fn irk(identity: &Identity) -> (String, Value) {
    ("altIRK".to_owned(), Value::Data(identity.alt_irk().expose().to_vec()))
}

/// The dictionary of a host for M5. Source: protocol.md §5.5.
///
/// # Errors
/// [`OpackError::Unwritable`] for a name of more than 255 bytes.
pub fn host_info(identity: &Identity, host: &HostDescription) -> Result<Vec<u8>, OpackError> {
    let mut entries = vec![
        irk(identity),
        text("btAddr", HOST_BT_ADDR),
        ("mac".to_owned(), Value::Data(HOST_MAC.to_vec())),
        text("remotepairing_serial_number", HOST_SERIAL),
        text("accountID", identity.identifier()),
        text("model", HOST_MODEL),
        text("name", &host.name),
    ];
    entries.extend(host.udid.as_deref().map(|udid| text("remotepairing_udid", udid)));
    Value::Dictionary(entries).encode()
}

/// The dictionary of a device for M6, in the order of fixture `opack_ipad_info.bin`. Source: protocol.md §5.5.
///
/// # Errors
/// [`OpackError::Unwritable`] for a text of more than 255 bytes.
pub fn device_info(
    identity: &Identity,
    device: &DeviceDescription,
    wire_protocol_version: u64,
) -> Result<Vec<u8>, OpackError> {
    let mut entries = vec![irk(identity)];
    entries.extend(device.ecid.map(|ecid| ("remotepairing_ecid".to_owned(), Value::Uint(ecid))));
    entries.extend([
        text("btAddr", &device.bt_addr),
        text("remotepairing_serial_number", &device.serial_number),
        text("accountID", identity.identifier()),
        text("model", &device.model),
        text("remotepairing_udid", &device.udid),
        text("name", &device.name),
        ("lastSeenWireProtocolVersion".to_owned(), Value::Uint(wire_protocol_version)),
    ]);
    Value::Dictionary(entries).encode()
}

impl PeerInfo {
    /// Reads what a peer sent; unknown keys and keys of another type count as left out. Texts are cut to [`MAX_TEXT`]
    /// bytes: they are for people, and the end of a name is not worth a pairing.
    ///
    /// # Errors
    /// [`OpackError`] for bytes that are not OPACK.
    pub fn decode(bytes: &[u8]) -> Result<Self, OpackError> {
        let value = Value::decode(bytes)?;
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(cut);
        let alt_irk = value.get("altIRK").and_then(Value::as_data).and_then(|bytes| bytes.try_into().ok());
        Ok(Self {
            alt_irk: alt_irk.map(AltIrk::new),
            account_id: text("accountID"),
            model: text("model"),
            name: text("name"),
            udid: text("remotepairing_udid"),
            serial_number: text("remotepairing_serial_number"),
        })
    }
}

/// As many whole characters of a text as fit.
fn cut(text: &str) -> String {
    text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;

    fn identity() -> Identity {
        Identity::generate("6FA459EA-EE8A-3CA4-894E-DB77E160355E", &mut ChaCha20Rng::seed_from_u64(1))
            .unwrap()
    }

    fn host(name: &str) -> HostDescription {
        HostDescription { name: name.to_owned(), udid: None }
    }

    #[test]
    fn a_device_description_reads_back() {
        let device = DeviceDescription {
            model: "iPhone15,3".into(),
            name: "Test".into(),
            udid: "00008120-000000000000001E".into(),
            serial_number: "F00000000001".into(),
            bt_addr: "02:00:00:00:00:01".into(),
            ecid: Some(0x1e),
        };
        let read = PeerInfo::decode(&device_info(&identity(), &device, 26).unwrap()).unwrap();
        assert_eq!(read.alt_irk.as_ref(), Some(identity().alt_irk()));
        assert_eq!(read.udid.as_deref(), Some("00008120-000000000000001E"));
        assert_eq!(read.serial_number.as_deref(), Some("F00000000001"));
        assert!(!format!("{read:?}").contains("altIRK: Some([") && format!("{read:?}").contains("redacted"));
    }

    #[test]
    fn the_host_dictionary_has_the_keys_of_working_clients_in_their_order() {
        let bytes = host_info(&identity(), &host("vm")).unwrap();
        let Value::Dictionary(entries) = Value::decode(&bytes).unwrap() else { panic!("no dictionary") };
        let keys: Vec<_> = entries.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(
            keys,
            ["altIRK", "btAddr", "mac", "remotepairing_serial_number", "accountID", "model", "name"]
        );
    }

    #[test]
    fn long_texts_of_a_peer_are_cut_between_characters() {
        let name = format!("x{}", "é".repeat(9000));
        // By hand, because ours writes no text with two bytes of length.
        let len = u16::try_from(name.len()).unwrap().to_le_bytes();
        let bytes = [b"\xe2\x44name\x62", &len[..], name.as_bytes(), b"\x45model\x45short"].concat();
        let read = PeerInfo::decode(&bytes).unwrap();
        assert_eq!(read.name.unwrap(), format!("x{}", "é".repeat(127)));
        assert_eq!(read.model.as_deref(), Some("short"));
    }

    #[test]
    fn a_name_beyond_255_bytes_is_a_typed_error() {
        assert!(matches!(host_info(&identity(), &host(&"x".repeat(256))), Err(OpackError::Unwritable(_))));
    }
}
