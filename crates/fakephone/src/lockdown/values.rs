//! What lockdownd tells about the phone, taken from the RSD Properties of the catalogue.

use std::collections::BTreeMap;

use iosmux_xpc::{Dictionary, Object};
use plist::Value;

/// RSD property and lockdown key of the same fact; where each pair is sourced is in `docs/research/lockdown-values.md`.
/// What has no RSD property is absent: this phone makes nothing up.
const PAIRS: &[(&str, &str)] = &[
    ("BoardId", "BoardId"),
    ("BuildVersion", "BuildVersion"),
    ("CPUArchitecture", "CPUArchitecture"),
    ("ChipID", "ChipID"),
    ("DeviceClass", "DeviceClass"),
    ("DeviceColor", "DeviceColor"),
    ("HWModel", "HardwareModel"),
    ("HardwarePlatform", "HardwarePlatform"),
    ("HumanReadableProductVersionString", "HumanReadableProductVersionString"),
    ("ModelNumber", "ModelNumber"),
    ("ProductName", "ProductName"),
    ("ProductType", "ProductType"),
    ("OSVersion", "ProductVersion"),
    ("RegionInfo", "RegionInfo"),
    ("SerialNumber", "SerialNumber"),
    ("UniqueChipID", "UniqueChipID"),
    ("UniqueDeviceID", "UniqueDeviceID"),
];

/// The values of lockdownd's default domain; no other domain has any.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LockdownValues(BTreeMap<String, Value>);

impl LockdownValues {
    /// The values that the RSD Properties of a Handshake give.
    #[must_use]
    pub fn from_properties(properties: &Dictionary) -> LockdownValues {
        PAIRS.iter().filter_map(|&(rsd, lockdown)| Some((lockdown, value(properties.get(rsd)?)?))).collect()
    }

    /// The value of a key, or without a key all of the domain as a dictionary; `None` when there is none.
    #[must_use]
    pub fn get(&self, domain: Option<&str>, key: Option<&str>) -> Option<Value> {
        match (domain, key) {
            (Some(_), _) => None,
            (None, Some(key)) => self.0.get(key).cloned(),
            (None, None) => Some(Value::Dictionary(
                self.0.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            )),
        }
    }
}

impl<K: Into<String>> FromIterator<(K, Value)> for LockdownValues {
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(values: I) -> Self {
        LockdownValues(values.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }
}

/// The mapped properties are scalars; any other type has no place in lockdown's answer.
fn value(object: &Object) -> Option<Value> {
    Some(match object {
        Object::Bool(value) => (*value).into(),
        Object::Int64(value) => (*value).into(),
        Object::Uint64(value) => (*value).into(),
        Object::Double(value) => (*value).into(),
        Object::Data(value) => Value::Data(value.clone()),
        Object::String(value) => value.as_str().into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties() -> Dictionary {
        Dictionary::new()
            .with("OSVersion", "17.0.3")
            .with("HWModel", "D331pAP")
            .with("UniqueChipID", 4660_u64)
            .with("BoardId", Vec::<Object>::new())
            .with("IsUIBuild", true)
    }

    #[test]
    fn properties_get_their_lockdown_names_and_keep_their_types() {
        let values = LockdownValues::from_properties(&properties());
        assert_eq!(values.get(None, Some("ProductVersion")), Some("17.0.3".into()));
        assert_eq!(values.get(None, Some("HardwareModel")), Some("D331pAP".into()));
        assert_eq!(values.get(None, Some("UniqueChipID")), Some(4660_u64.into()));
    }

    #[test]
    fn what_lockdown_does_not_know_stays_absent() {
        let values = LockdownValues::from_properties(&properties());
        for key in ["OSVersion", "HWModel", "IsUIBuild", "BoardId", "ProductType"] {
            assert_eq!(values.get(None, Some(key)), None, "{key}");
        }
        assert_eq!(values.get(Some("com.apple.disk_usage"), None), None);
        assert_eq!(values.get(Some("com.apple.disk_usage"), Some("ProductVersion")), None);
        let all = values.get(None, None).unwrap();
        assert_eq!(all.as_dictionary().unwrap().len(), 3);
    }
}
