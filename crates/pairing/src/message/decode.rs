//! Trees to messages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use iosmux_xpc::Object;
use zeroize::Zeroizing;

use super::{
    Body, DeviceOptions, ErrorExtended, Event, HandshakeRequest, HandshakeResponse, HostKey, MessageError,
    PairingData, PairingKind, PeerDeviceInfo, Request, Response,
};
use crate::listener::{CreateListener, ListenerAnswer, PeerConnection, Transport};

/// The kind of pair-setup. Source: protocol.md §5.3.
pub(super) const SETUP: &str = "setupManualPairing";
/// The kind of pair-verify. Source: protocol.md §5.3.
pub(super) const VERIFY: &str = "verifyManualPairing";

/// The longest remote unlock key that is taken, in bytes of base64; real ones have 44.
const MAX_HOST_KEY: usize = 1024;

type Result<T> = std::result::Result<T, MessageError>;

fn field<'a>(object: &'a Object, key: &str, path: &'static str) -> Result<&'a Object> {
    object.get(key).ok_or(MessageError::Missing { path })
}

fn wrong(path: &'static str, expected: &'static str) -> MessageError {
    MessageError::WrongType { path, expected }
}

fn text(object: &Object, path: &'static str) -> Result<String> {
    object.as_str().map(str::to_owned).ok_or(wrong(path, "text"))
}

fn boolean(object: &Object, path: &'static str) -> Result<bool> {
    object.as_bool().ok_or(wrong(path, "a boolean"))
}

/// A signed number, whichever type carries it: JSON has one type for all.
fn signed(object: &Object, path: &'static str) -> Result<i64> {
    match object {
        Object::Int64(number) => Some(*number),
        Object::Uint64(number) => i64::try_from(*number).ok(),
        _ => None,
    }
    .ok_or(wrong(path, "a number"))
}

/// An unsigned number, whichever type carries it.
pub(crate) fn unsigned(object: &Object, path: &'static str) -> Result<u64> {
    match object {
        Object::Uint64(number) => Some(*number),
        Object::Int64(number) => u64::try_from(*number).ok(),
        _ => None,
    }
    .ok_or(wrong(path, "a number that is not negative"))
}

/// Bytes: a data value, or base64 in a JSON envelope. Source: protocol.md §5.1.
pub(crate) fn bytes(object: &Object, path: &'static str) -> Result<Vec<u8>> {
    match object {
        Object::Data(bytes) => Some(bytes.clone()),
        Object::String(text) => STANDARD.decode(text).ok(),
        _ => None,
    }
    .ok_or(wrong(path, "bytes or base64"))
}

/// The value of an optional key, read if it is there.
fn optional<T>(
    object: &Object,
    key: &str,
    path: &'static str,
    read: fn(&Object, &'static str) -> Result<T>,
) -> Result<Option<T>> {
    object.get(key).filter(|value| !matches!(value, Object::Null)).map(|value| read(value, path)).transpose()
}

/// The one key of an enumeration and its value; `forRequestIdentifier` and the like stand outside of it.
fn variant<'a>(object: &'a Object, path: &'static str) -> Result<(&'a str, &'a Object)> {
    object
        .as_dictionary()
        .and_then(|entries| entries.iter().next())
        .ok_or(wrong(path, "a dictionary with a key"))
}

pub(super) fn body(object: &Object) -> Result<Body> {
    if let Some(inner) = object.get("request") {
        request(field(inner, "_0", "request._0")?).map(Body::Request)
    } else if let Some(inner) = object.get("response") {
        response(field(inner, "_1", "response._1")?).map(Body::Response)
    } else if let Some(inner) = object.get("event") {
        event(field(inner, "_0", "event._0")?).map(Body::Event)
    } else {
        Err(MessageError::NoKind)
    }
}

fn request(object: &Object) -> Result<Request> {
    let (name, value) = variant(object, "request._0")?;
    Ok(match name {
        "handshake" => Request::Handshake(handshake_request(field(value, "_0", "request._0.handshake._0")?)?),
        "createRemoteUnlockKey" => Request::CreateRemoteUnlockKey,
        "createListener" => Request::CreateListener(create_listener(value)?),
        other => Request::Other(other.to_owned()),
    })
}

fn response(object: &Object) -> Result<Response> {
    let (name, value) = variant(object, "response._1")?;
    Ok(match name {
        "handshake" => {
            Response::Handshake(handshake_response(field(value, "_0", "response._1.handshake._0")?)?)
        }
        "createRemoteUnlockKey" => {
            let path = "response._1.createRemoteUnlockKey.hostKey";
            Response::CreateRemoteUnlockKey(host_key(field(value, "hostKey", path)?, path)?)
        }
        "createListener" => Response::CreateListener(listener_answer(value)?),
        "errorExtended" => {
            Response::Error(error_extended(field(value, "_0", "response._1.errorExtended._0")?)?)
        }
        other => Response::Other(other.to_owned()),
    })
}

/// It is kept in the pair record, so its length is not left to the device.
fn host_key(object: &Object, path: &'static str) -> Result<HostKey> {
    let key = HostKey::new(text(object, path)?);
    if key.expose().len() <= MAX_HOST_KEY {
        Ok(key)
    } else {
        Err(wrong(path, "a text of at most 1024 bytes"))
    }
}

fn event(object: &Object) -> Result<Event> {
    let (name, value) = variant(object, "event._0")?;
    Ok(match name {
        "pairingData" => Event::PairingData(pairing_data(field(value, "_0", "event._0.pairingData._0")?)?),
        "awaitingUserConsent" => Event::AwaitingUserConsent,
        "pairingRejectedWithError" => Event::PairingRejectedWithError(
            value.get("wrappedError").and_then(|error| description(error.get("userInfo"))),
        ),
        "pairVerifyFailed" => Event::PairVerifyFailed,
        other => Event::Other(other.to_owned()),
    })
}

fn description(user_info: Option<&Object>) -> Option<String> {
    user_info?.get("NSLocalizedDescription")?.as_str().map(str::to_owned)
}

fn handshake_request(object: &Object) -> Result<HandshakeRequest> {
    let version = "handshake.wireProtocolVersion";
    let attempt = object.get("hostOptions").and_then(|options| options.get("attemptPairVerify"));
    Ok(HandshakeRequest {
        wire_protocol_version: signed(field(object, "wireProtocolVersion", version)?, version)?,
        attempt_pair_verify: attempt
            .map(|value| boolean(value, "handshake.hostOptions.attemptPairVerify"))
            .transpose()?
            .unwrap_or(false),
    })
}

fn handshake_response(object: &Object) -> Result<HandshakeResponse> {
    let version = "handshake.wireProtocolVersion";
    let options = object.get("deviceOptions").map(device_options).transpose()?;
    Ok(HandshakeResponse {
        wire_protocol_version: signed(field(object, "wireProtocolVersion", version)?, version)?,
        options: options.unwrap_or_default(),
        device: object.get("peerDeviceInfo").map(peer_device_info).transpose()?,
    })
}

fn device_options(object: &Object) -> Result<DeviceOptions> {
    let flag = |key: &str| optional(object, key, "handshake.deviceOptions", boolean);
    Ok(DeviceOptions {
        allows_pair_setup: flag("allowsPairSetup")?,
        allows_pinless_pairing: flag("allowsPinlessPairing")?,
        allows_promptless_automation_pairing_upgrade: flag("allowsPromptlessAutomationPairingUpgrade")?,
        allows_upgrade_of_lockdown_pairings: flag("allowsUpgradeOfLockdownPairings")?,
        allows_sharing_sensitive_info: flag("allowsSharingSensitiveInfo")?,
        allows_incoming_tunnel_connections: flag("allowsIncomingTunnelConnections")?,
    })
}

fn peer_device_info(object: &Object) -> Result<PeerDeviceInfo> {
    let path = "handshake.peerDeviceInfo";
    let identifier = "handshake.peerDeviceInfo.identifier";
    Ok(PeerDeviceInfo {
        identifier: text(field(object, "identifier", identifier)?, identifier)?,
        name: optional(object, "name", path, text)?,
        model: optional(object, "model", path, text)?,
        udid: optional(object, "udid", path, text)?,
        ecid: optional(object, "ecid", path, unsigned)?,
        kvs_data: optional(object, "deviceKVSData", path, bytes)?,
        kvs_includes_sensitive_info: optional(object, "deviceKVSIncludesSensitiveInfo", path, boolean)?,
    })
}

fn create_listener(object: &Object) -> Result<CreateListener> {
    let (key, transport) = ("createListener.key", "createListener.transportProtocolType");
    let name = text(field(object, "transportProtocolType", transport)?, transport)?;
    let connections = object.get("peerConnectionsInfo").and_then(Object::as_array).unwrap_or_default();
    Ok(CreateListener {
        key: Zeroizing::new(bytes(field(object, "key", key)?, key)?),
        transport: Transport::from_name(&name).ok_or(wrong(transport, "tcp, quic or udp"))?,
        peer_connections: connections.iter().map(peer_connection).collect::<Result<_>>()?,
    })
}

fn peer_connection(object: &Object) -> Result<PeerConnection> {
    let (pid, name) = ("peerConnectionsInfo.owningPID", "peerConnectionsInfo.owningProcessName");
    Ok(PeerConnection {
        owning_pid: unsigned(field(object, "owningPID", pid)?, pid)?,
        owning_process_name: text(field(object, "owningProcessName", name)?, name)?,
    })
}

fn listener_answer(object: &Object) -> Result<ListenerAnswer> {
    let path = "createListener.port";
    let port = unsigned(field(object, "port", path)?, path)?;
    Ok(ListenerAnswer {
        port: u16::try_from(port).ok().filter(|port| *port != 0).ok_or(wrong(path, "a port, 1 to 65535"))?,
        device_public_key: optional(object, "devicePublicKey", "createListener.devicePublicKey", bytes)?,
        service_name: optional(object, "serviceName", "createListener.serviceName", text)?,
    })
}

fn error_extended(object: &Object) -> Result<ErrorExtended> {
    let (domain, code) = ("errorExtended.domain", "errorExtended.code");
    Ok(ErrorExtended {
        domain: text(field(object, "domain", domain)?, domain)?,
        code: signed(field(object, "code", code)?, code)?,
        description: description(object.get("userInfo")),
    })
}

fn pairing_data(object: &Object) -> Result<PairingData> {
    let (data, kind) = ("pairingData.data", "pairingData.kind");
    let kind = match text(field(object, "kind", kind)?, kind)?.as_str() {
        SETUP => PairingKind::Setup,
        VERIFY => PairingKind::Verify,
        other => PairingKind::Other(other.to_owned()),
    };
    let start = optional(object, "startNewSession", "pairingData.startNewSession", boolean)?;
    Ok(PairingData {
        data: bytes(field(object, "data", data)?, data)?,
        kind,
        start_new_session: start.unwrap_or(false),
        sending_host: optional(object, "sendingHost", "pairingData.sendingHost", text)?,
    })
}
