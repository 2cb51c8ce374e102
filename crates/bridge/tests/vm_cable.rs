//! The main way, on real kernels: a phone is plugged in, and a daemon in the VM behind the bridge lists it with its tunnel.
#![cfg(feature = "vm-tests")]
#![allow(clippy::print_stdout, reason = "figures, which the runner asks for with --show-output")]

mod cable;

use std::time::{Duration, Instant};

use cable::bridge::{Daemon, Hops};
use cable::vm::Vm;
use cable::{Desk, PATIENCE, allowed, delete_bridge, make_bridge, ports, until};

/// From the phone's own re-enumeration to the bridge.
const OUTCOME: Duration = Duration::from_secs(2);

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
    let phone = iosmux_fakephone::usb::UsbPhone::start(config).await.unwrap();
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
