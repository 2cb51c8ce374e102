//! A Handshake that borrows from the bytes it came in: nothing is copied, everything is checked.

use uuid::Uuid;

use super::error::RsdError;
use super::key;
use super::parse::{PropertyParts, parts, services};
use super::source::Path;
use crate::object::{ArrayView, DictionaryView};
use crate::{Kind, Limits, View};

/// A Handshake, borrowed: every property and service was visited, every known key has its type.
#[derive(Debug, Clone)]
pub struct HandshakeView<'a> {
    /// MessagingProtocolVersion.
    pub protocol_version: u64,
    /// The sender's UUID.
    pub uuid: Uuid,
    /// Properties in wire order.
    pub properties: Vec<(&'a str, View<'a>)>,
    /// Services in wire order.
    pub services: Vec<ServiceView<'a>>,
}

/// One service of a [`HandshakeView`].
#[derive(Debug, Clone, Copy)]
pub struct ServiceView<'a> {
    /// Its name.
    pub name: &'a str,
    /// The entitlement a client needs.
    pub entitlement: &'a str,
    /// The TCP port, read from its decimal string.
    pub port: u16,
    /// What is said about it.
    pub properties: Option<ServicePropertiesView<'a>>,
}

/// The Properties of a [`ServiceView`].
#[derive(Debug, Clone, Copy)]
pub struct ServicePropertiesView<'a> {
    /// UsesRemoteXPC.
    pub uses_remote_xpc: Option<bool>,
    /// ServiceVersion.
    pub service_version: Option<u64>,
    /// `version`, of `com.apple.instruments.dtservicehub`.
    pub version: Option<u64>,
    /// Legacy.
    pub legacy: Option<bool>,
    features: Option<ArrayView<'a>>,
    /// All of them, unknown ones too.
    pub raw: DictionaryView<'a>,
}

impl<'a> HandshakeView<'a> {
    /// Checks a body and reads it as a Handshake.
    ///
    /// # Errors
    /// [`RsdError::Decode`] when it is no object, else what is missing or of another type.
    pub fn decode(body: &'a [u8], limits: &Limits) -> Result<Self, RsdError> {
        Self::from_view(View::parse(body, limits)?)
    }

    /// Reads a checked object as a Handshake.
    ///
    /// # Errors
    /// What is missing or of another type.
    pub fn from_view(root: View<'a>) -> Result<Self, RsdError> {
        let parts = parts(root)?;
        let uuid_path = Path::Message(key::UUID);
        let uuid = parts.uuid.ok_or_else(|| uuid_path.missing(Kind::Uuid))?;
        let mut properties = Vec::with_capacity(entry_count(parts.properties));
        properties.extend(parts.properties.as_dictionary().into_iter().flatten());
        let mut all = Vec::with_capacity(entry_count(parts.services));
        for service in services(parts.services)? {
            let service = service?;
            all.push(ServiceView {
                name: service.name,
                entitlement: service.entitlement,
                port: service.port,
                properties: service.properties.as_ref().and_then(ServicePropertiesView::from_parts),
            });
        }
        Ok(HandshakeView {
            protocol_version: parts.protocol_version,
            uuid: uuid_path.uuid(uuid)?,
            properties,
            services: all,
        })
    }
}

fn entry_count(view: View<'_>) -> usize {
    view.as_dictionary().map_or(0, |entries| entries.len())
}

impl<'a> ServicePropertiesView<'a> {
    fn from_parts(parts: &PropertyParts<View<'a>>) -> Option<Self> {
        Some(ServicePropertiesView {
            uses_remote_xpc: parts.uses_remote_xpc,
            service_version: parts.service_version,
            version: parts.version,
            legacy: parts.legacy,
            features: parts.features.and_then(|features| features.as_array()),
            raw: parts.raw.as_dictionary()?,
        })
    }

    /// Features in order; that each is a string was checked.
    pub fn features(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.features.into_iter().flatten().filter_map(|feature| feature.as_str())
    }
}
