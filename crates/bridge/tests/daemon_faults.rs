//! What goes wrong has a state and a sentence, and an end.

mod desk;

use std::time::Duration;

use desk::{BRIDGE, Desk, OTHER, Running, UDID, run};
use iosmux_bridge::config::Settings;
use iosmux_bridge::ports::{Holder, PortState};
use iosmux_fakephone::usb::UsbFault;
use iosmux_fakephone::usb::fault::WrongDescriptors;
use tokio::time::sleep;

fn usbmuxd() -> Holder {
    Holder::Process { pid: 812, name: "usbmuxd".to_owned() }
}

/// A phone with a fault is plugged in until it is held; what it is told to be.
async fn held(fault: UsbFault) -> (Desk, Running, String) {
    let desk = Desk::new();
    desk.plug("1-2", UDID, &[fault]);
    let mut daemon = run(&desk, "");
    let (name, text) = daemon.until_held("1-2").await;
    (desk, daemon, format!("{name}: {text}"))
}

#[tokio::test(start_paused = true)]
async fn every_fault_of_the_phone_is_told_in_a_sentence() {
    let faults = [
        UsbFault::RefuseMode { stall: false },
        UsbFault::RefuseMode { stall: true },
        UsbFault::Stall,
        UsbFault::ForgetMode { configured: false },
        UsbFault::WrongDescriptors(WrongDescriptors::Lengths),
    ];
    let mut told = Vec::new();
    for fault in faults {
        let (desk, daemon, text) = held(fault).await;
        assert!(desk.state().modes.len() <= 3, "{fault:?} made it ask {:?}", desk.state().modes);
        told.push(format!("{fault:?}\n    {text}"));
        daemon.stop().await;
        assert_eq!(desk.state().open_handles, 0);
    }
    insta::assert_snapshot!(told.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn work_that_panics_is_told_as_a_failure() {
    let desk = Desk::new();
    desk.state().open_panics = true;
    desk.plug("1-2", UDID, &[]);
    let mut daemon = run(&desk, "");
    let (name, text) = daemon.until_held("1-2").await;
    assert_eq!(name, "failing");
    assert!(text.contains("opening it failed 5 times: this is a bug of iosmux-bridge"), "{text}");
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_kernel_that_can_not_be_asked_for_the_bridge_is_no_missing_bridge() {
    let desk = Desk::new();
    desk.state().no_netlink = true;
    desk.plug("1-2", UDID, &[]);
    let mut daemon = run(&desk, "");
    let (name, text) = daemon.until_held("1-2").await;
    assert_eq!(name, "failing");
    assert!(
        text.starts_with("asking the kernel for virbr0 and its ports failed once: asking netlink"),
        "{text}"
    );
    desk.change(|state| state.no_netlink = false);
    daemon.until_state("1-2", "joined").await;

    daemon.states();
    desk.change(|state| state.no_netlink = true);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(daemon.states(), [""; 0], "what was there before holds");
    desk.state().no_netlink = false;
    desk.remove_bridge(BRIDGE);
    assert_eq!(daemon.until_held("1-2").await.0, "bridge-missing");
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_phone_is_waited_for_and_not_for_ever() {
    let desk = Desk::new();
    desk.plug("1-2", UDID, &[UsbFault::SlowReenumeration(Duration::from_secs(8))]);
    let mut daemon = run(&desk, "");
    daemon.until_state("1-2", "joined").await;
    daemon.stop().await;

    let desk = Desk::new();
    desk.plug("1-2", UDID, &[UsbFault::SlowReenumeration(Duration::from_secs(60))]);
    let mut daemon = run(&desk, "");
    sleep(Duration::from_secs(15)).await;
    daemon.until_gone("1-2").await;
    assert_eq!(daemon.states().last(), Some(&"gone"));
    sleep(Duration::from_secs(50)).await;
    daemon.until_state("1-2", "joined").await;
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_phone_that_forgets_its_mode_when_configured_is_held() {
    let desk = Desk::new();
    desk.plug("1-2", UDID, &[UsbFault::ForgetMode { configured: true }]);
    let mut daemon = run(&desk, "");
    assert_eq!(daemon.until_held("1-2").await.0, "switched-back");
    assert_eq!(desk.state().modes, [3, 3, 3]);
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn odd_sets_of_configurations_are_found_by_their_functions() {
    for fault in [UsbFault::ModeDrift, UsbFault::WrongDescriptors(WrongDescriptors::NoPrivate)] {
        let desk = Desk::new();
        desk.plug("1-2", UDID, &[fault]);
        let mut daemon = run(&desk, "");
        daemon.until_state("1-2", "joined").await;
        daemon.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_usbmuxd_is_named_and_left_to_it() {
    let desk = Desk::new();
    (desk.state().usbmuxd, desk.state().meddlers) = (true, vec![usbmuxd()]);
    desk.plug("1-2", UDID, &[]);
    let mut daemon = run(&desk, "");
    let (name, text) = daemon.until_held("1-2").await;
    assert_eq!(name, "switched-back");
    assert!(
        text.contains("usbmuxd (process 812)") && text.contains("USBMUXD_DEFAULT_DEVICE_MODE=3"),
        "{text}"
    );
    sleep(Duration::from_secs(600)).await;
    assert_eq!(desk.state().modes, [3, 3, 3], "it is no loop");
    // It is stopped, and the phone plugged in again.
    (desk.state().usbmuxd, desk.state().meddlers) = (false, Vec::new());
    desk.unplug("1-2");
    daemon.until_gone("1-2").await;
    desk.plug("1-2", UDID, &[]);
    daemon.until_state("1-2", "joined").await;
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn fastcharge_is_answered_and_named_when_it_goes_on() {
    let desk = Desk::new();
    desk.plug("1-2", UDID, &[]);
    let mut daemon = run(&desk, "");
    let fastcharge = async |desk: &Desk| {
        desk.configure("1-2", 0);
        sleep(Duration::from_millis(5)).await;
        desk.configure("1-2", 1);
        sleep(Duration::from_millis(5)).await;
    };
    daemon.until_state("1-2", "joined").await;
    fastcharge(&desk).await;
    daemon.until_state("1-2", "joined").await;
    desk.state().meddlers = vec![Holder::Driver("apple_mfi_fastcharge".to_owned())];
    for _ in 0..2 {
        daemon.until_state("1-2", "joined").await;
        fastcharge(&desk).await;
    }
    let (name, text) = daemon.until_held("1-2").await;
    assert_eq!(name, "configuration-taken");
    assert!(text.contains("modprobe -r apple_mfi_fastcharge"), "{text}");
    daemon.handle.reconfigure(Settings::from_text(None, "").unwrap()).await.unwrap();
    daemon.until_state("1-2", "joined").await;
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_holder_is_named_and_waited_for() {
    let desk = Desk::new();
    desk.plug("1-2", UDID, &[]);
    let holder = Holder::Process { pid: 77, name: "idevicebackup2".to_owned() };
    desk.state().phones.get_mut("1-2").unwrap().holders = vec![holder];
    let mut daemon = run(&desk, "");
    let (name, text) = daemon.until_held("1-2").await;
    assert_eq!(name, "busy");
    assert!(text.contains("idevicebackup2 (process 77)"), "{text}");
    desk.state().phones.get_mut("1-2").unwrap().holders.clear();
    daemon.until_state("1-2", "joined").await;
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_without_rights_is_named_and_tried_again() {
    let desk = Desk::new();
    desk.state().may_open = false;
    desk.plug("1-2", UDID, &[]);
    let mut daemon = run(&desk, "");
    let (name, text) = daemon.until_held("1-2").await;
    assert_eq!(name, "denied");
    assert!(text.contains("/dev/bus/usb/001/001") && text.contains("udev rule"), "{text}");
    desk.state().may_open = true;
    daemon.until_state("1-2", "joined").await;
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_bridge_that_waits_or_is_down_is_named() {
    let desk = Desk::new();
    desk.change(|state| state.bridges.get_mut(BRIDGE).unwrap().up = false);
    desk.plug("1-2", UDID, &[]);
    let mut daemon = run(&desk, "");
    daemon.until_state("1-2", "joined").await;
    let port = |state: PortState| {
        desk.change(|desk| desk.ports.values_mut().for_each(|port| port.state = port.master.map(|_| state)));
    };
    port(PortState::Disabled);
    assert_eq!(daemon.until_held("1-2").await.0, "bridge-down");
    desk.change(|state| state.bridges.get_mut(BRIDGE).unwrap().up = true);
    port(PortState::Learning);
    let phone = daemon.until_state("1-2", "netdev-up").await;
    assert_eq!(phone.reason.unwrap().name, "forward-delay");
    port(PortState::Blocking);
    assert_eq!(daemon.until_held("1-2").await.0, "not-forwarding");
    port(PortState::Forwarding);
    daemon.until_state("1-2", "joined").await;
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn of_two_phones_with_one_udid_the_first_stays() {
    let desk = Desk::new();
    desk.plug("1-2", UDID, &[]);
    let mut daemon = run(&desk, "");
    daemon.until_state("1-2", "joined").await;
    desk.plug("1-3", UDID, &[]);
    desk.plug("1-4", OTHER, &[]);
    daemon.until_state("1-4", "joined").await;
    sleep(Duration::from_secs(30)).await;
    assert_eq!(daemon.handle.report().phones.len(), 2);
    assert_eq!(daemon.until_state("1-2", "joined").await.udid.as_deref(), Some(UDID));
    daemon.stop().await;
}
