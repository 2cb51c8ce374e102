//! The messages of the control channel, whichever envelope they travel in.
//!
//! Source: protocol.md §5.1–§5.7.

pub(crate) mod decode;
mod encode;
pub(crate) mod json;

use zeroize::{Zeroize as _, Zeroizing};

use iosmux_xpc::Object;

use crate::listener::{CreateListener, ListenerAnswer};

/// The version that every client says it speaks. Source: protocol.md §5.2.
pub const WIRE_PROTOCOL_VERSION: i64 = 19;

/// Why a message can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// A key is not there.
    #[error("a control message lacks {path}")]
    Missing {
        /// The way to the key.
        path: &'static str,
    },
    /// A value has another type.
    #[error("a control message has a {path} that is not {expected}")]
    WrongType {
        /// The way to the value.
        path: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// Neither request, response nor event.
    #[error("a control message is neither request, response nor event")]
    NoKind,
    /// The JSON is not JSON.
    #[error("a control message is not JSON (line {line}, column {column})")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A value that JSON envelopes have no form for.
    #[error("a control message can't be written as JSON")]
    Unwritable,
}

/// A request, a response or an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// `request._0`.
    Request(Request),
    /// `response._1`.
    Response(Response),
    /// `event._0`.
    Event(Event),
}

impl Body {
    /// The name of the message, for logs and errors; never its content.
    pub fn name(&self) -> &str {
        match self {
            Body::Request(Request::Handshake(_)) => "request handshake",
            Body::Request(Request::CreateRemoteUnlockKey) => "request createRemoteUnlockKey",
            Body::Request(Request::CreateListener(_)) => "request createListener",
            Body::Response(Response::Handshake(_)) => "response handshake",
            Body::Response(Response::CreateRemoteUnlockKey(_)) => "response createRemoteUnlockKey",
            Body::Response(Response::CreateListener(_)) => "response createListener",
            Body::Response(Response::Error(_)) => "response errorExtended",
            Body::Event(Event::PairingData(_)) => "event pairingData",
            Body::Event(Event::AwaitingUserConsent) => "event awaitingUserConsent",
            Body::Event(Event::PairingRejectedWithError(_)) => "event pairingRejectedWithError",
            Body::Event(Event::PairVerifyFailed) => "event pairVerifyFailed",
            Body::Request(Request::Other(name))
            | Body::Response(Response::Other(name))
            | Body::Event(Event::Other(name)) => name,
        }
    }
}

/// What one side asks the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// The first message of a host.
    Handshake(HandshakeRequest),
    /// The key with which a locked device lets services run.
    CreateRemoteUnlockKey,
    /// A listener for a tunnel.
    CreateListener(CreateListener),
    /// Anything else, by its name.
    Other(String),
}

/// What a request is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// The device's options and who it is.
    Handshake(HandshakeResponse),
    /// The remote unlock key.
    CreateRemoteUnlockKey(HostKey),
    /// Where the device listens.
    CreateListener(ListenerAnswer),
    /// The request was refused.
    Error(ErrorExtended),
    /// Anything else, by its name.
    Other(String),
}

/// What one side tells the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A step of pair-setup or pair-verify.
    PairingData(PairingData),
    /// The device asks its user.
    AwaitingUserConsent,
    /// The device or its user said no, with the text that the device gave.
    PairingRejectedWithError(Option<String>),
    /// The host gives up pair-verify and goes on with pair-setup.
    PairVerifyFailed,
    /// Anything else, by its name.
    Other(String),
}

/// `handshake` of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandshakeRequest {
    /// The version that it speaks, see [`WIRE_PROTOCOL_VERSION`].
    pub wire_protocol_version: i64,
    /// Whether it is going to try pair-verify first.
    pub attempt_pair_verify: bool,
}

/// `handshake` of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandshakeResponse {
    /// The version that it speaks.
    pub wire_protocol_version: i64,
    /// What it allows.
    pub options: DeviceOptions,
    /// Who it is; absent on Wi-Fi before verification.
    pub device: Option<PeerDeviceInfo>,
}

/// `deviceOptions`; what was left out is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeviceOptions {
    /// Whether pair-setup is possible on this connection.
    pub allows_pair_setup: Option<bool>,
    /// Whether pair-setup goes without a PIN.
    pub allows_pinless_pairing: Option<bool>,
    /// The older name of the upgrade of a pairing without a prompt.
    pub allows_promptless_automation_pairing_upgrade: Option<bool>,
    /// The newer name of such an upgrade.
    pub allows_upgrade_of_lockdown_pairings: Option<bool>,
    /// Whether sensitive properties may be told.
    pub allows_sharing_sensitive_info: Option<bool>,
    /// Whether tunnels may be opened towards the device.
    pub allows_incoming_tunnel_connections: Option<bool>,
}

/// `peerDeviceInfo`; what was left out is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PeerDeviceInfo {
    /// What names the pair record; over RSD the UDID.
    pub identifier: String,
    /// Its name, for people.
    pub name: Option<String>,
    /// Its model.
    pub model: Option<String>,
    /// Its UDID.
    pub udid: Option<String>,
    /// Its chip identifier.
    pub ecid: Option<u64>,
    /// A binary property list about it.
    pub kvs_data: Option<Vec<u8>>,
    /// Whether that list has sensitive values.
    pub kvs_includes_sensitive_info: Option<bool>,
}

/// Which exchange a TLV8 belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PairingKind {
    /// `setupManualPairing`.
    Setup,
    /// `verifyManualPairing`.
    Verify,
    /// Any other.
    Other(String),
}

/// `pairingData`: one step of an exchange.
#[derive(Clone, PartialEq, Eq)]
pub struct PairingData {
    /// The TLV8.
    pub data: Vec<u8>,
    /// Which exchange.
    pub kind: PairingKind,
    /// Whether the exchange begins anew.
    pub start_new_session: bool,
    /// The host's name, in pair-setup.
    pub sending_host: Option<String>,
}

impl std::fmt::Debug for PairingData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PairingData")
            .field("data_len", &self.data.len())
            .field("kind", &self.kind)
            .field("start_new_session", &self.start_new_session)
            .field("sending_host", &self.sending_host)
            .finish()
    }
}

/// The remote unlock key as the device wrote it: base64 text.
#[derive(Clone, PartialEq, Eq)]
pub struct HostKey(Zeroizing<String>);

impl HostKey {
    /// Takes the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for HostKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HostKey(redacted)")
    }
}

/// `errorExtended`: why the device refuses a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorExtended {
    /// The error domain.
    pub domain: String,
    /// The code in that domain.
    pub code: i64,
    /// The text for people, if there is one.
    pub description: Option<String>,
}

impl Body {
    /// The message as a tree; in a JSON envelope its data values become base64.
    pub fn to_object(&self) -> Object {
        encode::body(self)
    }

    /// Reads a tree; data values may be bytes or base64 text.
    ///
    /// # Errors
    /// [`MessageError`] with the way to what is wrong.
    pub fn from_object(object: &Object) -> Result<Self, MessageError> {
        decode::body(object)
    }

    /// The message as JSON, wiped when dropped.
    ///
    /// # Errors
    /// [`MessageError::Unwritable`].
    pub fn to_json(&self) -> Result<Zeroizing<Vec<u8>>, MessageError> {
        json::write(&Wiped(self.to_object()).0)
    }

    /// Reads JSON.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, MessageError> {
        Self::from_object(&Wiped(json::read(bytes)?).0)
    }
}

/// A tree whose text and bytes are wiped when it is dropped: it may hold a pre-shared key.
pub(crate) struct Wiped(pub(crate) Object);

impl Drop for Wiped {
    fn drop(&mut self) {
        wipe(std::mem::take(&mut self.0));
    }
}

fn wipe(object: Object) {
    match object {
        Object::String(mut text) => text.zeroize(),
        Object::Data(mut bytes) => bytes.zeroize(),
        Object::Array(values) => values.into_iter().for_each(wipe),
        Object::Dictionary(entries) => entries.into_iter().for_each(|(_, value)| wipe(value)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
