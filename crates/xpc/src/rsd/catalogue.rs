//! What a phone offers, from a file: the captured Handshakes as JSON.

use serde_json::Value;
use uuid::Uuid;

use super::error::RsdError;
use super::handshake::Handshake;
use super::key;
use super::parse::{HANDSHAKE, parts};
use super::service::Services;
use crate::json::{self, JsonError};
use crate::{Dictionary, Object};

/// A device's properties and services, with or without the UUID of the session they were captured in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    /// MessagingProtocolVersion.
    pub protocol_version: u64,
    /// The device's UUID, where the file gives one.
    pub uuid: Option<Uuid>,
    /// The device's properties in order.
    pub properties: Dictionary,
    /// The device's services in order.
    pub services: Services,
}

/// JSON that is no catalogue.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CatalogueError {
    /// It is no typed JSON form of an object.
    #[error("expected a Handshake as JSON: {0}")]
    Json(#[from] JsonError),
    /// The object is no Handshake.
    #[error("expected a Handshake as JSON: {0}")]
    Rsd(#[from] RsdError),
}

impl Catalogue {
    /// Reads a Handshake in JSON: the typed form of [`crate::json`], of which the captured files are a subset (every integer a
    /// uint64). `MessageType` may be missing; `UUID` may be missing or a string, and one that is no UUID (a fixture says
    /// "random per run") counts as missing.
    ///
    /// # Errors
    /// What is no typed JSON, what is missing, what has another type.
    pub fn from_json(value: &Value) -> Result<Self, CatalogueError> {
        let mut object = json::from_value(value)?;
        if let Object::Dictionary(entries) = &mut object {
            if !entries.contains_key(key::MESSAGE_TYPE) {
                entries.insert(key::MESSAGE_TYPE, HANDSHAKE);
            }
            let text = entries.get(key::UUID).and_then(Object::as_str);
            if let Some(uuid) = text.map(Uuid::try_parse) {
                entries.remove(key::UUID);
                entries.extend(uuid.map(|uuid| (key::UUID, uuid)));
            }
        }
        let parts = parts(&object)?;
        if parts.uuid.is_some() {
            return Ok(Handshake::from_object(&object)?.into());
        }
        let handshake = Handshake::from_parts(&parts, Uuid::nil())?;
        Ok(Catalogue { uuid: None, ..handshake.into() })
    }

    /// The typed JSON form, which [`Catalogue::from_json`] reads back.
    pub fn to_json(&self) -> Value {
        let mut object = self.handshake(self.uuid.unwrap_or_default()).to_object();
        if let (None, Object::Dictionary(entries)) = (self.uuid, &mut object) {
            entries.remove(key::UUID);
        }
        json::to_value(&object)
    }

    /// The Handshake that a device with this catalogue and `uuid` sends.
    pub fn handshake(&self, uuid: Uuid) -> Handshake {
        Handshake {
            protocol_version: self.protocol_version,
            uuid,
            properties: self.properties.clone(),
            services: self.services.clone(),
        }
    }

    /// A property's text.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.get(name)?.as_str()
    }

    /// ProductType, such as `iPhone15,3`.
    pub fn product_type(&self) -> Option<&str> {
        self.property("ProductType")
    }

    /// OSVersion, such as `17.0.3`.
    pub fn os_version(&self) -> Option<&str> {
        self.property("OSVersion")
    }

    /// BuildVersion, such as `21A360`.
    pub fn build(&self) -> Option<&str> {
        self.property("BuildVersion")
    }

    /// UniqueDeviceID, the UDID with its dash.
    pub fn udid(&self) -> Option<&str> {
        self.property("UniqueDeviceID")
    }
}

impl From<Handshake> for Catalogue {
    fn from(handshake: Handshake) -> Self {
        Catalogue {
            protocol_version: handshake.protocol_version,
            uuid: Some(handshake.uuid),
            properties: handshake.properties,
            services: handshake.services,
        }
    }
}
