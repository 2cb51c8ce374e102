//! What happens to a phone that is on the bridge, and to the daemon.

mod desk;

use std::time::Duration;

use desk::{BRIDGE, Desk, OTHER, UDID, run};
use iosmux_bridge::config::Settings;
use iosmux_usb::Mode;
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn a_hundred_replugs_leave_nothing_behind() {
    let desk = Desk::new();
    for binds in [true, false] {
        desk.state().binds_private = binds;
        let mut daemon = run(&desk, "");
        let mut tasks = Vec::new();
        for _ in 0..50 {
            desk.plug("1-2", UDID, &[]);
            daemon.until_state("1-2", "joined").await;
            sleep(Duration::from_millis(500)).await;
            desk.unplug("1-2");
            daemon.until_gone("1-2").await;
            sleep(Duration::from_millis(100)).await;
            assert_eq!(desk.left(), (0, 0));
            assert_eq!(desk.state().ports.len(), 0);
            tasks.push(tokio::runtime::Handle::current().metrics().num_alive_tasks());
        }
        assert_eq!(tasks.first(), tasks.last(), "{tasks:?}");
        daemon.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_bridge_that_is_deleted_and_made_again_is_rejoined() {
    let desk = Desk::new();
    desk.plug("1-2", UDID, &[]);
    let mut daemon = run(&desk, "");
    for _ in 0..10 {
        daemon.until_state("1-2", "joined").await;
        desk.remove_bridge(BRIDGE);
        let (name, text) = daemon.until_held("1-2").await;
        assert_eq!(name, "bridge-missing");
        assert!(text.contains("virsh net-start"), "{text}");
        let index = desk.make_bridge(BRIDGE);
        daemon.until_state("1-2", "joined").await;
        assert_eq!(desk.bridge_of("1-2"), Some(index));
    }
    assert_eq!(desk.state().modes, [3], "the phone noticed nothing");
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn stop_gives_back_and_a_second_start_works() {
    let desk = Desk::new();
    desk.plug("1-2", UDID, &[]);
    for _ in 0..3 {
        let mut daemon = run(&desk, "");
        daemon.until_state("1-2", "joined").await;
        let began = Instant::now();
        daemon.stop().await;
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert_eq!(desk.state().open_handles, 0);
        sleep(Duration::from_secs(1)).await;
        assert_eq!((desk.mode("1-2"), desk.bridge_of("1-2")), (Mode::Initial, None));
    }
    assert_eq!(desk.state().modes, [3, 1, 3, 1, 3, 1]);
}

#[tokio::test(start_paused = true)]
async fn keep_keeps_the_mode() {
    let desk = Desk::new();
    desk.plug("1-2", UDID, &[]);
    let mut daemon = run(&desk, "on-stop = \"keep\"");
    daemon.until_state("1-2", "joined").await;
    daemon.stop().await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!((desk.mode("1-2"), desk.bridge_of("1-2")), (Mode::Ncm, None));
    let mut daemon = run(&desk, "on-stop = \"keep\"");
    let began = Instant::now();
    daemon.until_state("1-2", "joined").await;
    assert!(began.elapsed() < Duration::from_millis(50), "nothing had to be switched: {:?}", began.elapsed());
    assert_eq!(desk.asked(), (1, 1));
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_kill_the_next_start_finds_the_truth() {
    for time in [0, 5, 60, 200, 380, 420, 640, 700, 2000] {
        let desk = Desk::new();
        desk.plug("1-2", UDID, &[]);
        let daemon = run(&desk, "");
        sleep(Duration::from_millis(time)).await;
        daemon.kill().await;
        let mut daemon = run(&desk, "");
        daemon.until_state("1-2", "joined").await;
        daemon.stop().await;
        sleep(Duration::from_secs(1)).await;
        assert_eq!((desk.mode("1-2"), desk.bridge_of("1-2")), (Mode::Initial, None), "{time}");
        assert_eq!(desk.state().open_handles, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn two_phones_one_of_them_silent() {
    let desk = Desk::new();
    desk.plug("1-1", OTHER, &[]);
    desk.state().phones.get_mut("1-1").unwrap().silent = true;
    let mut daemon = run(&desk, "");
    sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    desk.plug("1-2", UDID, &[]);
    daemon.until_state("1-2", "joined").await;
    assert!(began.elapsed() < Duration::from_secs(1), "the other one delayed it: {:?}", began.elapsed());
    let (name, text) = daemon.until_held("1-1").await;
    assert_eq!(name, "failing");
    assert!(text.contains("asking for its mode failed 5 times: there was no answer in time"), "{text}");
    let began = Instant::now();
    daemon.stop().await;
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert_eq!(desk.state().modes, [3, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_phone_that_the_kernel_does_not_show_stays_as_it_was_and_delays_no_other() {
    let desk = Desk::new();
    desk.plug("1-1", OTHER, &[]);
    let mut daemon = run(&desk, "");
    daemon.until_state("1-1", "joined").await;
    daemon.states();
    desk.state().phones.get_mut("1-1").unwrap().locked = true;
    // A reload wants a look at each.
    daemon.handle.reconfigure(Settings::default()).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(daemon.states(), [""; 0]);
    let began = Instant::now();
    desk.plug("1-2", UDID, &[]);
    daemon.until_state("1-2", "joined").await;
    assert!(began.elapsed() < Duration::from_secs(1), "the other one delayed it: {:?}", began.elapsed());
    daemon.until_state("1-1", "joined").await;
    desk.state().phones.get_mut("1-1").unwrap().locked = false;
    desk.remove_bridge(BRIDGE);
    assert_eq!(daemon.until_held("1-1").await.0, "bridge-missing");
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_look_that_takes_long_delays_nothing_else() {
    let desk = Desk::new();
    desk.plug("1-2", UDID, &[]);
    let mut daemon = run(&desk, "");
    daemon.until_state("1-2", "joined").await;
    desk.state().sysfs_takes = Duration::from_secs(600);
    desk.changed();
    sleep(Duration::from_millis(10)).await;
    let began = Instant::now();
    daemon.handle.ping().await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(10), "{:?}", began.elapsed());
    // It is given back without a look, though one is wanted.
    daemon.stop().await;
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert_eq!(desk.state().modes, [3, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_at_any_moment_ends_and_gives_back() {
    for time in (0..800).step_by(20) {
        let desk = Desk::new();
        desk.plug("1-2", UDID, &[]);
        let daemon = run(&desk, "");
        sleep(Duration::from_millis(time)).await;
        daemon.stop().await;
        sleep(Duration::from_secs(2)).await;
        assert_eq!((desk.mode("1-2"), desk.bridge_of("1-2")), (Mode::Initial, None), "after {time} ms");
        assert_eq!(desk.state().open_handles, 0, "after {time} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn one_phone_at_another_port_is_the_same_phone() {
    let desk = Desk::new();
    let mut daemon = run(&desk, "");
    for port in ["1-2", "3-1.4", "1-2"] {
        desk.plug(port, UDID, &[]);
        assert_eq!(daemon.until_state(port, "joined").await.udid.as_deref(), Some(UDID));
        sleep(Duration::from_secs(1)).await;
        desk.unplug(port);
        daemon.until_gone(port).await;
    }
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_host_that_slept_finds_the_phone_in_mode_1_and_switches_it_again() {
    let desk = Desk::new();
    desk.plug("1-2", UDID, &[]);
    let mut daemon = run(&desk, "");
    for _ in 0..5 {
        daemon.until_state("1-2", "joined").await;
        sleep(Duration::from_secs(20)).await;
        desk.control("1-2", Mode::Initial.set());
        daemon
            .until("another state", |report| {
                report.phones.first().is_none_or(|phone| phone.state.as_deref() != Some("joined"))
            })
            .await;
    }
    daemon.until_state("1-2", "joined").await;
    daemon.stop().await;
}
