//! The main way, on real kernels: a phone is plugged in, and a daemon in the VM behind the bridge lists it with its tunnel.
#![cfg(feature = "vm-tests")]
#![allow(clippy::print_stdout, reason = "figures, which the runner asks for with --show-output")]

mod cable;

use std::time::{Duration, Instant};

use cable::bridge::{Daemon, Hops};
use cable::vm::Vm;
use cable::{Desk, LOST, PATIENCE, allowed, delete_bridge, make_bridge, ports, until};
use iosmux_fakephone::usb::UsbPhone;
use nix::sys::signal::Signal;

/// From the phone's own re-enumeration to the bridge.
const OUTCOME: Duration = Duration::from_secs(2);
/// The whole way back to mode 1 (docs/bridge.md).
const RESTORED: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugged_phone_is_listed_with_its_tunnel_behind_the_bridge() {
    let desk = Desk::new();
    let mut vm = Vm::new(&desk).await;
    vm.tunneld().await;
    let daemon = Daemon::start(&desk, "").await;
    let config = desk.phone_config(0, &[]);
    let away = config.reenumeration;
    let hops = Hops::follow(&daemon, 0);
    let plugged = Instant::now();
    let phone = UsbPhone::start(config).await.unwrap();
    let row = daemon.joined(0).await;
    let joined = plugged.elapsed();
    let (listed, _) = vm.until(0, "catalogue-known", PATIENCE).await;
    let listed_after = plugged.elapsed();
    println!("{}", hops.table(plugged));
    println!("plug to joined {joined:?}, {:?} without the phone's own {away:?}", joined - away);
    println!("plug to listed {listed_after:?}, {:?} without the phone's own {away:?}", listed_after - away);
    println!("bridge: {row:#}\nregistry: {listed:#}");

    let after_switch = hops.between("re-enumerated", "joined");
    println!("re-enumerated to joined {after_switch:?}");
    assert!(after_switch < allowed(OUTCOME), "{after_switch:?}\n{}", daemon.log());
    let state = phone.state().borrow().clone();
    assert_eq!((state.mode, state.open), (3, true), "{state:?}");
    assert!(listed["tunnel"]["address"].is_string(), "{listed:#}");
    let same = |text: &str| text.replace(':', "").to_lowercase();
    assert_eq!(same(row["imac_address"].as_str().unwrap()), same(&state.host_mac), "{row:#}");
    assert_eq!(row["phone_address"], state.address.to_string(), "{row:#}");
    assert_eq!(ports().len(), 1, "the private function alone is a port: {:?}", ports());
    let old = std::env::var("IOSMUX_VM_GUEST").unwrap() == "6.1";
    assert_eq!(row["interface"]["driver"], if old { "userspace" } else { "kernel" }, "{row:#}");
}

/// What is there first, second and last does not matter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn phone_bridge_and_daemon_may_come_in_any_order() {
    let orders = ["pbd", "pdb", "bpd", "bdp", "dpb", "dbp"];
    for order in orders {
        let desk = Desk::bare();
        delete_bridge();
        let (mut phone, mut daemon) = (None, None);
        let began = Instant::now();
        for what in order.chars() {
            match what {
                'p' => phone = Some(desk.phone(0, &[]).await),
                'b' => make_bridge(),
                _ => daemon = Some(Daemon::start(&desk, "").await),
            }
            // Long enough that what is there has seen what is not.
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
        daemon.as_ref().unwrap().joined(0).await;
        println!("{order}: joined after {:?}", began.elapsed());
        drop(daemon);
        drop(phone);
        until("the phone is off the bus", PATIENCE, || cable::on_usb(0).is_none().then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_faulting_phone_does_not_keep_another_from_the_bridge() {
    let desk = Desk::new();
    let daemon = Daemon::start(&desk, "").await;
    let bad = desk.phone(1, &["stall"]).await;
    let good = desk.phone(0, &[]).await;
    let row = daemon.joined(0).await;
    let held = daemon.state(1, "held").await;
    println!("{row:#}\n{held:#}");
    assert_eq!(ports().len(), 1);
    good.unplug().await.unwrap();
    good.plug().await.unwrap();
    daemon.joined(0).await;
    drop(bad);
}

/// Beside each mute phone another one is plugged in, at the moment in which the kernel or the daemon waits for an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mute_phone_does_not_hold_up_another() {
    let desk = Desk::new();
    let daemon = Daemon::start(&desk, "").await;
    let good = UsbPhone::start_unplugged(desk.phone_config(0, &[])).await.unwrap();
    let alone = plug_to_joined(&daemon, &good).await;
    println!("alone: joined after {alone:?}");
    for fault in ["mute", "mute:configured"] {
        let bad = desk.phone(1, &[fault]).await;
        until("it is mute", PATIENCE, || bad.state().borrow().mute.then_some(())).await;
        let beside = plug_to_joined(&daemon, &good).await;
        println!("beside {fault}: joined after {beside:?}");
        assert!(beside < 2 * alone + LOST, "{beside:?}, {alone:?} alone\n{}", daemon.log());
        drop(bad);
        daemon.row_gone(1, PATIENCE).await;
    }
}

/// Plugs a phone in until it is joined, and out again.
async fn plug_to_joined(daemon: &Daemon, phone: &UsbPhone) -> Duration {
    let plugged = Instant::now();
    phone.plug().await.unwrap();
    daemon.joined(0).await;
    let joined = plugged.elapsed();
    // One that leaves at once was switched, not unplugged.
    tokio::time::sleep(Duration::from_millis(700)).await;
    phone.unplug().await.unwrap();
    daemon.row_gone(0, PATIENCE).await;
    joined
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_that_falls_mute_on_the_bridge_is_told_of_at_the_end() {
    let desk = Desk::new();
    // Its neighbour discovery and multicast reports are frames for the phone.
    let _vm = Vm::new(&desk).await;
    let mut daemon = Daemon::start(&desk, "").await;
    let phone = desk.phone(0, &["mute:1"]).await;
    daemon.joined(0).await;
    until("it is mute", PATIENCE, || phone.state().borrow().mute.then_some(())).await;
    let (status, took) = daemon.stop(Signal::SIGTERM, RESTORED + LOST).await;
    println!("ended after {took:?}");
    assert!(status.success(), "{status}\n{}", daemon.log());
    assert!(daemon.log().contains("not-restored"), "{}", daemon.log());
    assert!(ports().is_empty(), "{:?}", ports());
}
