//! The Handshake, owned.

use uuid::Uuid;

use super::error::RsdError;
use super::key;
use super::parse::{HANDSHAKE, Parts, parts, services};
use super::service::{Service, Services};
use super::source::{Path, Source};
use crate::object::writer::{Value, write_body};
use crate::{Dictionary, EncodeError, Kind, Limits, Object, View};

/// The MessagingProtocolVersion a current host sends. Source: protocol.md §4.1 (iOS 26, 27 and macOS 26).
pub const HOST_PROTOCOL_VERSION: u64 = 7;

/// The RemoteXPCVersionFlags of every device and host ever captured. Source: protocol.md §4.1, fixtures rsd/*.json.
pub const REMOTE_XPC_VERSION_FLAGS: u64 = 0x0100_0000_0000_0006;

/// What each side of an RSD connection says first.
///
/// Keys of the message and of a service's entry that no source knows are not kept; properties are, all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// MessagingProtocolVersion.
    pub protocol_version: u64,
    /// The sender's UUID: stable per host, because a changed one closes every listener from iOS 27.2.
    pub uuid: Uuid,
    /// The sender's properties in wire order.
    pub properties: Dictionary,
    /// The sender's services in wire order; a host has none.
    pub services: Services,
}

impl Handshake {
    /// The least a host must say. Source: protocol.md §4.1 (host Properties minimal set).
    pub fn host(uuid: Uuid) -> Self {
        Handshake {
            protocol_version: HOST_PROTOCOL_VERSION,
            uuid,
            properties: Dictionary::new()
                .with(key::REMOTE_XPC_VERSION_FLAGS, REMOTE_XPC_VERSION_FLAGS)
                .with(key::SENSITIVE_PROPERTIES_VISIBLE, true),
            services: Services::new(),
        }
    }

    /// Checks a body and reads it as a Handshake.
    ///
    /// # Errors
    /// [`RsdError::Decode`] when it is no object, else what is missing or of another type.
    pub fn decode(body: &[u8], limits: &Limits) -> Result<Self, RsdError> {
        Self::from_source(View::parse(body, limits)?)
    }

    /// Reads an object as a Handshake.
    ///
    /// # Errors
    /// What is missing or of another type.
    pub fn from_object(object: &Object) -> Result<Self, RsdError> {
        Self::from_source(object)
    }

    pub(super) fn from_source<'a, S: Source<'a>>(root: S) -> Result<Self, RsdError> {
        let parts = parts(root)?;
        let path = Path::Message(key::UUID);
        let uuid = path.uuid(parts.uuid.ok_or_else(|| path.missing(Kind::Uuid))?)?;
        Self::from_parts(&parts, uuid)
    }

    pub(super) fn from_parts<'a, S: Source<'a>>(parts: &Parts<S>, uuid: Uuid) -> Result<Self, RsdError> {
        let services = services(parts.services)?
            .map(|service| service.map(|service| (service.name, Service::from_parts(&service))))
            .collect::<Result<Services, RsdError>>()?;
        Ok(Handshake {
            protocol_version: parts.protocol_version,
            uuid,
            properties: parts.properties.owned_entries().unwrap_or_default(),
            services,
        })
    }

    /// The object that [`Handshake::encode`] encodes.
    pub fn to_object(&self) -> Object {
        let mut entries = Dictionary::with_capacity(5);
        entries.push(key::MESSAGE_TYPE, HANDSHAKE);
        entries.push(key::PROTOCOL_VERSION, self.protocol_version);
        entries.push(key::UUID, self.uuid);
        entries.push(key::PROPERTIES, self.properties.clone());
        entries.push(key::SERVICES, self.services.to_object());
        entries.into()
    }

    /// The body to send, keys in the order of protocol.md §4.1, which is also what the idevice crate sends.
    ///
    /// # Errors
    /// What [`EncodeError`] lists, with [`Limits::default`].
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut body = Vec::new();
        self.encode_into(&mut body, &Limits::default())?;
        Ok(body)
    }

    /// Appends the body to `out`, which is left as it was on an error.
    ///
    /// # Errors
    /// What [`EncodeError`] lists.
    pub fn encode_into(&self, out: &mut Vec<u8>, limits: &Limits) -> Result<(), EncodeError> {
        write_body(out, limits, |value| self.write(value))
    }

    fn write(&self, value: Value<'_, '_>) -> Result<(), EncodeError> {
        value.dictionary(|items| {
            items.key(key::MESSAGE_TYPE)?.string(HANDSHAKE)?;
            items.key(key::PROTOCOL_VERSION)?.uint64(self.protocol_version)?;
            items.key(key::UUID)?.uuid(self.uuid)?;
            items.key(key::PROPERTIES)?.dictionary(|items| self.properties.write(items))?;
            items.key(key::SERVICES)?.dictionary(|items| self.services.write(items))
        })
    }
}

/// The UUID of this host in a Handshake: version 3 of the DNS namespace and the host's name, as pymobiledevice3 makes it, so
/// that both tools on one host are the same peer to a phone. Source: protocol.md §5.5, architecture.md (contracts).
pub fn host_uuid(host_name: &str) -> Uuid {
    Uuid::new_v3(&Uuid::NAMESPACE_DNS, host_name.as_bytes())
}
