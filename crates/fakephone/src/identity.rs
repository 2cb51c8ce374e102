//! Who a phone says it is: the catalogue, with what was asked for on top.

use iosmux_xpc::rsd::{Catalogue, Handshake, Services, key};
use iosmux_xpc::{Dictionary, Object};
use uuid::Uuid;

use crate::version::IosVersion;

/// What is asked for on top of a catalogue.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Rewrites the version.
    pub ios: Option<IosVersion>,
    /// Rewrites the UDID, and with it the UUID unless that is given too.
    pub udid: Option<String>,
    /// Rewrites the UUID of the Handshake.
    pub uuid: Option<Uuid>,
}

/// One phone's identity, the same on every face and after every replug.
#[derive(Debug, Clone)]
pub struct Identity {
    /// UniqueDeviceID.
    pub udid: String,
    /// The UUID in its Handshake.
    pub uuid: Uuid,
    /// The host name it announces, with `.local`.
    pub host_name: String,
    /// Its iOS version, when the catalogue or the override gives one that can be read.
    pub version: Option<IosVersion>,
    /// What of the Handshake was not captured like this from one phone; ports aside, which are new at every attach.
    pub derived: Vec<&'static str>,
    handshake: Handshake,
    /// What a tunnel offers.
    trusted: Services,
}

/// A catalogue without a UDID, and none given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the catalogue has no UniqueDeviceID: give one with --udid")]
pub struct NoUdid;

impl Identity {
    /// The identity that `catalogue` and `overrides` give.
    ///
    /// `offered` is the services' own catalogue when they come from another capture than the properties.
    ///
    /// # Errors
    /// [`NoUdid`].
    pub fn new(
        catalogue: &Catalogue,
        offered: Option<&Catalogue>,
        overrides: &Overrides,
    ) -> Result<Identity, NoUdid> {
        let mut properties = catalogue.properties.clone();
        let mut derived = Vec::new();
        let mut set = |properties: &mut Dictionary, key: &'static str, value: &str| {
            if properties.get(key).and_then(Object::as_str) != Some(value) {
                properties.insert(key, value);
                derived.push(key);
            }
        };
        if let Some(udid) = &overrides.udid {
            set(&mut properties, "UniqueDeviceID", udid);
        }
        if let Some(ios) = &overrides.ios {
            set(&mut properties, "OSVersion", &ios.to_string());
            set(&mut properties, "HumanReadableProductVersionString", &ios.to_string());
        }
        let udid = text(&properties, "UniqueDeviceID").ok_or(NoUdid)?.to_owned();
        let same_phone = catalogue.udid() == Some(udid.as_str());
        let captured = catalogue.uuid.filter(|_| same_phone);
        let uuid = overrides.uuid.or(captured).unwrap_or_else(|| uuid_of(&udid));
        if captured != Some(uuid) {
            derived.push("UUID");
        }
        if offered.is_some_and(|offered| offered.udid() != Some(udid.as_str())) {
            derived.push("Services");
        }
        Ok(Identity {
            host_name: host_name(&properties, &udid),
            version: text(&properties, "OSVersion").and_then(|version| version.parse().ok()),
            handshake: Handshake {
                protocol_version: catalogue.protocol_version,
                uuid,
                properties,
                services: offered.unwrap_or(catalogue).services.clone(),
            },
            trusted: catalogue.services.clone(),
            udid,
            uuid,
            derived,
        })
    }

    /// The Handshake as the catalogue has it: its ports are those of the capture, nothing listens there.
    #[must_use]
    pub fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    /// The same as it is inside of a tunnel: with the services of the catalogue.
    #[must_use]
    pub fn tunnel_handshake(&self) -> Handshake {
        Handshake { services: self.trusted.clone(), ..self.handshake.clone() }
    }
}

/// Takes out who the phone is, as one does that is locked. Inferred: no capture of that is public (docs/research/gaps.md).
pub(crate) fn hide(handshake: &mut Handshake) {
    handshake.properties.insert(key::SENSITIVE_PROPERTIES_VISIBLE, false);
    handshake.properties.remove("UniqueDeviceID");
}

fn text<'a>(properties: &'a Dictionary, key: &str) -> Option<&'a str> {
    properties.get(key)?.as_str()
}

/// A UUID that is the same whenever the UDID is: a real phone's has no known relation to its UDID.
fn uuid_of(udid: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("urn:iosmux:fakephone:{udid}").as_bytes())
}

/// A real phone announces its own name with `-` for spaces (`iPhone15-Pro.local`, dns-sd log). No catalogue holds the name,
/// so this one is derived: the device class and the end of the UDID, which keeps phones on one link apart.
fn host_name(properties: &Dictionary, udid: &str) -> String {
    let class = text(properties, "DeviceClass").unwrap_or("iPhone");
    let letters: Vec<char> = udid.chars().filter(char::is_ascii_alphanumeric).collect();
    let end: String = letters[letters.len().saturating_sub(6)..].iter().collect();
    let label: String = format!("{class}-{end}")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(63)
        .collect();
    format!("{label}.local")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue(name: &str) -> Catalogue {
        let path = format!("{}/tests/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
        Catalogue::from_json(&serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()).unwrap()
    }

    fn trusted() -> Catalogue {
        catalogue("iphone11,6_ios17.0.3_trusted")
    }

    #[test]
    fn a_captured_phone_is_itself() {
        let phone = Identity::new(&trusted(), None, &Overrides::default()).unwrap();
        assert_eq!(phone.udid, "00008020-0000000000001234");
        assert_eq!(Some(phone.uuid), trusted().uuid);
        assert_eq!(phone.host_name, "iPhone-001234.local");
        assert_eq!(phone.derived, [""; 0]);
        assert_eq!(*phone.handshake(), trusted().handshake(phone.uuid));
    }

    #[test]
    fn another_version_is_rewritten_in_both_places_and_marked() {
        let overrides = Overrides { ios: Some("27.2".parse().unwrap()), ..Overrides::default() };
        let phone = Identity::new(&trusted(), None, &overrides).unwrap();
        assert_eq!(phone.derived, ["OSVersion", "HumanReadableProductVersionString"]);
        for key in phone.derived {
            assert_eq!(text(&phone.handshake.properties, key), Some("27.2"));
        }
        assert!(phone.version.unwrap().has_peer_rules());
        let same = Overrides { ios: Some("17.0.3".parse().unwrap()), ..Overrides::default() };
        assert!(Identity::new(&trusted(), None, &same).unwrap().derived.is_empty());
    }

    #[test]
    fn another_udid_is_another_phone_with_a_stable_uuid_of_its_own() {
        let phone = |udid: &str| {
            let overrides = Overrides { udid: Some(udid.to_owned()), ..Overrides::default() };
            Identity::new(&trusted(), None, &overrides).unwrap()
        };
        let one = phone("00008020-0000000000000001");
        assert_eq!(one.derived, ["UniqueDeviceID", "UUID"]);
        assert_eq!(one.uuid, phone("00008020-0000000000000001").uuid);
        assert_ne!(one.uuid, phone("00008020-0000000000000002").uuid);
        assert_ne!(Some(one.uuid), trusted().uuid);
    }

    #[test]
    fn services_of_another_capture_are_marked() {
        let untrusted = catalogue("iphone15,3_ios17.0_untrusted");
        let phone = Identity::new(&trusted(), Some(&untrusted), &Overrides::default()).unwrap();
        assert_eq!(phone.derived, ["Services"]);
        assert_eq!(phone.udid, "00008020-0000000000001234");
        assert_eq!(phone.handshake().services.len(), 7);
        assert_eq!(phone.tunnel_handshake(), trusted().handshake(phone.uuid));
    }

    #[test]
    fn a_catalogue_without_udid_needs_one() {
        let mut catalogue = trusted();
        catalogue.properties.remove("UniqueDeviceID");
        assert_eq!(Identity::new(&catalogue, None, &Overrides::default()).unwrap_err(), NoUdid);
        let overrides = Overrides { udid: Some("1234".to_owned()), ..Overrides::default() };
        assert_eq!(Identity::new(&catalogue, None, &overrides).unwrap().host_name, "iPhone-1234.local");
    }
}
