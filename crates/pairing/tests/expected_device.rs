//! A caller that knows the device beforehand keeps its record under that name, whatever the device says.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use iosmux_pairing::control::device::PairPolicy;
use iosmux_pairing::control::host::{ExpectedDevice, PeerProof};
use iosmux_pairing::error::ControlError;
use support::{Scenario, UDID, run};

const OTHER: &str = "00008120-000000000000002E";

fn without_dash(one: &str, other: &str) -> bool {
    one.replace('-', "") == other.replace('-', "")
}

fn expecting(name: &str) -> Scenario {
    let mut scenario = Scenario::first_time(PairPolicy::AskUser);
    scenario.host.expected = Some(ExpectedDevice { name: name.to_owned(), same: without_dash });
    scenario
}

#[test]
fn a_device_that_says_the_name_of_another_is_refused_before_its_user_is_asked() {
    let outcome = run(expecting(OTHER));
    let refused = ControlError::OtherDevice { expected: OTHER.to_owned(), said: UDID.to_owned() };
    assert_eq!(outcome.host_error, Some(refused));
    assert!(outcome.saved.is_none() && !outcome.consent_shown);
}

#[test]
fn a_device_with_a_record_is_refused_too_when_it_says_another_name() {
    let first = run(expecting(UDID));
    let mut scenario = Scenario::again(&first);
    scenario.host.expected = Some(ExpectedDevice { name: OTHER.to_owned(), same: without_dash });
    let outcome = run(scenario);
    assert!(matches!(outcome.host_error, Some(ControlError::OtherDevice { .. })));
    assert!(!outcome.ready);
}

#[test]
fn a_device_that_says_nothing_about_itself_is_found_again_under_the_expected_name() {
    for device in [None, Some(String::new())] {
        let mut scenario = expecting(OTHER);
        match device {
            None => scenario.device.handshake.device = None,
            Some(empty) => scenario.device.handshake.device.as_mut().unwrap().identifier = empty,
        }
        let outcome = run(scenario);
        assert_eq!(outcome.host_error, None);
        assert_eq!(outcome.saved.unwrap().identifier, OTHER);
    }
}

#[test]
fn a_record_keeps_the_spelling_by_which_the_caller_knows_the_device() {
    let spelt = UDID.replace('-', "");
    let first = run(expecting(&spelt));
    assert_eq!(first.host_error, None);
    assert_eq!(first.saved.as_ref().unwrap().identifier, spelt);
    let mut again = Scenario::again(&first);
    again.host.expected = Some(ExpectedDevice { name: spelt, same: without_dash });
    assert_eq!(run(again).proof, Some(PeerProof::Verified));
}

#[test]
fn what_a_device_calls_itself_is_cut_and_quoted_in_the_refusal() {
    let mut scenario = expecting(UDID);
    scenario.device.handshake.device.as_mut().unwrap().identifier = "\u{1b}".repeat(5000);
    let error = run(scenario).host_error.unwrap().to_string();
    assert!(error.len() < 1200 && !error.contains('\u{1b}'), "{error}");
}
