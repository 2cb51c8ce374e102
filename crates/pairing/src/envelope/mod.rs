//! The two envelopes of a control message: who sent it, its number, and whether it is plain or encrypted.
//!
//! Source: protocol.md §5.1.

pub mod remotexpc;
pub mod rppairing;

use iosmux_xpc::{Dictionary, Object};

use crate::message::decode::{bytes, unsigned};
use crate::message::{Body, MessageError};

/// Who sent a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The side that connects and pairs.
    Host,
    /// The side that is paired with.
    Device,
}

impl Origin {
    fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Device => "device",
        }
    }
}

/// What an envelope holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlMessage {
    /// A message that everybody can read.
    Plain(Body),
    /// A message of the encrypted channel, sealed.
    StreamEncrypted(Sealed),
}

/// Sealed bytes; shown by length.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// One control message with its sender and number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Who sent it.
    pub origin: Origin,
    /// The sender's count; no known peer checks it (protocol.md §5.1).
    pub sequence_number: u64,
    /// What it holds.
    pub message: ControlMessage,
}

impl Envelope {
    /// `message`, `originatedBy` and `sequenceNumber` as a tree.
    fn to_object(&self) -> Object {
        let message = match &self.message {
            ControlMessage::Plain(body) => {
                Dictionary::new().with("plain", Dictionary::new().with("_0", body.to_object()))
            }
            ControlMessage::StreamEncrypted(Sealed(bytes)) => {
                Dictionary::new().with("streamEncrypted", Dictionary::new().with("_0", bytes.as_slice()))
            }
        };
        Dictionary::new()
            .with("message", message)
            .with("originatedBy", self.origin.name())
            .with("sequenceNumber", self.sequence_number)
            .into()
    }

    fn from_object(object: &Object) -> Result<Self, MessageError> {
        let missing = |path| MessageError::Missing { path };
        let origin = match object.get("originatedBy").and_then(Object::as_str) {
            Some("host") => Origin::Host,
            Some("device") => Origin::Device,
            Some(_) => {
                return Err(MessageError::WrongType { path: "originatedBy", expected: "host or device" });
            }
            None => return Err(missing("originatedBy")),
        };
        let number = object.get("sequenceNumber").ok_or(missing("sequenceNumber"))?;
        let message = object.get("message").ok_or(missing("message"))?;
        let message = if let Some(plain) = message.get("plain") {
            let body = plain.get("_0").ok_or(missing("message.plain._0"))?;
            ControlMessage::Plain(Body::from_object(body)?)
        } else if let Some(sealed) = message.get("streamEncrypted") {
            let path = "message.streamEncrypted._0";
            ControlMessage::StreamEncrypted(Sealed(bytes(sealed.get("_0").ok_or(missing(path))?, path)?))
        } else {
            return Err(missing("message.plain or message.streamEncrypted"));
        };
        Ok(Self { origin, sequence_number: unsigned(number, "sequenceNumber")?, message })
    }
}
