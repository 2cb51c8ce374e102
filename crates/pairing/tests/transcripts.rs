//! The shape of each dialogue: who sends what, in which order, with which items; no values.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use iosmux_pairing::control::device::PairPolicy;
use std::time::Duration;
use support::{Scenario, Wire, run};
use zeroize::Zeroizing;

fn transcript(scenario: Scenario) -> String {
    run(scenario).transcript.join("\n")
}

#[test]
fn first_pairing() {
    insta::assert_snapshot!(transcript(Scenario::first_time(PairPolicy::Accept)));
}

#[test]
fn second_time() {
    let first = run(Scenario::first_time(PairPolicy::Accept));
    insta::assert_snapshot!(transcript(Scenario::again(&first)));
}

#[test]
fn pairing_with_a_pin_over_rppairing() {
    let mut scenario = Scenario::first_time(PairPolicy::Pin(Zeroizing::new("271828".into())));
    scenario.device.handshake.options.allows_pinless_pairing = Some(false);
    scenario.wire = Wire::RpPairing;
    scenario.pins = vec!["271828"];
    insta::assert_snapshot!(transcript(scenario));
}

#[test]
fn wrong_pin() {
    let mut scenario = Scenario::first_time(PairPolicy::Pin(Zeroizing::new("271828".into())));
    scenario.device.handshake.options.allows_pinless_pairing = Some(false);
    scenario.pins = vec!["314159"];
    insta::assert_snapshot!(transcript(scenario));
}

#[test]
fn back_off() {
    let until = Duration::from_secs(9316);
    insta::assert_snapshot!(transcript(Scenario::first_time(PairPolicy::BackOff { until })));
}

#[test]
fn rejection() {
    insta::assert_snapshot!(transcript(Scenario::first_time(PairPolicy::Reject {
        description: "no".into()
    })));
}
