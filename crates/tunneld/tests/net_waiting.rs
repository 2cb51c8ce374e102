//! Phones that wait for a person, as who uses the registry sees them.
#![cfg(feature = "net-tests")]

mod support;

use std::time::Duration;

use iosmux_fakephone::fault::Fault;
use iosmux_fakephone::net::Visits;
use serde_json::Value;
use support::process::{self, Process, answers, device, inside};
use support::{Desk, fault};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_locked_phone_is_asked_for_nothing_and_reached_once_it_is_unlocked() {
    let mut desk = Desk::new(1).await;
    desk.phone(0, fault(Fault::Locked(2))).await;
    let mut daemon = Process::start(&desk).await;
    for looks in [1, 2] {
        let locked = |row: &Value| row["state"] == "locked" && row["failures"] == looks;
        let row = daemon.unidentified(&desk, locked).await;
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
