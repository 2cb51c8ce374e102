//! How long the device's user is waited for, whatever the device says in the meantime.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::Duration;

use iosmux_pairing::control::device::{DeviceAction, DeviceControl, DeviceEvent, PairPolicy};
use iosmux_pairing::control::host::{HostAction, HostControl, HostEvent, USERS_CONSENT};
use iosmux_pairing::envelope::{ControlMessage, Envelope, Origin};
use iosmux_pairing::error::ControlError;
use iosmux_pairing::message::{Body, Event};
use support::{device_config, host_config, rng};

const USER: Duration = Duration::from_secs(120);

fn at(second: u64) -> Duration {
    Duration::from_secs(second)
}

fn consent() -> Envelope {
    let message = ControlMessage::Plain(Body::Event(Event::AwaitingUserConsent));
    Envelope { origin: Origin::Device, sequence_number: 0, message }
}

fn tell(host: &mut HostControl, now: Duration, message: Envelope) -> Vec<HostAction> {
    host.on(now, HostEvent::Message(message), &mut rng(1)).unwrap()
}

fn sent(actions: Vec<HostAction>) -> Vec<Envelope> {
    let envelope = |action| if let HostAction::Send(envelope) = action { Some(envelope) } else { None };
    actions.into_iter().filter_map(envelope).collect()
}

/// What the device answers to all of these.
fn answers(device: &mut DeviceControl, messages: Vec<Envelope>) -> Vec<Envelope> {
    let mut answers = Vec::new();
    for message in messages {
        for action in device.on(at(0), DeviceEvent::Message(message), &mut rng(2)).unwrap() {
            if let DeviceAction::Send(envelope) = action {
                answers.push(envelope);
            }
        }
    }
    answers
}

/// A host that sent M1 at second 0, and its device.
fn after_m1(policy: PairPolicy) -> (HostControl, DeviceControl, Vec<Envelope>) {
    let mut config = host_config(None);
    config.attempt_verify = false;
    let (mut host, mut device) = (HostControl::new(config), DeviceControl::new(device_config(policy)));
    let hello = sent(host.on(at(0), HostEvent::Start, &mut rng(1)).unwrap());
    let mut m1 = Vec::new();
    for answer in answers(&mut device, hello) {
        m1.extend(sent(tell(&mut host, at(0), answer)));
    }
    (host, device, m1)
}

#[test]
fn a_device_that_asks_its_user_again_and_again_is_not_waited_for_longer() {
    let (mut host, ..) = after_m1(PairPolicy::AskUser);
    assert!(matches!(tell(&mut host, at(10), consent())[..], [HostAction::AwaitingConsent]));
    assert_eq!(host.deadline(), Some(at(10) + USER));
    for second in (20..130).step_by(10) {
        assert!(tell(&mut host, at(second), consent()).is_empty());
        assert_eq!(host.deadline(), Some(at(10) + USER));
    }
    let error = host.on(at(130), HostEvent::Tick, &mut rng(1)).unwrap_err();
    assert_eq!(error, ControlError::Timeout { waiting_for: USERS_CONSENT, after: USER });
}

#[test]
fn a_device_that_asks_its_user_after_m2_gets_no_more_time() {
    let (mut host, mut device, m1) = after_m1(PairPolicy::Accept);
    for answer in answers(&mut device, m1) {
        tell(&mut host, at(5), answer);
    }
    let deadline = host.deadline().unwrap();
    assert!(deadline < USER);
    assert!(tell(&mut host, at(6), consent()).is_empty());
    assert_eq!(host.deadline(), Some(deadline));
    let error = host.on(deadline, HostEvent::Tick, &mut rng(1)).unwrap_err();
    assert!(matches!(error, ControlError::Timeout { waiting_for: "M4", .. }), "{error}");
}
