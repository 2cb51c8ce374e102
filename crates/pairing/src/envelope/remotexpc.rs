//! Control messages over RemoteXPC: a dictionary with a type name and the envelope.
//!
//! Source: protocol.md §5.1 item 1.

use iosmux_xpc::{Dictionary, Object};

use super::{Envelope, Origin};
use crate::message::MessageError;
use crate::message::decode::unsigned;

/// The service that carries control messages before trust. Source: protocol.md §5.1.
pub const SERVICE: &str = "com.apple.internal.dt.coredevice.untrusted.tunnelservice";
/// The type name that hosts send. Source: protocol.md §5.1.
pub const HOST_TYPE: &str = "RemotePairing.ControlChannelMessageEnvelope";
/// The type name that devices send. Source: protocol.md §5.1.
pub const DEVICE_TYPE: &str = "RemotePairingDevice.ControlChannelMessageEnvelope";

/// What comes over the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// The device's first message: the version of its service.
    ServiceVersion(u64),
    /// A control message.
    Envelope(Envelope),
}

/// The first message of a device. Source: protocol.md §5.1.
pub fn service_version(version: u64) -> Object {
    Dictionary::new().with("ServiceVersion", version).into()
}

/// The object of a control message.
pub fn encode(envelope: &Envelope) -> Object {
    let type_name = match envelope.origin {
        Origin::Host => HOST_TYPE,
        Origin::Device => DEVICE_TYPE,
    };
    Dictionary::new().with("mangledTypeName", type_name).with("value", envelope.to_object()).into()
}

/// Reads an object; the type name is not looked at, as in every known receiver.
///
/// # Errors
/// [`MessageError`] with the way to what is wrong.
pub fn decode(object: &Object) -> Result<Incoming, MessageError> {
    match (object.get("value"), object.get("ServiceVersion")) {
        (Some(value), _) => Envelope::from_object(value).map(Incoming::Envelope),
        (None, Some(version)) => unsigned(version, "ServiceVersion").map(Incoming::ServiceVersion),
        (None, None) => Err(MessageError::Missing { path: "value" }),
    }
}
