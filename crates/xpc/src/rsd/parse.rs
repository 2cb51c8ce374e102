//! The typed reading of a Handshake, for every form it comes in. Unknown keys are passed over; known ones must have
//! their type. Of a repeated key the first counts. Source: protocol.md §4.1.

use super::error::RsdError;
use super::key;
use super::source::{Path, Source, clip, name};
use crate::Kind;

/// The message type that this reading is of.
pub(super) const HANDSHAKE: &str = "Handshake";

/// The known keys as bytes: what the keys of a message are compared with.
mod bytes {
    use super::super::key;

    pub(super) const MESSAGE_TYPE: &[u8] = key::MESSAGE_TYPE.as_bytes();
    pub(super) const PROTOCOL_VERSION: &[u8] = key::PROTOCOL_VERSION.as_bytes();
    pub(super) const UUID: &[u8] = key::UUID.as_bytes();
    pub(super) const PROPERTIES: &[u8] = key::PROPERTIES.as_bytes();
    pub(super) const SERVICES: &[u8] = key::SERVICES.as_bytes();
    pub(super) const ENTITLEMENT: &[u8] = key::ENTITLEMENT.as_bytes();
    pub(super) const PORT: &[u8] = key::PORT.as_bytes();
    pub(super) const USES_REMOTE_XPC: &[u8] = key::USES_REMOTE_XPC.as_bytes();
    pub(super) const SERVICE_VERSION: &[u8] = key::SERVICE_VERSION.as_bytes();
    pub(super) const FEATURES: &[u8] = key::FEATURES.as_bytes();
    pub(super) const VERSION: &[u8] = key::VERSION.as_bytes();
    pub(super) const LEGACY: &[u8] = key::LEGACY.as_bytes();
}

/// A Handshake's own keys, each found and, but for the UUID, of its type.
pub(super) struct Parts<S> {
    pub(super) protocol_version: u64,
    /// None when the key is missing: a wire Handshake must have it, a catalogue in JSON need not.
    pub(super) uuid: Option<S>,
    pub(super) properties: S,
    pub(super) services: S,
}

/// One entry of Services.
pub(super) struct ServiceParts<'a, S> {
    pub(super) name: &'a str,
    pub(super) entitlement: &'a str,
    pub(super) port: u16,
    pub(super) properties: Option<PropertyParts<S>>,
}

/// The Properties of a service; every known key is of its type.
pub(super) struct PropertyParts<S> {
    pub(super) uses_remote_xpc: Option<bool>,
    pub(super) service_version: Option<u64>,
    pub(super) version: Option<u64>,
    pub(super) legacy: Option<bool>,
    /// An array whose values are all strings.
    pub(super) features: Option<S>,
    pub(super) raw: S,
}

/// Reads a Handshake's own keys.
pub(super) fn parts<'a, S: Source<'a>>(root: S) -> Result<Parts<S>, RsdError> {
    let (mut message_type, mut version, mut uuid, mut properties, mut services) = Default::default();
    for (key, value) in Path::Root.entries(root)? {
        let slot: &mut Option<S> = match key {
            bytes::MESSAGE_TYPE => &mut message_type,
            bytes::PROTOCOL_VERSION => &mut version,
            bytes::UUID => &mut uuid,
            bytes::PROPERTIES => &mut properties,
            bytes::SERVICES => &mut services,
            _ => continue,
        };
        slot.get_or_insert(value);
    }
    let found = need(Path::Message(key::MESSAGE_TYPE), message_type, Kind::String, Path::string)?;
    if found != HANDSHAKE {
        return Err(RsdError::WrongMessageType { expected: HANDSHAKE, found: clip(found) });
    }
    Ok(Parts {
        protocol_version: need(Path::Message(key::PROTOCOL_VERSION), version, Kind::Uint64, Path::uint64)?,
        uuid,
        properties: need(Path::Message(key::PROPERTIES), properties, Kind::Dictionary, dictionary)?,
        services: need(Path::Message(key::SERVICES), services, Kind::Dictionary, dictionary)?,
    })
}

/// Reads every service of [`Parts::services`].
pub(super) fn services<'a, S: Source<'a>>(
    services: S,
) -> Result<impl Iterator<Item = Result<ServiceParts<'a, S>, RsdError>>, RsdError> {
    Ok(Path::Message(key::SERVICES).entries(services)?.map(|(key, value)| service(name(key), value)))
}

#[inline]
fn service<'a, S: Source<'a>>(name: &'a str, value: S) -> Result<ServiceParts<'a, S>, RsdError> {
    let (mut entitlement, mut port, mut properties) = Default::default();
    for (key, value) in Path::Service(name).entries(value)? {
        let slot: &mut Option<S> = match key {
            bytes::ENTITLEMENT => &mut entitlement,
            bytes::PORT => &mut port,
            bytes::PROPERTIES => &mut properties,
            _ => continue,
        };
        slot.get_or_insert(value);
    }
    let port_path = Path::ServiceKey(name, key::PORT);
    let port_text = need(port_path, port, Kind::String, Path::string)?;
    Ok(ServiceParts {
        name,
        entitlement: need(Path::ServiceKey(name, key::ENTITLEMENT), entitlement, Kind::String, Path::string)?,
        port: parse_port(port_text).ok_or_else(|| port_path.bad_port(port_text))?,
        properties: properties.map(|raw| service_properties(name, raw)).transpose()?,
    })
}

#[inline]
fn service_properties<'a, S: Source<'a>>(name: &'a str, raw: S) -> Result<PropertyParts<S>, RsdError> {
    let mut parts = PropertyParts {
        uses_remote_xpc: None,
        service_version: None,
        version: None,
        legacy: None,
        features: None,
        raw,
    };
    for (key, value) in Path::ServiceKey(name, key::PROPERTIES).entries(raw)? {
        let at = |key| Path::ServiceProperty(name, key);
        match key {
            bytes::USES_REMOTE_XPC => {
                first(&mut parts.uses_remote_xpc, at(key::USES_REMOTE_XPC).bool(value)?);
            }
            bytes::SERVICE_VERSION => {
                first(&mut parts.service_version, at(key::SERVICE_VERSION).uint64(value)?);
            }
            bytes::VERSION => first(&mut parts.version, at(key::VERSION).uint64(value)?),
            bytes::LEGACY => first(&mut parts.legacy, at(key::LEGACY).bool(value)?),
            bytes::FEATURES => {
                for feature in at(key::FEATURES).items(value)? {
                    at(key::FEATURES).string(feature)?;
                }
                first(&mut parts.features, value);
            }
            _ => {}
        }
    }
    Ok(parts)
}

#[inline]
fn first<T>(slot: &mut Option<T>, value: T) {
    slot.get_or_insert(value);
}

#[inline]
fn need<'a, 'p, S: Source<'a>, T>(
    path: Path<'p>,
    value: Option<S>,
    expected: Kind,
    typed: impl FnOnce(Path<'p>, S) -> Result<T, RsdError>,
) -> Result<T, RsdError> {
    typed(path, value.ok_or_else(|| path.missing(expected))?)
}

fn dictionary<'a, S: Source<'a>>(path: Path<'_>, value: S) -> Result<S, RsdError> {
    path.entries(value).map(|_| value)
}

/// Digits only, 1 to 65535: a port is a decimal string. Source: protocol.md §4.1.
#[inline]
fn parse_port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}
