//! What others read: its form is a promise.

mod desk;

use desk::{BRIDGE, Desk, OTHER, UDID, run};
use iosmux_bridge::state::status_line;

#[tokio::test(start_paused = true)]
async fn the_report_keeps_its_form() {
    let desk = Desk::new();
    desk.plug("1-2", UDID, &[]);
    let mut daemon = run(&desk, &format!("[device.\"{OTHER}\"]\nbridge = \"br7\""));
    daemon.until_state("1-2", "joined").await;
    desk.plug("1-3", OTHER, &[]);
    daemon.until_held("1-3").await;
    let report = daemon.handle.report();
    let mut json = serde_json::to_value(&*report).unwrap();
    json["version"] = "0".into();
    insta::assert_json_snapshot!(json);
    insta::assert_snapshot!("status", status_line(&report));
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn it_is_settled_when_each_phone_is_joined_or_waits_for_a_name() {
    let desk = Desk::new();
    desk.remove_bridge(BRIDGE);
    desk.plug("1-2", UDID, &[]);
    let mut daemon = run(&desk, "");
    let first = daemon.until("the first look", |report| report.version.is_some()).await;
    assert!(!first.is_settled(), "{first:?}");
    let settled =
        daemon.until("an end of its way", |report| report.version.is_some() && report.is_settled()).await;
    assert_eq!(
        status_line(&settled),
        format!("1 phone, 0 on the bridge; {UDID} waits: there is no bridge virbr0")
    );
    daemon.stop().await;
}
