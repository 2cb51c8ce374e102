//! What a device offers, by name.

use super::key;
use super::parse::ServiceParts;
use super::source::Source;
use crate::object::writer::Items;
use crate::{Dictionary, EncodeError, Object};

/// One service of a catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The entitlement a client needs on Apple's own hosts.
    pub entitlement: String,
    /// The TCP port it listens on, valid for this attach only.
    pub port: u16,
    /// What is said about it. Shim services of iOS 17 have none. Source: protocol.md §4.1.
    pub properties: Option<Dictionary>,
}

impl Service {
    /// A service without properties.
    pub fn new(entitlement: impl Into<String>, port: u16) -> Self {
        Service { entitlement: entitlement.into(), port, properties: None }
    }

    /// Whether it speaks RemoteXPC; false when nothing is said.
    ///
    /// `com.apple.mobile.lockdown.remote.*` say true and speak plist all the same. Source: protocol.md §4.2.
    pub fn uses_remote_xpc(&self) -> bool {
        self.property(key::USES_REMOTE_XPC).and_then(Object::as_bool).unwrap_or(false)
    }

    /// Its ServiceVersion.
    pub fn service_version(&self) -> Option<u64> {
        self.property(key::SERVICE_VERSION)?.as_u64()
    }

    /// Its Features in order.
    pub fn features(&self) -> impl Iterator<Item = &str> {
        let features = self.property(key::FEATURES).and_then(Object::as_array);
        features.unwrap_or_default().iter().filter_map(Object::as_str)
    }

    fn property(&self, key: &str) -> Option<&Object> {
        self.properties.as_ref()?.get(key)
    }

    pub(super) fn from_parts<'a, S: Source<'a>>(parts: &ServiceParts<'a, S>) -> Self {
        Service {
            entitlement: parts.entitlement.to_owned(),
            port: parts.port,
            properties: parts.properties.as_ref().and_then(|properties| properties.raw.owned_entries()),
        }
    }

    fn to_object(&self) -> Object {
        let mut entries = Dictionary::with_capacity(3);
        entries.push(key::ENTITLEMENT, self.entitlement.as_str());
        entries.push(key::PORT, self.port.to_string());
        if let Some(properties) = &self.properties {
            entries.push(key::PROPERTIES, properties.clone());
        }
        entries.into()
    }

    fn write(&self, items: &mut Items<'_, '_>) -> Result<(), EncodeError> {
        items.key(key::ENTITLEMENT)?.string(&self.entitlement)?;
        let mut digits = [0; 5];
        items.key(key::PORT)?.string(decimal(self.port, &mut digits))?;
        if let Some(properties) = &self.properties {
            items.key(key::PROPERTIES)?.dictionary(|items| properties.write(items))?;
        }
        Ok(())
    }
}

/// The port in decimal without the heap: there are dozens per Handshake.
fn decimal(port: u16, digits: &mut [u8; 5]) -> &str {
    let mut rest = port;
    let mut start = digits.len();
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        // A remainder of ten fits a byte.
        *digit = b'0'.saturating_add(u8::try_from(rest.rem_euclid(10)).unwrap_or_default());
        rest = rest.div_euclid(10);
        start = at;
        if rest == 0 {
            break;
        }
    }
    std::str::from_utf8(digits.get(start..).unwrap_or_default()).unwrap_or_default()
}

/// Services in catalogue order.
///
/// A peer may send a name twice: both are kept and [`Services::get`] gives the first. Lookups are linear: there are some 70.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Services {
    entries: Vec<(String, Service)>,
}

impl Services {
    /// No services.
    pub const fn new() -> Self {
        Services { entries: Vec::new() }
    }

    /// Sets the first service of this name, or appends it, and gives the one that was there.
    pub fn insert(&mut self, name: impl Into<String>, service: Service) -> Option<Service> {
        let name = name.into();
        if let Some(there) = self.get_mut(&name) {
            return Some(std::mem::replace(there, service));
        }
        self.entries.push((name, service));
        None
    }

    /// The first service of this name.
    pub fn get(&self, name: &str) -> Option<&Service> {
        self.entries.iter().find(|(key, _)| key == name).map(|(_, service)| service)
    }

    /// The first service of this name, to change it.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Service> {
        self.entries.iter_mut().find(|(key, _)| key == name).map(|(_, service)| service)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Names and services in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Service)> + Clone {
        self.entries.iter().map(|(name, service)| (name.as_str(), service))
    }

    /// Names and services in order, to change the services.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&str, &mut Service)> {
        self.entries.iter_mut().map(|(name, service)| (name.as_str(), service))
    }

    /// The names in order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn to_object(&self) -> Object {
        let entries = self.iter().map(|(name, service)| (name, service.to_object()));
        entries.collect::<Dictionary>().into()
    }

    pub(super) fn write(&self, items: &mut Items<'_, '_>) -> Result<(), EncodeError> {
        self.iter().try_for_each(|(name, service)| items.key(name)?.dictionary(|items| service.write(items)))
    }
}

impl<N: Into<String>> FromIterator<(N, Service)> for Services {
    /// Keeps every entry, also those whose name came before.
    fn from_iter<I: IntoIterator<Item = (N, Service)>>(entries: I) -> Self {
        Services { entries: entries.into_iter().map(|(name, service)| (name.into(), service)).collect() }
    }
}

impl IntoIterator for Services {
    type Item = (String, Service);
    type IntoIter = std::vec::IntoIter<(String, Service)>;
    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn every_port_in_decimal() {
        for port in 0..=u16::MAX {
            assert_eq!(decimal(port, &mut [0; 5]), port.to_string());
        }
    }
}
