//! Hosts that we did not write pair with `fakephone net` and read what is inside of their tunnels.
//!
//! | file | what |
//! |---|---|
//! | `tunneld` | pymobiledevice3's tunneld: TCP, QUIC, `_remotepairing._tcp`, its pair record, what it says to a refusal |
//! | `idevice_host` | the idevice crate's host, with its own TLS and its own TCP, in this program |
//! | `lab`, `process`, `stage` | shared with `tests/peers` |
#![cfg(feature = "peer-tests")]

mod idevice_host;
#[allow(dead_code, reason = "shared with tests/peers, each uses its part")]
#[path = "../peers/lab.rs"]
mod lab;
#[allow(dead_code, reason = "shared with tests/peers, each uses its part")]
#[path = "../peers/process.rs"]
mod process;
#[allow(dead_code, reason = "shared with tests/peers, each uses its part")]
#[path = "../peers/stage.rs"]
mod stage;
mod tunneld;

use std::path::Path;

use serde_json::Value;
use stage::Stage;

const UNTRUSTED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/iphone15,3_ios17.0_untrusted.json");

/// A phone with the untrusted services on its link and the trusted ones in its tunnels, which keeps what it paired with
/// in `state`.
fn phone(policy: &str, state: &Path) -> Stage {
    let state = state.to_str().unwrap();
    let arguments = ["--untrusted-catalogue", UNTRUSTED, "--pair-policy", policy, "--state-dir", state];
    // A stage is handed to other threads as it is.
    let arguments: Vec<&'static str> =
        arguments.iter().map(|&argument| &*Box::leak(argument.to_owned().into_boxed_str())).collect();
    Stage::new(Vec::leak(arguments))
}

/// The phone's UDID.
fn udid() -> String {
    stage::property("UniqueDeviceID")
}

/// The names of the trusted services.
fn trusted_services() -> Vec<String> {
    let mut names: Vec<String> =
        stage::catalogue()["Services"].as_object().unwrap().keys().cloned().collect();
    names.sort();
    names
}

/// The interfaces that tunnels have made on the phone's side.
fn phone_tunnels(stage: &Stage) -> Vec<String> {
    let table = stage.link.phone.run(|| std::fs::read_to_string("/proc/thread-self/net/dev").unwrap());
    let names = table.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim().to_owned());
    names.filter(|name| name.starts_with("rsd")).collect()
}

/// Waits until the phone has so many tunnels.
fn wait_for_tunnels(stage: &Stage, wanted: usize) {
    let end = std::time::Instant::now() + process::DEADLINE;
    while phone_tunnels(stage).len() != wanted {
        assert!(std::time::Instant::now() < end, "{wanted} tunnels, but {:?}", phone_tunnels(stage));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// The sorted keys of a JSON object.
fn keys(value: &Value) -> Vec<String> {
    let mut names: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
    names.sort();
    names
}
