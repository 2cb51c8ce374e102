//! What people read when a dialogue stops: every kind has its own sentence and says what to do.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use iosmux_pairing::control::device::PairPolicy;
use iosmux_pairing::control::host::ExpectedDevice;
use iosmux_pairing::error::ControlError;
use support::{Outcome, Scenario, device_identity, run};
use zeroize::Zeroizing;

fn pin_scenario(pin: &'static str) -> Scenario {
    let mut scenario = Scenario::first_time(PairPolicy::Pin(Zeroizing::new("271828".into())));
    scenario.device.handshake.options.allows_pinless_pairing = Some(false);
    scenario.pins = vec![pin];
    scenario
}

fn outcomes() -> Vec<(&'static str, Outcome)> {
    let reject = |description: &str| PairPolicy::Reject { description: description.to_owned() };
    let first = run(Scenario::first_time(PairPolicy::Accept));
    let mut changed = Scenario::again(&first);
    changed.device.identity = device_identity(601);
    let mut not_allowed = Scenario::first_time(PairPolicy::Accept);
    not_allowed.device.handshake.options.allows_pair_setup = Some(false);
    let mut another = Scenario::first_time(PairPolicy::Accept);
    another.host.expected = Some(ExpectedDevice { name: "ANOTHER".into(), same: str::eq });
    let mut unpaired = Scenario::first_time(PairPolicy::Accept);
    unpaired.host.allow_setup = false;
    let back_off = PairPolicy::BackOff { until: Duration::from_secs(9316) };
    vec![
        ("rejection", run(Scenario::first_time(reject("User denied")))),
        ("declined", run(Scenario { consent: false, ..Scenario::first_time(PairPolicy::AskUser) })),
        ("back-off", run(Scenario::first_time(back_off))),
        ("wrong PIN", run(pin_scenario("314159"))),
        ("changed identity", run(changed)),
        ("another device", run(another)),
        ("unknown to the device, no pairing wanted", run(unpaired)),
        ("pairing not possible here", run(not_allowed)),
    ]
}

#[test]
fn each_outcome_has_its_own_sentence() {
    let lines: Vec<_> = outcomes()
        .iter()
        .map(|(name, outcome)| format!("{name}: {}", outcome.host_error.as_ref().unwrap()))
        .collect();
    let kinds: BTreeSet<_> =
        lines.iter().filter_map(|line| line.split_once(": ")).map(|(_, text)| text).collect();
    assert_eq!(kinds.len(), lines.len());
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn silence_says_what_was_waited_for() {
    let timeout =
        ControlError::Timeout { waiting_for: "the user's consent", after: Duration::from_secs(120) };
    insta::assert_snapshot!(timeout);
}
