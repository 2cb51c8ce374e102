//! Messages to trees.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use iosmux_xpc::{Dictionary, Object};

use super::{
    Body, DeviceOptions, ErrorExtended, Event, HandshakeRequest, HandshakeResponse, PairingData, PairingKind,
    PeerDeviceInfo, Request, Response,
};
use crate::listener::{CreateListener, ListenerAnswer};

fn one(key: &str, value: impl Into<Object>) -> Dictionary {
    Dictionary::new().with(key, value)
}

fn empty(key: &str) -> Dictionary {
    one(key, Dictionary::new())
}

pub(super) fn body(body: &Body) -> Object {
    match body {
        Body::Request(request_body) => one("request", one("_0", request(request_body))),
        Body::Response(response_body) => one("response", one("_1", response(response_body))),
        Body::Event(event_body) => one("event", one("_0", event(event_body))),
    }
    .into()
}

fn request(request: &Request) -> Dictionary {
    match request {
        Request::Handshake(handshake) => one("handshake", one("_0", handshake_request(handshake))),
        Request::CreateRemoteUnlockKey => empty("createRemoteUnlockKey"),
        Request::CreateListener(listener) => one("createListener", create_listener(listener)),
        Request::Other(name) => empty(name),
    }
}

fn response(response: &Response) -> Dictionary {
    match response {
        Response::Handshake(handshake) => one("handshake", one("_0", handshake_response(handshake))),
        Response::CreateRemoteUnlockKey(key) => one("createRemoteUnlockKey", one("hostKey", key.expose())),
        Response::CreateListener(answer) => one("createListener", listener_answer(answer)),
        Response::Error(error) => one("errorExtended", one("_0", error_extended(error))),
        Response::Other(name) => empty(name),
    }
}

fn event(event: &Event) -> Dictionary {
    match event {
        Event::PairingData(data) => one("pairingData", one("_0", pairing_data(data))),
        Event::AwaitingUserConsent => empty("awaitingUserConsent"),
        Event::PairingRejectedWithError(description) => one(
            "pairingRejectedWithError",
            one("wrappedError", one("userInfo", user_info(description.as_deref()))),
        ),
        Event::PairVerifyFailed => empty("pairVerifyFailed"),
        Event::Other(name) => empty(name),
    }
}

fn user_info(description: Option<&str>) -> Dictionary {
    description.map(|text| ("NSLocalizedDescription", text)).into_iter().collect()
}

fn handshake_request(handshake: &HandshakeRequest) -> Dictionary {
    one("hostOptions", one("attemptPairVerify", handshake.attempt_pair_verify))
        .with("wireProtocolVersion", handshake.wire_protocol_version)
}

fn handshake_response(handshake: &HandshakeResponse) -> Dictionary {
    let mut out = one("wireProtocolVersion", handshake.wire_protocol_version)
        .with("deviceOptions", device_options(&handshake.options));
    if let Some(device) = &handshake.device {
        out.insert("peerDeviceInfo", peer_device_info(device));
    }
    out
}

fn device_options(options: &DeviceOptions) -> Dictionary {
    [
        ("allowsPairSetup", options.allows_pair_setup),
        ("allowsPinlessPairing", options.allows_pinless_pairing),
        ("allowsPromptlessAutomationPairingUpgrade", options.allows_promptless_automation_pairing_upgrade),
        ("allowsUpgradeOfLockdownPairings", options.allows_upgrade_of_lockdown_pairings),
        ("allowsSharingSensitiveInfo", options.allows_sharing_sensitive_info),
        ("allowsIncomingTunnelConnections", options.allows_incoming_tunnel_connections),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key, value?)))
    .collect()
}

fn peer_device_info(device: &PeerDeviceInfo) -> Dictionary {
    let text = |text: &Option<String>| text.as_deref().map(Object::from);
    [
        ("identifier", Some(Object::from(&device.identifier))),
        ("name", text(&device.name)),
        ("model", text(&device.model)),
        ("udid", text(&device.udid)),
        ("ecid", device.ecid.map(Object::from)),
        ("deviceKVSData", device.kvs_data.clone().map(Object::from)),
        ("deviceKVSIncludesSensitiveInfo", device.kvs_includes_sensitive_info.map(Object::from)),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key, value?)))
    .collect()
}

fn create_listener(listener: &CreateListener) -> Dictionary {
    let connections: Vec<Object> = listener
        .peer_connections
        .iter()
        .map(|connection| {
            one("owningPID", connection.owning_pid)
                .with("owningProcessName", &connection.owning_process_name)
                .into()
        })
        .collect();
    one("key", STANDARD.encode(&listener.key))
        .with("peerConnectionsInfo", connections)
        .with("transportProtocolType", listener.transport.name())
}

fn listener_answer(answer: &ListenerAnswer) -> Dictionary {
    let mut out = one("port", u64::from(answer.port));
    if let Some(key) = &answer.device_public_key {
        out.insert("devicePublicKey", STANDARD.encode(key));
    }
    if let Some(name) = &answer.service_name {
        out.insert("serviceName", name);
    }
    out
}

fn error_extended(error: &ErrorExtended) -> Dictionary {
    one("domain", &error.domain)
        .with("code", error.code)
        .with("userInfo", user_info(error.description.as_deref()))
}

fn pairing_data(data: &PairingData) -> Dictionary {
    let kind = match &data.kind {
        PairingKind::Setup => super::decode::SETUP,
        PairingKind::Verify => super::decode::VERIFY,
        PairingKind::Other(kind) => kind,
    };
    let mut out = one("data", data.data.as_slice()).with("kind", kind);
    if let Some(host) = &data.sending_host {
        out.insert("sendingHost", host);
    }
    out.with("startNewSession", data.start_new_session)
}
