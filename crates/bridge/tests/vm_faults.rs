//! Every way in which a phone can misbehave on USB: a state, a sentence that names it, and an end.
#![cfg(feature = "vm-tests")]
#![allow(clippy::print_stdout, reason = "figures, which the runner asks for with --show-output")]

mod cable;

use std::time::{Duration, Instant};

use cable::bridge::Daemon;
use cable::{Desk, LOST, PATIENCE, allowed, on_usb, ports, until};
use iosmux_fakephone::usb::{UsbPhone, UsbPhoneConfig, played};
use iosmux_usb::Mode;
use nix::sys::signal::Signal;
use serde_json::Value;

/// What the phone, the kernel and the daemon do between two waits, on a computer.
const WORK: Duration = Duration::from_millis(1500);
/// From the consent to a mode to the phone's return (docs/bridge.md).
const BACK: Duration = Duration::from_secs(10);
/// The whole way back to mode 1 (docs/bridge.md).
const RESTORED: Duration = Duration::from_secs(15);

/// What waits by the clock is as long in every guest; what is done beside it is not.
fn within(waits: Duration) -> Duration {
    waits + LOST + allowed(WORK)
}

/// Plugs a phone with a fault in and waits until the daemon has a state and a reason for it.
async fn told(fault: &str, waits: Duration) -> Value {
    let desk = Desk::new();
    let daemon = Daemon::start(&desk, "").await;
    let plugged = Instant::now();
    let phone = desk.phone(0, &[fault]).await;
    let row = daemon.row_that(within(waits), |row| row["state"] == "held").await;
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
    // The last is how many ms of waits are on the way there: the phone's re-enumerations of 350 each, and the daemon's pauses of
    // 250, 500, 1000 and 2000 between attempts, 3000 for an interface, 1000 for an answer.
    for (fault, reason, waits) in [
        ("refuse-mode", "mode-refused", 750),
        ("refuse-mode:stall", "mode-refused", 750),
        ("stall", "too-old", 0),
        ("forget-mode", "not-switched", 3 * 350 + 750),
        ("forget-mode:configured", "switched-back", 6 * 350),
        ("wrong-descriptors", "descriptors", 350),
        ("wrong-descriptors:mac", "failing", 350 + 3000 + 3750),
        ("long-strings", "no-udid", 0),
        ("mute", "failing", 5 * 1000 + 3750),
    ] {
        let row = told(fault, Duration::from_millis(waits)).await;
        assert_eq!(row["reason"]["name"], reason, "{fault}: {row:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_that_pass_end_on_the_bridge() {
    for fault in ["slow-reenumeration:4", "suspend:2", "mode-drift", "wrong-descriptors:no-private"] {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_that_stays_away_is_given_up_in_time_and_is_a_new_one_when_it_comes() {
    let desk = Desk::new();
    let daemon = Daemon::start(&desk, "").await;
    let _phone = desk.phone(0, &["slow-reenumeration:25"]).await;
    daemon.state(0, "switching").await;
    let given_up = || daemon.log().contains("did not come back within 10 s").then_some(());
    let (_, after) = until("it is given up", within(BACK), given_up).await;
    println!("slow-reenumeration: given up after {after:?}");
    assert!(daemon.log().contains("not-back"), "{}", daemon.log());
    daemon.row_gone(0, allowed(WORK)).await;
    daemon.joined(0).await;
}

/// What loading apple_mfi_fastcharge does, which the guest has loaded: once it is undone, three times it is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fast_charging_is_undone_and_named_when_it_goes_on() {
    let desk = Desk::new();
    let daemon = Daemon::start(&desk, "").await;
    let _phone = desk.phone(0, &[]).await;
    for time in 1..=3 {
        daemon.joined(0).await;
        played::fastcharge(&on_usb(0).unwrap()).unwrap();
        let told = daemon.row_that(PATIENCE, |row| row["state"] != "joined").await;
        println!("{time}: {told:#}");
    }
    let held = daemon.row_that(within(Duration::from_secs(1)), |row| row["state"] == "held").await;
    assert_eq!(held["reason"]["name"], "configuration-taken", "{held:#}\n{}", daemon.log());
    assert!(held["reason"]["text"].as_str().unwrap().contains("apple_mfi_fastcharge"), "{held:#}");
    assert!(
        held["reason"]["next_step"].as_str().unwrap().contains("modprobe -r apple_mfi_fastcharge"),
        "{held:#}"
    );
    // Who chooses the right one, as the udev rule does, ends that.
    std::fs::write(on_usb(0).unwrap().join("bConfigurationValue"), "5").unwrap();
    daemon.joined(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_that_does_not_go_back_is_told_of_and_does_not_hold_up_the_end() {
    for fault in ["refuse-mode", "refuse-mode:stall", "stay"] {
        let desk = Desk::new();
        let mut daemon = Daemon::start(&desk, "").await;
        let config = UsbPhoneConfig { mode: Mode::Ncm, ..desk.phone_config(0, &[fault]) };
        let phone = UsbPhone::start(config).await.unwrap();
        daemon.joined(0).await;
        let (status, took) = daemon.stop(Signal::SIGTERM, within(RESTORED)).await;
        println!("{fault}: ended after {took:?}");
        assert!(status.success(), "{status}\n{}", daemon.log());
        assert!(daemon.log().contains("not-restored"), "{fault}: {}", daemon.log());
        assert!(ports().is_empty(), "{:?}", ports());
        drop(phone);
        until("it is off the bus", PATIENCE, || on_usb(0).is_none().then_some(())).await;
    }
}
