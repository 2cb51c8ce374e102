//! The whole dialogue of host and device, by what a person sees of it.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::Duration;

use iosmux_pairing::control::device::PairPolicy;
use iosmux_pairing::control::host::{HostControl, HostEvent, PeerProof};
use iosmux_pairing::envelope::{ControlMessage, Origin};
use iosmux_pairing::error::ControlError;
use iosmux_pairing::identity::Identity;
use iosmux_pairing::listener::Transport;
use iosmux_pairing::message::{Body, ErrorExtended, Event, Response};
use iosmux_pairing::record::RemoteUnlock;
use iosmux_pairing::setup::SetupError;
use iosmux_pairing::srp::OperandForm;
use iosmux_pairing::tlv8::PeerErrorCode;
use support::{
    HOST_KEY, Outcome, Scenario, UDID, Wire, device_config, host_config, rng, run, set_step, step_of,
};
use zeroize::Zeroizing;

fn paired() -> Outcome {
    let outcome = run(Scenario::first_time(PairPolicy::Accept));
    assert_eq!((outcome.host_error.as_ref(), outcome.device_error.as_ref()), (None, None));
    outcome
}

fn sentence(outcome: &Outcome) -> String {
    outcome.host_error.as_ref().map(ToString::to_string).unwrap_or_default()
}

#[test]
fn a_first_pairing_ends_with_a_record_and_a_listener() {
    for wire in [Wire::RemoteXpc, Wire::RpPairing] {
        let outcome = run(Scenario { wire, ..Scenario::first_time(PairPolicy::Accept) });
        assert_eq!(outcome.host_error, None);
        assert!(outcome.consent_shown && outcome.pins_asked == 0);
        let record = outcome.saved.unwrap();
        assert_eq!(record.identifier, UDID);
        assert_eq!(record.peer.unwrap().public_key, support::device_identity(600).public_key());
        assert!(matches!(record.remote_unlock, RemoteUnlock::Key(key) if key.expose() == HOST_KEY));
        assert_eq!(outcome.known_hosts.get(record.host.identifier()), Some(&record.host.public_key()));
        let (answer, psk) = outcome.listener.unwrap();
        assert_eq!(answer.port, 50123);
        assert!(answer.device_public_key.is_some());
        let opened = outcome.opened.unwrap();
        assert_eq!(opened.transport, Transport::Tcp);
        assert_eq!(opened.key.as_slice(), psk.unwrap().expose());
        assert_eq!(opened.peer_connections[0].owning_process_name, "CoreDeviceService");
    }
}

#[test]
fn the_second_time_is_a_pair_verify_with_the_checked_identity() {
    for wire in [Wire::RemoteXpc, Wire::RpPairing] {
        let outcome = run(Scenario { wire, ..Scenario::again(&paired()) });
        assert_eq!(outcome.host_error, None);
        assert_eq!(outcome.proof, Some(PeerProof::Verified));
        assert!(outcome.paired.is_none() && outcome.saved.is_none());
        let (_, psk) = outcome.listener.unwrap();
        assert_eq!(outcome.opened.unwrap().key.as_slice(), psk.unwrap().expose());
    }
}

#[test]
fn a_device_that_shows_a_pin_is_paired_with_it() {
    let mut scenario = Scenario::first_time(PairPolicy::Pin(Zeroizing::new("271828".into())));
    scenario.device.handshake.options.allows_pinless_pairing = Some(false);
    scenario.pins = vec!["271828"];
    let outcome = run(scenario);
    assert_eq!(outcome.host_error, None);
    assert_eq!((outcome.pins_asked, outcome.consent_shown), (1, false));
}

#[test]
fn an_apple_tv_is_asked_for_its_pin_whatever_it_says_about_pins() {
    let mut scenario = Scenario::first_time(PairPolicy::Pin(Zeroizing::new("271828".into())));
    scenario.device.handshake.device.as_mut().unwrap().model = Some("AppleTV14,1".into());
    scenario.pins = vec!["271828"];
    assert_eq!(run(scenario).pins_asked, 1);
}

#[test]
fn a_wrong_pin_has_its_own_error() {
    let mut scenario = Scenario::first_time(PairPolicy::Pin(Zeroizing::new("271828".into())));
    scenario.device.handshake.options.allows_pinless_pairing = None;
    scenario.pins = vec!["314159"];
    let outcome = run(scenario);
    assert_eq!(outcome.host_error, Some(ControlError::WrongPin { form: None }));
    assert!(outcome.known_hosts.is_empty() && outcome.saved.is_none());
    assert_eq!(sentence(&outcome), "the PIN is wrong: begin again and type the one that the device shows");
}

#[test]
fn a_user_who_trusts_is_waited_for_and_one_who_does_not_is_reported() {
    let asked = run(Scenario::first_time(PairPolicy::AskUser));
    assert!(asked.ready && asked.consent_shown);
    let outcome = run(Scenario { consent: false, ..Scenario::first_time(PairPolicy::AskUser) });
    assert!(matches!(outcome.host_error, Some(ControlError::Rejected { description: Some(_) })));
}

#[test]
fn a_rejection_carries_the_text_of_the_device() {
    let outcome = run(Scenario::first_time(PairPolicy::Reject { description: "not now".into() }));
    assert_eq!(
        sentence(&outcome),
        "the device rejected the pairing (not now): tap Trust on it the next time"
    );
}

#[test]
fn a_back_off_says_until_when_and_ends() {
    let now = Duration::from_secs(1000);
    let until = now + Duration::from_secs(8316);
    let outcome = run(Scenario::first_time(PairPolicy::BackOff { until }));
    let retry_in = Duration::from_secs(8316);
    assert_eq!(outcome.host_error, Some(ControlError::BackOff { retry_in, retry_at: until }));
    assert_eq!(sentence(&outcome), "the device had too many pairing attempts: try again in 8316 s");
    let later = run(Scenario { now: until, ..Scenario::first_time(PairPolicy::BackOff { until }) });
    assert!(later.ready);
}

#[test]
fn the_captured_back_off_reply_is_understood() {
    let mut scenario = Scenario::first_time(PairPolicy::Accept);
    scenario.tamper = Some(Box::new(|envelope| {
        if let ControlMessage::Plain(Body::Event(Event::PairingData(data))) = &mut envelope.message
            && envelope.origin == Origin::Device
            && step_is(&data.data, 2)
            && data.kind == iosmux_pairing::message::PairingKind::Setup
        {
            data.data = include_bytes!("fixtures/m2_backoff_issue879.bin").to_vec();
        }
    }));
    let outcome = run(scenario);
    assert!(
        matches!(outcome.host_error, Some(ControlError::BackOff { retry_in, .. }) if retry_in.as_secs() == 8316)
    );
}

fn step_is(bytes: &[u8], state: u8) -> bool {
    iosmux_pairing::tlv8::Tlv8::decode(bytes).is_ok_and(|tlv| tlv.state() == Some(state))
}

#[test]
fn a_device_that_forgot_the_host_is_paired_again_on_the_same_connection() {
    let first = paired();
    let device = device_config(PairPolicy::Accept);
    let outcome = run(Scenario::new(host_config(first.saved), device));
    assert_eq!(outcome.host_error, None);
    assert_eq!(outcome.paired, Some(None));
    assert!(outcome.transcript.iter().any(|line| line.contains("event pairVerifyFailed")));
    assert!(outcome.transcript.iter().any(|line| line.contains("error=4")));
}

#[test]
fn a_host_that_may_not_pair_says_that_it_is_not_paired() {
    let mut scenario = Scenario::first_time(PairPolicy::Accept);
    scenario.host.allow_setup = false;
    assert_eq!(run(scenario).host_error, Some(ControlError::NotPaired));
}

#[test]
fn a_device_that_allows_no_pairing_here_has_its_own_error() {
    let mut scenario = Scenario::first_time(PairPolicy::Accept);
    scenario.device.handshake.options.allows_pair_setup = Some(false);
    assert_eq!(run(scenario).host_error, Some(ControlError::PairSetupNotAllowed));
}

#[test]
fn a_host_without_verify_goes_straight_to_pair_setup() {
    let mut scenario = Scenario::first_time(PairPolicy::Accept);
    scenario.host.attempt_verify = false;
    let outcome = run(scenario);
    assert!(outcome.ready);
    assert!(!outcome.transcript.iter().any(|line| line.contains("Verify")));
}

#[test]
fn a_device_that_closes_after_the_pairing_is_verified_on_the_next_connection() {
    let mut scenario = Scenario { listener: false, ..Scenario::first_time(PairPolicy::Accept) };
    scenario.device.close_after_setup = true;
    let first = run(scenario);
    assert!(first.reconnect && first.host_error.is_none());
    assert_eq!(run(Scenario::again(&first)).proof, Some(PeerProof::Verified));
}

#[test]
fn a_device_without_a_remote_unlock_key_is_remembered_as_such() {
    let mut scenario = Scenario::first_time(PairPolicy::Accept);
    scenario.device.unlock_key =
        Err(ErrorExtended { domain: "d".into(), code: 1, description: Some("no".into()) });
    let first = run(scenario);
    assert_eq!(first.saved.as_ref().unwrap().remote_unlock, RemoteUnlock::Unsupported);
    let second = run(Scenario::again(&first));
    assert!(second.ready && second.saved.is_none());
}

#[test]
fn a_record_of_another_tool_is_verified_without_a_pin_and_asked_for_its_unlock_key() {
    let first = paired();
    let record = first.saved.clone().unwrap();
    let list = record.to_pymobiledevice3().unwrap();
    let mut imported = iosmux_pairing::record::PairRecord::from_pymobiledevice3(&list, UDID, "vm").unwrap();
    imported.remote_unlock = RemoteUnlock::Unknown;
    let mut scenario = Scenario::again(&first);
    scenario.host.record = Some(imported);
    let outcome = run(scenario);
    assert_eq!(outcome.proof, Some(PeerProof::NotPinned));
    assert!(matches!(outcome.saved.unwrap().remote_unlock, RemoteUnlock::Key(_)));
}

#[test]
fn a_host_with_another_key_under_a_known_identifier_is_paired_anew() {
    let first = paired();
    let mut scenario = Scenario::again(&first);
    scenario.device.policy = PairPolicy::Accept;
    let record = scenario.host.record.as_mut().unwrap();
    record.host = Identity::generate(record.host.identifier(), &mut rng(77)).unwrap();
    let outcome = run(scenario);
    assert!(outcome.transcript.iter().any(|line| line.contains("error=2")));
    assert!(outcome.ready);
}

#[test]
fn sequence_numbers_are_not_checked_but_kept_in_order() {
    let mut scenario = Scenario::first_time(PairPolicy::Accept);
    scenario.tamper = Some(Box::new(|envelope| envelope.sequence_number = 7));
    let outcome = run(scenario);
    assert!(outcome.ready);
    let of_host: Vec<_> = outcome
        .transcript
        .iter()
        .filter(|line| line.starts_with("host"))
        .map(|line| line.split(' ').nth(4))
        .collect();
    assert_eq!(of_host[0], Some("#0"));
    assert_eq!(of_host[1], Some("#1"));
}

#[test]
fn a_refused_proof_that_could_be_the_form_is_tried_once_in_the_other_form() {
    // A B with a leading zero byte leaves the form open; the device's own B never has one, so the first M2 is forged.
    let mut scenario = Scenario::first_time(PairPolicy::Accept);
    let mut forged = false;
    scenario.tamper = Some(Box::new(move |envelope| {
        if let Some((iosmux_pairing::message::PairingKind::Setup, tlv)) = step_of(envelope)
            && envelope.origin == Origin::Device
            && tlv.state() == Some(2)
            && !forged
        {
            forged = true;
            let mut b = tlv.get(iosmux_pairing::tlv8::tag::PUBLIC_KEY).unwrap().to_vec();
            b[0] = 0;
            let salt = tlv.get(iosmux_pairing::tlv8::tag::SALT).unwrap().to_vec();
            let tlv = iosmux_pairing::tlv8::Tlv8::new()
                .with_state(2)
                .with(iosmux_pairing::tlv8::tag::SALT, salt)
                .with(iosmux_pairing::tlv8::tag::PUBLIC_KEY, b);
            set_step(envelope, &tlv);
        }
    }));
    let outcome = run(scenario);
    assert_eq!(outcome.host_error, None);
    assert_eq!(outcome.paired, Some(None));
    let starts = outcome.transcript.iter().filter(|line| line.contains("Setup start")).count();
    assert_eq!(starts, 2);
}

#[test]
fn a_proof_refused_in_both_forms_names_the_last_one() {
    let mut scenario = Scenario::first_time(PairPolicy::Accept);
    scenario.tamper = Some(Box::new(|envelope| {
        if let Some((iosmux_pairing::message::PairingKind::Setup, tlv)) = step_of(envelope)
            && envelope.origin == Origin::Device
            && tlv.state() == Some(2)
        {
            let mut b = tlv.get(iosmux_pairing::tlv8::tag::PUBLIC_KEY).unwrap().to_vec();
            b[0] = 0;
            let salt = tlv.get(iosmux_pairing::tlv8::tag::SALT).unwrap().to_vec();
            let tlv = iosmux_pairing::tlv8::Tlv8::new()
                .with_state(2)
                .with(iosmux_pairing::tlv8::tag::SALT, salt)
                .with(iosmux_pairing::tlv8::tag::PUBLIC_KEY, b);
            set_step(envelope, &tlv);
        }
    }));
    let outcome = run(scenario);
    assert_eq!(outcome.host_error, Some(ControlError::WrongPin { form: Some(OperandForm::Padded) }));
}

#[test]
fn silence_and_a_closed_connection_name_what_was_waited_for() {
    let start = Duration::from_secs(5);
    let mut host = HostControl::new(host_config(None));
    host.on(start, HostEvent::Start, &mut rng(1)).unwrap();
    assert_eq!(host.deadline(), Some(Duration::from_secs(15)));
    assert!(host.on(Duration::from_secs(14), HostEvent::Tick, &mut rng(1)).unwrap().is_empty());
    let error = host.on(Duration::from_secs(15), HostEvent::Tick, &mut rng(1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the device did not answer for 10 s while this host waited for the handshake"
    );
    let mut host = HostControl::new(host_config(None));
    host.on(start, HostEvent::Start, &mut rng(1)).unwrap();
    let error = host.on(start, HostEvent::Closed, &mut rng(1)).unwrap_err();
    assert_eq!(error, ControlError::Closed { waiting_for: "the handshake" });
    assert_eq!(host.deadline(), None);
}

#[test]
fn other_errors_of_the_device_keep_their_code() {
    let mut scenario = Scenario::first_time(PairPolicy::Accept);
    scenario.tamper = Some(Box::new(|envelope| {
        if let Some((iosmux_pairing::message::PairingKind::Setup, tlv)) = step_of(envelope)
            && tlv.state() == Some(2)
        {
            let error = iosmux_pairing::tlv8::PeerError { code: PeerErrorCode::MaxTries, retry_delay: None };
            set_step(envelope, &iosmux_pairing::tlv8::error_reply(2, error));
        }
    }));
    let outcome = run(scenario);
    assert_eq!(outcome.host_error, Some(ControlError::Refused { step: "M2", code: PeerErrorCode::MaxTries }));
    assert_eq!(sentence(&outcome), "the device answered M2 with error 6, too many attempts");
}

#[test]
fn a_dialogue_that_stopped_stays_stopped() {
    let mut host = HostControl::new(host_config(None));
    host.on(Duration::ZERO, HostEvent::Start, &mut rng(1)).unwrap();
    let rejected = iosmux_pairing::envelope::Envelope {
        origin: Origin::Device,
        sequence_number: 0,
        message: ControlMessage::Plain(Body::Event(Event::Other("connectionRejected".into()))),
    };
    assert!(matches!(
        host.on(Duration::ZERO, HostEvent::Message(rejected.clone()), &mut rng(1)),
        Err(ControlError::Rejected { .. })
    ));
    let handshake = iosmux_pairing::envelope::Envelope {
        message: ControlMessage::Plain(Body::Response(Response::Other("x".into()))),
        ..rejected
    };
    let error = host.on(Duration::ZERO, HostEvent::Message(handshake), &mut rng(1)).unwrap_err();
    assert_eq!(error, ControlError::Over);
}

#[test]
fn a_setup_error_keeps_its_own_words() {
    let error = ControlError::from(SetupError::PinLength { got: 0 });
    assert_eq!(error.to_string(), "a PIN of 0 bytes is refused: 1 to 64 are taken");
}
