//! What a desk and a lab do to phones, and how long the daemon takes to have the tunnel again.
#![cfg(feature = "net-tests")]

mod support;

use std::time::{Duration, Instant};

use iosmux_fakephone::fault::{Fault, Step};
use iosmux_fakephone::net::PhoneConfig;
use iosmux_tunneld::model::{Source, State};
use support::{Desk, copy, fault, udid};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_phone_is_found_paired_and_tunnelled_and_each_hop_is_timed() {
    let mut desk = Desk::new(1).await;
    desk.phone(0, |_| {}).await;
    desk.daemon(|_| {}).await;
    desk.usable(0, 1).await;
    let device = desk.device(0).unwrap();
    assert!(device.newly_paired);
    assert_eq!(device.catalogue.as_ref().unwrap().services.len(), 67);
    assert_eq!(device.link.as_ref().unwrap().source, Source::Mdns);
    let times = device.times;
    let hops = [times.rsd, times.pair, times.tunnel, times.catalogue].map(Option::unwrap);
    assert!(hops.iter().sum::<Duration>() <= times.total.unwrap());
}

#[tokio::test]
async fn a_replugged_phone_is_back_with_its_new_address_without_asking_again() {
    let mut desk = Desk::ready().await;
    let before = desk.device(0).unwrap();
    desk.replug(0).await;
    let took = desk.usable(0, 2).await;
    let after = desk.device(0).unwrap();
    assert_ne!(before.link.unwrap().address, after.link.unwrap().address);
    assert_ne!(before.tunnel.unwrap().address, after.tunnel.unwrap().address);
    assert!(!after.newly_paired, "the record is enough");
    assert!(took < 5 * SECOND, "{took:?}");
}

#[tokio::test]
async fn a_link_that_goes_down_without_a_word_is_noticed_in_15_s_and_comes_back() {
    let desk = Desk::ready().await;
    desk.lab.remove_bridge().await.unwrap();
    let noticed = desk.until(0, 16 * SECOND, "down", |device| !device.state.is_usable()).await;
    assert!(noticed < 15 * SECOND, "{noticed:?}");
    desk.lab.restore_bridge().await.unwrap();
    desk.until(0, 40 * SECOND, "usable", |device| device.state == State::CatalogueKnown).await;
}

#[tokio::test]
async fn a_phone_that_reboots_is_back_with_other_ports() {
    let mut desk = Desk::ready().await;
    desk.stop_phone(0).await;
    desk.until(0, 5 * SECOND, "noticed", |device| device.state != State::CatalogueKnown).await;
    desk.phone(0, |_| {}).await;
    let took = desk.usable(0, 1).await;
    assert!(!desk.device(0).unwrap().newly_paired);
    assert!(took < 10 * SECOND, "{took:?}");
}

#[tokio::test]
async fn a_daemon_that_is_started_again_verifies_from_its_records() {
    let mut desk = Desk::ready().await;
    desk.stop_daemon().await;
    desk.daemon(|_| {}).await;
    let took = desk.usable(0, 1).await;
    assert!(!desk.device(0).unwrap().newly_paired);
    assert!(took < 5 * SECOND, "{took:?}");
}

#[tokio::test]
async fn a_restored_vm_pairs_again_because_the_phone_knows_better() {
    let mut desk = Desk::new(1).await;
    desk.phone(0, |_| {}).await;
    desk.daemon(|_| {}).await;
    desk.usable(0, 1).await;
    desk.stop_daemon().await;
    // The snapshot is from before the pairing: only this host's identity is in it.
    let (records, snapshot) = (desk.path("records"), desk.path("snapshot"));
    copy(&records, &snapshot);
    for entry in std::fs::read_dir(&snapshot).unwrap().map(Result::unwrap) {
        if entry.file_name().to_string_lossy().starts_with("peer-") {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    copy(&snapshot, &records);
    desk.daemon(|_| {}).await;
    let took = desk.usable(0, 1).await;
    assert!(desk.device(0).unwrap().newly_paired);
    assert!(took < 10 * SECOND, "{took:?}");
    tracing::info!(?took, "paired again");
}

#[tokio::test]
async fn a_phone_that_forgot_this_host_is_paired_with_again() {
    let mut desk = Desk::ready().await;
    desk.stop_daemon().await;
    desk.stop_phone(0).await;
    std::fs::remove_dir_all(desk.path("phone0")).unwrap();
    desk.phone(0, |_| {}).await;
    desk.daemon(|_| {}).await;
    // A phone that was erased has another identity: nobody is fooled, and a person is told what to do.
    desk.reaches(0, State::Held, 10 * SECOND).await;
    let reason = desk.device(0).unwrap().reason.unwrap();
    assert!(reason.next_step.unwrap().contains("unpair"), "{}", reason.text);
    assert!(desk.fleet().unpair(&udid(0)).await.unwrap());
    desk.fleet().pair(&udid(0)).await.unwrap();
    assert!(desk.device(0).unwrap().newly_paired);
}

#[tokio::test]
async fn a_phone_that_announces_nothing_is_found_as_a_neighbour() {
    let mut desk = Desk::new(1).await;
    desk.phone(0, fault(Fault::NoAnnounce)).await;
    desk.daemon(|_| {}).await;
    let took = desk.usable(0, 1).await;
    assert_eq!(desk.device(0).unwrap().link.unwrap().source, Source::Neighbour);
    assert!(took < 15 * SECOND, "{took:?}");
    tracing::info!(?took, "found");
}

#[tokio::test]
async fn a_phone_that_hangs_at_any_step_delays_no_other_one() {
    for step in [Step::Rsd, Step::Pair, Step::Listener, Step::Tunnel, Step::Catalogue] {
        let mut desk = Desk::new(3).await;
        desk.phone(0, fault(Fault::Hang(step))).await;
        desk.phone(1, |_| {}).await;
        desk.phone(2, |_| {}).await;
        desk.daemon(|_| {}).await;
        let (one, other) = (desk.usable(1, 1).await, desk.usable(2, 1).await);
        assert!(one.max(other) < 5 * SECOND, "{step:?}: {one:?} {other:?}");
        assert!(desk.device(0).is_none_or(|device| device.state != State::CatalogueKnown), "{step:?}");
        desk.stop_daemon().await;
    }
}

#[tokio::test]
async fn a_hop_that_hangs_ends_and_says_which() {
    let mut desk = Desk::new(1).await;
    desk.phone(0, fault(Fault::Hang(Step::Pair))).await;
    desk.daemon(|_| {}).await;
    let took = desk.reaches(0, State::Down, 40 * SECOND).await;
    let reason = desk.device(0).unwrap().reason.unwrap();
    assert!(reason.text.contains("did not answer"), "{} after {took:?}", reason.text);
}

#[tokio::test]
async fn a_stopped_tunnel_stays_down_until_it_is_started() {
    let mut desk = Desk::ready().await;
    assert!(desk.fleet().stop(&udid(0)).await.unwrap());
    desk.reaches(0, State::Stopped, SECOND).await;
    sleep(2 * SECOND).await;
    assert_eq!(desk.device(0).unwrap().state, State::Stopped);
    let tunnel = desk.fleet().start(&udid(0).replace('-', "")).await.unwrap();
    assert_eq!(desk.device(0).unwrap().tunnel, Some(tunnel));
    assert!(desk.fleet().start("00000000-0000000000000000").await.is_err(), "unknown, and no hang");
    desk.stop_daemon().await;
}

#[tokio::test]
async fn a_phone_older_than_17_is_left_alone_with_the_reason() {
    let mut desk = Desk::new(2).await;
    desk.phone(0, |config| config.ios = Some("16.7".parse().unwrap())).await;
    desk.phone(1, |_| {}).await;
    desk.daemon(|_| {}).await;
    desk.reaches(0, State::Unsupported, 5 * SECOND).await;
    assert!(desk.device(0).unwrap().reason.unwrap().text.contains("iOS 17"));
    desk.usable(1, 1).await;
}

#[tokio::test]
async fn only_phones_that_are_allowed_get_tunnels() {
    let mut desk = Desk::new(2).await;
    desk.phone(0, |_| {}).await;
    desk.phone(1, |_| {}).await;
    let allowed = udid(1).replace('-', "").to_lowercase();
    desk.daemon(|settings| settings.allow = Some([allowed.parse().unwrap()].into())).await;
    desk.usable(1, 1).await;
    desk.reaches(0, State::Unsupported, 5 * SECOND).await;
}

/// From iOS 27.2 on a second connection replaces the first: dialling again to see whether a phone lives would end what others
/// do there.
#[tokio::test]
async fn a_phone_with_a_tunnel_is_never_dialled_again_to_see_whether_it_lives() {
    let newest = |config: &mut PhoneConfig| config.ios = Some("27.2".parse().unwrap());
    let mut desk = Desk::new(3).await;
    desk.phone(0, |_| {}).await;
    desk.phone(1, newest).await;
    desk.phone(2, |config| {
        newest(config);
        config.faults.push(Fault::NoAnnounce);
    })
    .await;
    desk.daemon(|_| {}).await;
    desk.usable(0, 1).await;
    desk.usable(1, 1).await;
    // Beside phones that announce themselves a silent one is looked for every few minutes only.
    desk.fleet().refresh().await.unwrap();
    desk.usable(2, 1).await;
    let settled = [0, 1, 2].map(|number| desk.visits(number));
    let [first, second, silent] = settled;
    for announced in [first, second] {
        assert_eq!((announced.rsd_on_link, announced.rsd_in_tunnel), (1, 1));
    }
    // The one that announces nothing was tried before it was asked.
    assert_eq!((silent.rsd_on_link, silent.rsd_in_tunnel), (2, 1));
    let tunnels = [0, 1, 2].map(|number| desk.device(number).unwrap().tunnel);

    let (since, probed) = (Instant::now(), desk.probes().await);
    while since.elapsed() < 20 * SECOND || desk.probes().await < probed + 3 * 3 {
        assert!(since.elapsed() < 60 * SECOND, "nobody looked whether the tunnels live");
        desk.fleet().refresh().await.unwrap();
        sleep(SECOND).await;
    }
    assert_eq!([0, 1, 2].map(|number| desk.visits(number)), settled);
    assert_eq!([0, 1, 2].map(|number| desk.device(number).unwrap().tunnel), tunnels);
}
