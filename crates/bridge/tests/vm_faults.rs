//! Every way in which a phone can misbehave on USB: a state, a sentence that names it, and an end.
#![cfg(feature = "vm-tests")]
#![allow(clippy::print_stdout, reason = "figures, which the runner asks for with --show-output")]

mod cable;

use std::time::{Duration, Instant};

use cable::bridge::Daemon;
use cable::{Desk, PATIENCE, on_usb, ports, until};
use serde_json::Value;

/// No phone may keep the daemon from a clear state for longer, without KVM and beside other guests.
const CLEAR: Duration = Duration::from_secs(45);

/// Plugs a phone with a fault in and waits until the daemon has a state and a reason for it.
async fn told(fault: &str) -> Value {
    let desk = Desk::new();
    let daemon = Daemon::start(&desk, "").await;
    let plugged = Instant::now();
    let phone = desk.phone(0, &[fault]).await;
    let row = daemon.row_that(CLEAR, |row| row["state"] == "held").await;
    println!("{fault}: after {:?}: {}", plugged.elapsed(), row["reason"]["text"].as_str().unwrap());
    println!("    next: {}", row["reason"]["next_step"].as_str().unwrap());
    assert!(ports().is_empty(), "{:?}", ports());
    fit_for_people(&row.to_string());
    fit_for_people(&daemon.log());
    drop(daemon);
    drop(phone);
    until("it is off the bus", PATIENCE, || on_usb(0).is_none().then_some(())).await;
    row
}

/// Nothing that a device says reaches a terminal as it came.
fn fit_for_people(text: &str) {
    let odd = text.chars().find(|letter| letter.is_control() && !matches!(letter, '\n' | '\t'));
    assert_eq!(odd, None, "{}", text.escape_debug());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_that_hold_a_phone_are_named() {
    for (fault, reason) in [
        ("refuse-mode", "mode-refused"),
        ("refuse-mode:stall", "mode-refused"),
        ("stall", "too-old"),
        ("forget-mode", "not-switched"),
        ("forget-mode:configured", "switched-back"),
        ("wrong-descriptors", "descriptors"),
        ("wrong-descriptors:mac", "failing"),
        ("long-strings", "no-udid"),
    ] {
        let row = told(fault).await;
        assert_eq!(row["reason"]["name"], reason, "{fault}: {row:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_that_pass_end_on_the_bridge() {
    for fault in ["slow-reenumeration:4", "suspend:2", "mode-drift"] {
        let desk = Desk::new();
        let daemon = Daemon::start(&desk, "").await;
        let phone = desk.phone(0, &[fault]).await;
        let plugged = Instant::now();
        daemon.joined(0).await;
        println!("{fault}: joined after {:?}", plugged.elapsed());
        if fault.starts_with("suspend") {
            daemon.row_that(PATIENCE, |row| row["state"] != "joined").await;
            daemon.joined(0).await;
            println!("{fault}: again after {:?}", plugged.elapsed());
        }
        drop(daemon);
        drop(phone);
        until("it is off the bus", PATIENCE, || on_usb(0).is_none().then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_that_vanishes_in_a_transfer_is_gone_and_welcome_again() {
    let desk = Desk::new();
    let _vm = cable::vm::Vm::new(&desk).await;
    let daemon = Daemon::start(&desk, "").await;
    let phone = desk.phone(0, &["vanish:3"]).await;
    // The VM's neighbour discovery and multicast reports are frames from the host.
    until("it has left", PATIENCE, || on_usb(0).is_none().then_some(())).await;
    until("its port is gone", PATIENCE, || ports().is_empty().then_some(())).await;
    daemon.row_gone(0, PATIENCE).await;
    phone.plug().await.unwrap();
    daemon.joined(0).await;
}
