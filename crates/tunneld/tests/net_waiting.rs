//! Phones that wait for a person, as who uses the registry sees them: locked, or asking whether to trust.
#![cfg(feature = "net-tests")]

mod support;

use std::time::Duration;

use iosmux_fakephone::fault::Fault;
use iosmux_fakephone::net::{PhoneConfig, Visits};
use serde_json::Value;
use support::process::{self, Process, answers, device, inside};
use support::{Desk, fault};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);
/// Longer than any test: nobody answers.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

/// A change that gives a phone a user who takes so long to tap Trust.
fn trusted_after(delay: Duration) -> impl FnOnce(&mut PhoneConfig) {
    move |config| config.pairing.consent_delay = delay
}

fn is(state: &str) -> impl Fn(&Value) -> bool {
    move |row| row["state"] == state
}

#[tokio::test]
async fn a_locked_phone_is_asked_for_nothing_and_reached_once_it_is_unlocked() {
    let mut desk = Desk::new(1).await;
    desk.phone(0, fault(Fault::Locked(2))).await;
    let mut daemon = Process::start(&desk).await;
    for looks in [1, 2] {
        let looked = || desk.visits(0).rsd_on_link == looks;
        let row = daemon.unidentified(&desk, |row| row["state"] == "locked" && looked()).await;
        assert_eq!(row["failures"], 0, "a phone may be locked");
        assert_eq!(row["next_step"], "unlock the phone");
        assert!(row["reason"].as_str().unwrap().contains("does not say who it is"), "{row:#?}");
        assert!(row["retry_in_seconds"].is_f64(), "it is looked at again: {row:#?}");
        assert_eq!(desk.visits(0), Visits { rsd_on_link: looks, ..Visits::default() });
        assert_eq!(device(&desk, 0).await, None, "nobody knows which phone it is");
    }
    let (row, took) = daemon.usable(&desk, 0).await;
    assert!(took < 15 * SECOND, "{took:?}");
    assert_eq!((&row["reason"], &row["next_step"]), (&Value::Null, &Value::Null));
    assert!(answers(&desk, inside(&row), SECOND).await);
    assert_eq!(desk.visits(0).rsd_on_link, 3);
    let unidentified: Value =
        serde_json::from_str(&process::get(&desk, "/v1/unidentified").await.unwrap()).unwrap();
    assert_eq!(unidentified["unidentified"], Value::Array(Vec::new()));
    tracing::info!(?took, "unlocked");
}

#[tokio::test]
async fn a_phone_waits_for_its_user_and_has_a_tunnel_once_he_trusts() {
    let mut desk = Desk::new(1).await;
    desk.phone(0, trusted_after(3 * SECOND)).await;
    let mut daemon = Process::start(&desk).await;
    let (row, _) = daemon.until(&desk, 0, 10 * SECOND, is("awaiting-trust")).await;
    assert_eq!(row["next_step"], "tap Trust on the phone");
    assert!(row["reason"].as_str().unwrap().contains("asks its user"), "{row:#?}");
    assert_eq!((&row["tunnel"], &row["usable"]), (&Value::Null, &Value::Bool(false)));
    let (row, took) = daemon.usable(&desk, 0).await;
    assert_eq!((&row["newly_paired"], &row["next_step"]), (&Value::Bool(true), &Value::Null));
    assert!(answers(&desk, inside(&row), SECOND).await);
    tracing::info!(?took, "trusted");
}

#[tokio::test]
async fn a_phone_whose_user_never_answers_is_held_and_delays_no_other_one() {
    let mut desk = Desk::new(2).await;
    desk.phone(0, trusted_after(NEVER)).await;
    let mut daemon = Process::start_with(&desk, "trust-deadline = 10\n", |_| {}).await;
    daemon.until(&desk, 0, 10 * SECOND, is("awaiting-trust")).await;
    desk.phone(1, |_| {}).await;
    let (other, took) = daemon.usable(&desk, 1).await;
    assert!(is("awaiting-trust")(&device(&desk, 0).await.unwrap()), "its user was asked meanwhile");

    let (held, _) = daemon.until(&desk, 0, 15 * SECOND, is("held")).await;
    assert_eq!(held["reason"], "nobody tapped Trust on the phone for 10 s");
    let advice = held["next_step"].as_str().unwrap();
    assert!(advice.contains("`pair`") && advice.contains("tap Trust"), "{advice}");
    assert_eq!(held["retry_in_seconds"], Value::Null, "only a person can change it");
    let asked = desk.visits(0);
    sleep(3 * SECOND).await;
    assert_eq!(desk.visits(0), asked, "its user is not bothered again");

    let after = device(&desk, 1).await.unwrap();
    assert_eq!((&after["tunnel"], &after["state"]), (&other["tunnel"], &other["state"]));
    assert!(answers(&desk, inside(&after), SECOND).await);
    assert_eq!((desk.visits(1).rsd_on_link, desk.visits(1).rsd_in_tunnel), (1, 1));
    tracing::info!(?took, "beside a phone that waits");
}
