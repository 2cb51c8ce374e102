//! Messages that come twice, too early, from the wrong side, or that no source explains.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::Duration;

use iosmux_pairing::channel::ChannelError;
use iosmux_pairing::control::device::{DeviceControl, DeviceEvent, PairPolicy};
use iosmux_pairing::control::host::{HostControl, HostEvent};
use iosmux_pairing::envelope::{ControlMessage, Envelope, Origin, Sealed};
use iosmux_pairing::error::ControlError;
use iosmux_pairing::keys::KeyError;
use iosmux_pairing::listener::{CreateListener, Transport};
use iosmux_pairing::message::{Body, ErrorExtended, Event, PairingData, PairingKind, Request};
use iosmux_pairing::not_sourced::REMOTEPAIRING_REQUEST;
use iosmux_pairing::tlv8::Tlv8;
use support::{Scenario, device_config, host_config, rng, run, set_step, step_of};
use zeroize::Zeroizing;

fn from_host(message: ControlMessage) -> Envelope {
    Envelope { origin: Origin::Host, sequence_number: 0, message }
}

fn device_error(message: ControlMessage) -> ControlError {
    let mut device = DeviceControl::new(device_config(PairPolicy::Accept));
    device.on(Duration::ZERO, DeviceEvent::Message(from_host(message)), &mut rng(1)).unwrap_err()
}

/// Repeats the first encrypted message of one side in place of its second one.
fn with_replay(origin: Origin) -> support::Outcome {
    let mut first: Option<ControlMessage> = None;
    let mut scenario = Scenario::first_time(PairPolicy::Accept);
    scenario.tamper = Some(Box::new(move |envelope| {
        if envelope.origin == origin && matches!(envelope.message, ControlMessage::StreamEncrypted(_)) {
            envelope.message = first.get_or_insert_with(|| envelope.message.clone()).clone();
        }
    }));
    run(scenario)
}

#[test]
fn an_encrypted_request_that_comes_twice_does_not_open() {
    let expected = ChannelError::Key { counter: 1, source: KeyError::Open };
    assert_eq!(with_replay(Origin::Host).device_error, Some(ControlError::Channel(expected)));
}

#[test]
fn an_encrypted_response_that_comes_twice_does_not_open() {
    let outcome = with_replay(Origin::Device);
    let expected = ChannelError::Key { counter: 1, source: KeyError::Open };
    assert_eq!(outcome.host_error, Some(ControlError::Channel(expected)));
    assert!(outcome.listener.is_none());
}

#[test]
fn a_replayed_m2_in_place_of_m4_stops_the_host() {
    let mut scenario = Scenario::first_time(PairPolicy::Accept);
    let mut m2: Option<Tlv8> = None;
    scenario.tamper = Some(Box::new(move |envelope| {
        if envelope.origin == Origin::Device
            && let Some((PairingKind::Setup, tlv)) = step_of(envelope)
        {
            match tlv.state() {
                Some(2) => m2 = Some(tlv),
                Some(4) => set_step(envelope, m2.as_ref().unwrap()),
                _ => {}
            }
        }
    }));
    let error = run(scenario).host_error.unwrap();
    assert!(error.to_string().contains("expected M4 (state 4), the peer sent state Some(2)"), "{error}");
}

#[test]
fn an_encrypted_message_before_any_key_is_a_typed_error() {
    let error = device_error(ControlMessage::StreamEncrypted(Sealed(vec![0; 32])));
    assert!(matches!(error, ControlError::Unexpected { .. }), "{error}");
    let mut host = HostControl::new(host_config(None));
    host.on(Duration::ZERO, HostEvent::Start, &mut rng(1)).unwrap();
    let sealed = ControlMessage::StreamEncrypted(Sealed(vec![0; 32]));
    let envelope = Envelope { origin: Origin::Device, ..from_host(sealed) };
    let error = host.on(Duration::ZERO, HostEvent::Message(envelope), &mut rng(1)).unwrap_err();
    assert!(matches!(error, ControlError::Unexpected { waiting_for: "the handshake", .. }), "{error}");
}

#[test]
fn an_unencrypted_wish_for_a_listener_is_refused() {
    let request = CreateListener {
        key: Zeroizing::new(vec![0; 32]),
        transport: Transport::Tcp,
        peer_connections: Vec::new(),
    };
    let error = device_error(ControlMessage::Plain(Body::Request(Request::CreateListener(request))));
    assert!(matches!(error, ControlError::Unexpected { got, .. } if got == "request createListener"));
}

#[test]
fn a_request_that_no_source_explains_stops_with_its_gap() {
    let error = device_error(ControlMessage::Plain(Body::Request(Request::Other("peerInfo".into()))));
    assert_eq!(error, ControlError::NotSourced(REMOTEPAIRING_REQUEST));
}

#[test]
fn a_message_that_claims_to_be_from_our_own_side_is_refused() {
    let mut host = HostControl::new(host_config(None));
    host.on(Duration::ZERO, HostEvent::Start, &mut rng(1)).unwrap();
    let envelope = from_host(ControlMessage::Plain(Body::Event(Event::AwaitingUserConsent)));
    let error = host.on(Duration::ZERO, HostEvent::Message(envelope), &mut rng(1)).unwrap_err();
    assert!(matches!(error, ControlError::Unexpected { .. }));
}

#[test]
fn consent_and_steps_that_nobody_asked_for_are_typed_errors() {
    for (data, start) in [(vec![6, 1, 3], false), (vec![6, 1, 9], true), (vec![6], true)] {
        for kind in [PairingKind::Setup, PairingKind::Verify, PairingKind::Other("x".into())] {
            let data = PairingData { data: data.clone(), kind, start_new_session: start, sending_host: None };
            device_error(ControlMessage::Plain(Body::Event(Event::PairingData(data))));
        }
    }
    let mut device = DeviceControl::new(device_config(PairPolicy::Accept));
    let error = device.on(Duration::ZERO, DeviceEvent::Consent(true), &mut rng(1)).unwrap_err();
    assert!(matches!(error, ControlError::OutOfOrder { what: "consent", .. }));
}

#[test]
fn a_refused_listener_and_a_pairing_that_is_gone_carry_the_words_of_the_device() {
    let refused = ErrorExtended {
        domain: "com.apple.CoreDevice.ControlChannelConnectionError".into(),
        code: 3,
        description: Some("Tunnel listener creator not set".into()),
    };
    let mut scenario = Scenario::first_time(PairPolicy::Accept);
    scenario.listener_refused = Some(refused.clone());
    let error = run(scenario).host_error.unwrap();
    assert_eq!(
        error.to_string(),
        "the device refused createListener: Tunnel listener creator not set, \
         com.apple.CoreDevice.ControlChannelConnectionError 3"
    );
    let mut scenario = Scenario::first_time(PairPolicy::Accept);
    scenario.device.unlock_key = Err(ErrorExtended { code: 2, description: None, ..refused });
    let error = run(scenario).host_error.unwrap();
    assert!(matches!(error, ControlError::RequestRefused { request: "createRemoteUnlockKey", code: 2, .. }));
}
