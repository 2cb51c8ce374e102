//! What happens to a bridge and to the daemon while a phone is joined.
#![cfg(feature = "vm-tests")]
#![allow(clippy::print_stdout, reason = "figures, which the runner asks for with --show-output")]

mod cable;
mod nf_tables;

use std::time::Duration;

use cable::bridge::Daemon;
use cable::{BRIDGE, Desk, PATIENCE, configuration, delete_bridge, mac, make_bridge, ports, until};
use nix::sys::signal::Signal;
use serde_json::Value;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_that_is_deleted_and_made_again_is_joined_again() {
    let desk = Desk::new();
    let daemon = Daemon::start(&desk, "").await;
    let _phone = desk.phone(0, &[]).await;
    daemon.joined(0).await;
    delete_bridge();
    let held = daemon.state(0, "held").await;
    assert_eq!(held["reason"]["name"], "bridge-missing", "{held:#}");
    let (code, cable) = daemon.doctor();
    assert_eq!(
        (code, &cable["verdict"], &cable["next_step"]),
        (Some(1), &"fail".into(), &held["reason"]["next_step"])
    );
    make_bridge();
    daemon.joined(0).await;
    assert_eq!(ports().len(), 1);
    // libvirt's net-destroy and net-start: nobody sees the moment between.
    delete_bridge();
    make_bridge();
    let (port, took) = until("it is a port again", PATIENCE, || ports().into_iter().next()).await;
    println!("{port} is back after {took:?}");
    daemon.joined(0).await;
    let (code, cable) = daemon.doctor();
    assert_eq!((code, &cable["verdict"]), (Some(0), &"ok".into()), "{cable:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_has_no_address_and_changes_nothing_of_the_bridge() {
    let desk = Desk::new();
    let before = mac(BRIDGE);
    let daemon = Daemon::start(&desk, "").await;
    let _phone = desk.phone(0, &[]).await;
    daemon.joined(0).await;
    assert_eq!(mac(BRIDGE), before);
    let port = ports().into_iter().next().unwrap();
    let addresses = std::fs::read_to_string("/proc/net/if_inet6").unwrap();
    assert!(!addresses.lines().any(|line| line.ends_with(&format!(" {port}"))), "{addresses}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_stops_gives_the_phone_back_and_the_next_takes_it_again() {
    let desk = Desk::new();
    let mut daemon = Daemon::start(&desk, "").await;
    let phone = desk.phone(0, &[]).await;
    daemon.joined(0).await;
    let (status, took) = daemon.stop(Signal::SIGTERM, 15 * SECOND).await;
    println!("given back after {took:?}");
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    assert!(ports().is_empty(), "{:?}", ports());
    until("it is in mode 1", PATIENCE, || {
        let back = configuration(0).is_some_and(|(_, configurations)| configurations == "4");
        (back && phone.state().borrow().mode == 1).then_some(())
    })
    .await;
    let daemon = Daemon::start(&desk, "").await;
    daemon.joined(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_that_is_to_be_kept_stays_in_mode_3() {
    let desk = Desk::new();
    let mut daemon = Daemon::start(&desk, "on-stop = \"keep\"\n").await;
    let phone = desk.phone(0, &[]).await;
    daemon.joined(0).await;
    let (status, _) = daemon.stop(Signal::SIGTERM, 15 * SECOND).await;
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    tokio::time::sleep(SECOND).await;
    assert_eq!(phone.state().borrow().mode, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daemon_after_one_that_was_killed_finds_the_truth() {
    let desk = Desk::new();
    let mut daemon = Daemon::start(&desk, "").await;
    let phone = desk.phone(0, &[]).await;
    daemon.joined(0).await;
    daemon.stop(Signal::SIGKILL, 5 * SECOND).await;
    // It is left as it is, and the phone goes on: no mode switch, no re-enumeration.
    assert_eq!(phone.state().borrow().mode, 3);
    let device = cable::on_usb(0).map(|path| std::fs::read_to_string(path.join("devnum")).unwrap());
    let daemon = Daemon::start(&desk, "").await;
    daemon.joined(0).await;
    let now = cable::on_usb(0).map(|path| std::fs::read_to_string(path.join("devnum")).unwrap());
    assert_eq!(device, now, "{}", daemon.log());
    assert_eq!(ports().len(), 1);
    // And while nobody looked the phone was pulled.
    let mut daemon = daemon;
    daemon.stop(Signal::SIGKILL, 5 * SECOND).await;
    phone.unplug().await.unwrap();
    phone.plug().await.unwrap();
    let daemon = Daemon::start(&desk, "").await;
    daemon.joined(0).await;
}

/// Docker's chain, where br_netfilter is loaded: the phone is joined, and the VM never hears it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_firewall_that_drops_frames_between_ports_is_listed_until_it_does_so_no_more() {
    let notice = |row: &Value| {
        let notices = row["notices"].as_array().cloned().unwrap_or_default();
        notices.into_iter().find(|notice| notice["name"] == "dropped")
    };
    let desk = Desk::new();
    nf_tables::forward(nf_tables::DROP).unwrap();
    let daemon = Daemon::start(&desk, "").await;
    let _phone = desk.phone(0, &[]).await;
    daemon.row_that(PATIENCE, |row| row["state"] == "joined" && notice(row).is_some()).await;
    let told = notice(&daemon.listed(0)).unwrap();
    println!("{told:#}");
    assert!(told["text"].as_str().unwrap().contains("ip6 filter FORWARD has policy drop"), "{told:#}");
    assert!(told["next_step"].as_str().unwrap().contains("bridge-nf-call-ip6tables"), "{told:#}");
    nf_tables::forward(nf_tables::ACCEPT).unwrap();
    // Else it is looked at once a minute.
    daemon.reload();
    daemon.row_that(PATIENCE, |row| row["state"] == "joined" && notice(row).is_none()).await;
    assert_eq!(notice(&daemon.listed(0)), None);
}
