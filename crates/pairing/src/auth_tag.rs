//! The `authTag` of a `_remotepairing._tcp` record: how a paired device is recognised behind its rotating identifier.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use siphasher::sip::SipHasher24;
use std::hash::Hasher as _;
use subtle::ConstantTimeEq as _;

/// The six bytes that a device with this `altIRK` announces for an identifier.
///
/// SipHash-2-4 of the identifier as a little-endian u64, its first six bytes reversed. Source: protocol.md §2 and
/// fixture `authtag_vector.json`.
pub fn auth_tag(alt_irk: &[u8; 16], identifier: &str) -> [u8; 6] {
    let mut hasher = SipHasher24::new_with_key(alt_irk);
    hasher.write(identifier.as_bytes());
    let [a, b, c, d, e, f, ..] = hasher.finish().to_le_bytes();
    [f, e, d, c, b, a]
}

/// The tag as it stands in the TXT record: base64, eight characters.
pub fn auth_tag_text(alt_irk: &[u8; 16], identifier: &str) -> String {
    STANDARD.encode(auth_tag(alt_irk, identifier))
}

/// Whether an announced tag is the one of a device with this `altIRK`.
pub fn auth_tag_matches(alt_irk: &[u8; 16], identifier: &str, announced: &str) -> bool {
    STANDARD
        .decode(announced)
        .is_ok_and(|bytes| bool::from(bytes.as_slice().ct_eq(auth_tag(alt_irk, identifier).as_slice())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_record_gives_its_tag() {
        let vector: serde_json::Value =
            serde_json::from_str(include_str!("../tests/fixtures/authtag_vector.json")).unwrap();
        let irk: [u8; 16] =
            STANDARD.decode(vector["altIRK_b64"].as_str().unwrap()).unwrap().try_into().unwrap();
        let identifier = vector["identifier"].as_str().unwrap();
        assert_eq!(auth_tag_text(&irk, identifier), vector["authTag"].as_str().unwrap());
        assert!(auth_tag_matches(&irk, identifier, "kXjlTr2l"));
        assert!(!auth_tag_matches(&irk, identifier, "kXjlTr2m"));
        assert!(!auth_tag_matches(&irk, identifier, "kXjl"));
        assert!(!auth_tag_matches(&irk, identifier, "not base64"));
    }

    #[test]
    fn siphash_reference_values_hold() {
        let key: [u8; 16] = std::array::from_fn(|i| i as u8);
        let hash = |message: &[u8]| {
            let mut hasher = SipHasher24::new_with_key(&key);
            hasher.write(message);
            hasher.finish()
        };
        assert_eq!(hash(&[]), 0x726F_DB47_DD0E_0E31);
        assert_eq!(hash(&[0]), 0x74F8_39C5_93DC_67FD);
        assert_eq!(hash(&[0, 1, 2, 3, 4, 5, 6]), 0xAB02_00F5_8B01_D137);
    }
}
