//! A device whose identity is not the pinned one is refused, with the fix in the error.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use iosmux_pairing::control::device::PairPolicy;
use iosmux_pairing::control::host::{PeerProof, PinPolicy};
use iosmux_pairing::error::{ControlError, IdentityChange};
use iosmux_pairing::identity::Identity;
use support::{Outcome, Scenario, device_config, device_identity, host_config, rng, run};

fn paired() -> Outcome {
    run(Scenario::first_time(PairPolicy::Accept))
}

#[test]
fn a_changed_key_fails_pair_verify() {
    let first = paired();
    let mut scenario = Scenario::again(&first);
    scenario.device.identity = device_identity(601);
    let outcome = run(scenario);
    let pinned = device_identity(600).public_key().fingerprint();
    assert!(matches!(
        &outcome.host_error,
        Some(ControlError::IdentityChanged { change: IdentityChange::Signature { pinned: key }, .. }) if *key == pinned
    ));
    let text = outcome.host_error.unwrap().to_string();
    assert!(text.contains("forget its pair record and pair again"), "{text}");
    assert!(!outcome.ready && outcome.listener.is_none());
}

#[test]
fn a_changed_identifier_fails_pair_verify() {
    let first = paired();
    let mut scenario = Scenario::again(&first);
    scenario.device.identity = Identity::generate("ANOTHER", &mut rng(600)).unwrap();
    let outcome = run(scenario);
    assert!(matches!(
        outcome.host_error,
        Some(ControlError::IdentityChanged { change: IdentityChange::Identifier { presented, .. }, .. })
            if presented == "ANOTHER"
    ));
}

#[test]
fn a_changed_key_fails_pair_setup_and_leaves_the_record_alone() {
    let first = paired();
    let mut device = device_config(PairPolicy::Accept);
    device.identity = device_identity(601);
    // Error 2 instead of V2: somebody who has no key of the device wants pair-setup.
    let mut scenario = Scenario::new(host_config(first.saved), device);
    scenario.host.attempt_verify = false;
    let outcome = run(scenario);
    assert!(matches!(
        outcome.host_error,
        Some(ControlError::IdentityChanged { change: IdentityChange::Key { .. }, .. })
    ));
    assert!(outcome.saved.is_none());
}

#[test]
fn the_report_policy_goes_on_in_pair_verify_and_says_so() {
    let first = paired();
    let mut scenario = Scenario::again(&first);
    scenario.device.identity = device_identity(601);
    scenario.host.pin_policy = PinPolicy::Report;
    let outcome = run(scenario);
    assert_eq!(outcome.proof, Some(PeerProof::Mismatch));
    assert!(outcome.ready);
}

#[test]
fn the_report_policy_does_not_loosen_pair_setup() {
    let first = paired();
    let mut device = device_config(PairPolicy::Accept);
    device.identity = device_identity(601);
    let mut scenario = Scenario::new(host_config(first.saved), device);
    scenario.host.pin_policy = PinPolicy::Report;
    let outcome = run(scenario);
    assert!(matches!(
        outcome.host_error,
        Some(ControlError::IdentityChanged { change: IdentityChange::Key { .. }, .. })
    ));
}
