//! From the cable to the bridge.

mod desk;

use desk::{BRIDGE, Desk, OTHER, UDID, run};
use iosmux_usb::Mode;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn plug_to_joined() {
    let desk = Desk::new();
    let mut daemon = run(&desk, "");
    daemon.until("an empty desk", |report| report.version.is_some() && report.phones.is_empty()).await;
    let began = Instant::now();
    desk.plug("1-2", UDID, &[]);
    let phone = daemon.until_state("1-2", "joined").await;
    let states = ["seen", "mode-queried", "switching", "re-enumerated", "netdev-up", "joined"];
    assert_eq!(daemon.states(), states);
    let bridge = desk.state().bridges[BRIDGE].index;
    assert_eq!(desk.bridge_of("1-2"), Some(bridge));
    assert!(began.elapsed().as_secs_f64() < 2.0, "{:?}, 350 ms of them the phone's own", began.elapsed());
    assert_eq!((phone.udid.as_deref(), phone.mode, phone.configuration), (Some(UDID), Some(3), Some(5)));
    assert_eq!(phone.mode_reply, None, "asked before it was switched, which is another enumeration");
    let mac = desk.state().phones["1-2"].device.config().private_mac;
    assert_eq!((phone.imac_address, phone.phone_address), (Some(mac.to_string()), Some(mac.phone_address())));
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_kernel_of_6_1_gets_the_userspace_driver() {
    let desk = Desk::new();
    desk.state().binds_private = false;
    desk.plug("1-2", UDID, &[]);
    let mut daemon = run(&desk, "");
    let phone = daemon.until_state("1-2", "joined").await;
    assert_eq!(phone.notices[0].name, "userspace-driver");
    assert_eq!(phone.netdevs.len(), 1, "the tethering function's");
    let mac = desk.state().phones["1-2"].device.config().private_mac;
    assert_eq!(phone.imac_address, Some(mac.to_string()), "the driver's interface has it as well");
    assert_eq!(desk.state().drivers, 1);
    daemon.stop().await;
    assert_eq!(desk.left(), (0, 0));
    assert_eq!(desk.state().modes, [3, 1]);
}

#[tokio::test(start_paused = true)]
async fn the_kernels_driver_alone_is_held_where_there_is_none() {
    let desk = Desk::new();
    desk.state().binds_private = false;
    desk.plug("1-2", UDID, &[]);
    let mut daemon = run(&desk, "driver = \"kernel\"");
    assert_eq!(daemon.until_held("1-2").await.0, "no-netdev");
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn each_phone_has_its_bridge() {
    let desk = Desk::new();
    let other = desk.make_bridge("br1");
    let settings = format!("[device.\"{OTHER}\"]\nbridge = \"br1\"\nisolated = true\n");
    let mut daemon = run(&desk, &settings);
    desk.plug("1-1", UDID, &[]);
    desk.plug("1-2", OTHER, &[]);
    daemon.until_state("1-1", "joined").await;
    daemon.until_state("1-2", "joined").await;
    assert_eq!(desk.bridge_of("1-2"), Some(other));
    assert_ne!(desk.bridge_of("1-1"), Some(other));
    let isolated: Vec<bool> =
        desk.state().ports.values().filter(|port| port.master.is_some()).map(|port| port.isolated).collect();
    assert_eq!(isolated.iter().filter(|isolated| **isolated).count(), 1);
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_phone_that_is_not_allowed_is_not_touched_until_a_reload_allows_it() {
    let desk = Desk::new();
    let mut daemon = run(&desk, &format!("allow = [\"{OTHER}\"]"));
    desk.plug("1-2", UDID, &[]);
    assert_eq!(daemon.until_held("1-2").await.0, "not-allowed");
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    assert_eq!(desk.asked(), (0, 0));
    assert_eq!(desk.left(), (0, 0));

    let allow = |text: &str| iosmux_bridge::config::Settings::from_text(None, text).unwrap();
    daemon.handle.reconfigure(allow("")).await.unwrap();
    daemon.until_state("1-2", "joined").await;
    daemon.handle.reconfigure(allow(&format!("allow = [\"{OTHER}\"]"))).await.unwrap();
    assert_eq!(daemon.until_held("1-2").await.0, "not-allowed");
    assert_eq!((desk.mode("1-2"), desk.bridge_of("1-2")), (Mode::Initial, None));
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_reload_moves_a_phone_to_another_bridge() {
    let desk = Desk::new();
    let mut daemon = run(&desk, "");
    desk.plug("1-2", UDID, &[]);
    daemon.until_state("1-2", "joined").await;
    let other = desk.make_bridge("br1");
    let settings = iosmux_bridge::config::Settings::from_text(None, "bridge = \"br1\"").unwrap();
    daemon.handle.reconfigure(settings).await.unwrap();
    daemon.until("the other bridge", |_| desk.bridge_of("1-2") == Some(other)).await;
    assert_eq!(desk.state().modes, [3], "it did not leave USB for that");
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_interface_that_is_no_bridge_is_waited_for_until_it_is_one() {
    let desk = Desk::new();
    desk.state().others.insert("eth0".to_owned());
    desk.plug("1-2", UDID, &[]);
    let mut daemon = run(&desk, "bridge = \"eth0\"");
    assert_eq!(daemon.until_held("1-2").await.0, "not-a-bridge");
    desk.change(|state| state.others.clear());
    let bridge = desk.make_bridge("eth0");
    daemon.until_state("1-2", "joined").await;
    assert_eq!(desk.bridge_of("1-2"), Some(bridge));
    daemon.stop().await;
}

/// All six orders in which phone, bridge and daemon appear.
#[tokio::test(start_paused = true)]
async fn they_may_appear_in_any_order() {
    for order in ["pbd", "pdb", "bpd", "bdp", "dpb", "dbp"] {
        let desk = Desk::new();
        desk.remove_bridge(BRIDGE);
        let mut daemon = None;
        for what in order.chars() {
            match what {
                'p' => desk.plug("1-2", UDID, &[]),
                'b' => drop(desk.make_bridge(BRIDGE)),
                _ => daemon = Some(run(&desk, "")),
            }
            // Whatever can happen so far has happened.
            tokio::time::sleep(std::time::Duration::from_secs(20)).await;
        }
        let mut daemon = daemon.unwrap();
        daemon.until_state("1-2", "joined").await;
        assert_eq!(desk.state().modes, [3], "{order}");
        daemon.stop().await;
        assert_eq!(desk.state().modes, [3, 1], "{order}");
    }
}
