//! Our host pairs with the phone: every policy, records, both wires.
#![cfg(feature = "net-tests")]

mod support;

use std::time::Duration;

use iosmux_fakephone::fault::Fault;
use iosmux_fakephone::net::{Phone, PhoneConfig, RSD_PORT};
use iosmux_mdns::browser::BrowseEvent;
use iosmux_mdns::io::{BrowseConfig, Browser};
use iosmux_pairing::auth_tag::auth_tag_matches;
use iosmux_pairing::control::host::{PeerProof, WishedTransport};
use iosmux_pairing::error::ControlError;
use iosmux_pairing::io::host::{HostError, Start};
use iosmux_pairing::io::wire::Wire as _;
use iosmux_pairing::message::DeviceOptions;
use support::host::{Computer, network, until};
use support::{Link, SOON, start};
use tempfile::TempDir;
use tokio::time::timeout;

const UDID: &str = "00008020-0000000000001234";

/// A link with a phone, and a computer.
async fn stage(edit: impl FnOnce(&mut PhoneConfig)) -> (Link, Phone, Computer, TempDir) {
    let link = Link::with_address();
    let mut config = link.config();
    config.pairing.consent_delay = Duration::from_millis(30);
    edit(&mut config);
    let phone = start(config).await;
    let directory = tempfile::tempdir().unwrap();
    let computer = Computer::new(directory.path());
    (link, phone, computer, directory)
}

/// Stops a phone and waits until its port is free: a child program of another test may hold it for a moment longer, from
/// its fork to its exec.
async fn stop(phone: Phone, link: &Link) {
    phone.shutdown().await.unwrap();
    until("the port is free", || async { link.connect(RSD_PORT).await.is_err() }).await;
}

fn policy(text: &str) -> impl FnOnce(&mut PhoneConfig) {
    move |config| config.pairing.policy = text.parse().unwrap()
}

#[tokio::test]
async fn a_host_pairs_once_and_verifies_from_then_on() {
    let (link, phone, mut computer, _directory) = stage(|_| {}).await;
    let (_host, first) = computer.paired(&link, UDID).await;
    assert_eq!((first.paired, first.proof, computer.consents), (true, None, 1));
    let device = first.device.unwrap();
    assert_eq!(device.wire_protocol_version, 26);
    let expected = DeviceOptions {
        allows_pair_setup: Some(true),
        allows_pinless_pairing: Some(true),
        allows_promptless_automation_pairing_upgrade: Some(false),
        allows_upgrade_of_lockdown_pairings: None,
        allows_sharing_sensitive_info: Some(false),
        allows_incoming_tunnel_connections: Some(true),
    };
    assert_eq!(device.options, expected, "the five older names, which frida requires");
    let info = device.device.unwrap();
    assert_eq!((info.identifier.as_str(), info.model.as_deref()), (UDID, Some("iPhone11,6")));
    let record = computer.record(UDID).unwrap();
    assert_eq!(record.info.serial_number.as_deref(), Some("F2LTEST00001"));

    let (_host, again) = computer.paired(&link, UDID).await;
    assert_eq!((again.paired, again.proof, computer.consents), (false, Some(PeerProof::Verified), 1));
    assert!(phone.not_sourced().is_empty(), "{:?}", phone.not_sourced());
}

#[tokio::test]
async fn a_user_who_does_not_trust_is_believed() {
    let (link, _phone, mut computer, _directory) = stage(policy("reject")).await;
    let ControlError::Rejected { description: Some(text) } = computer.refused(&link, UDID).await else {
        panic!("a rejection with a text")
    };
    assert!(text.contains("did not trust"), "{text}");
    assert_eq!(computer.consents, 1, "the user was asked");
    assert!(computer.record(UDID).is_none());
}

#[tokio::test]
async fn the_right_pin_pairs_and_the_wrong_one_does_not() {
    let (link, _phone, mut computer, _directory) = stage(policy("pin:012345")).await;
    assert!(matches!(computer.pair(&link, UDID).await, Err(HostError::NoPin)));
    computer.pin = Some("012346".to_owned());
    assert!(matches!(computer.refused(&link, UDID).await, ControlError::WrongPin { .. }));
    computer.pin = Some("012345".to_owned());
    let (_host, welcome) = computer.paired(&link, UDID).await;
    assert_eq!((welcome.paired, computer.consents), (true, 0));
    assert_eq!(welcome.device.unwrap().options.allows_pinless_pairing, Some(false));
}

#[tokio::test]
async fn a_back_off_is_told_in_seconds_and_ends() {
    let (link, _phone, mut computer, _directory) = stage(policy("backoff:8316")).await;
    let ControlError::BackOff { retry_in, .. } = computer.refused(&link, UDID).await else {
        panic!("a back-off")
    };
    assert_eq!(retry_in, Duration::from_secs(8316), "the reply of #pmd3/879");

    let (link, _phone, mut computer, _directory) = stage(policy("backoff:1")).await;
    assert!(matches!(computer.refused(&link, UDID).await, ControlError::BackOff { .. }));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(computer.paired(&link, UDID).await.1.paired);
}

#[tokio::test]
async fn a_phone_that_closes_after_the_setup_verifies_the_host_that_comes_back() {
    let (link, _phone, mut computer, _directory) =
        stage(|config| config.faults = vec![Fault::CloseAfterPairing]).await;
    let (mut host, welcome) = computer.paired(&link, UDID).await;
    assert!(welcome.paired && welcome.record.is_some());
    let listener = support::host::listener(&mut host, WishedTransport::Tcp).await;
    assert!(matches!(listener, Err(HostError::Reconnect)), "{listener:?}");
    assert_eq!(computer.paired(&link, UDID).await.1.proof, Some(PeerProof::Verified));
}

#[tokio::test]
async fn a_phone_without_a_memory_is_another_phone_after_a_restart() {
    let (link, phone, mut computer, _directory) =
        stage(|config| config.pairing.identity_seed = Some(1)).await;
    computer.paired(&link, UDID).await;
    stop(phone, &link).await;
    let mut config = link.config();
    config.pairing.identity_seed = Some(2);
    let _phone = start(config).await;
    assert!(matches!(computer.refused(&link, UDID).await, ControlError::IdentityChanged { .. }));
}

#[tokio::test]
async fn the_same_seed_is_the_same_phone_which_has_forgotten_its_hosts() {
    let (link, phone, mut computer, _directory) =
        stage(|config| config.pairing.identity_seed = Some(1)).await;
    computer.paired(&link, UDID).await;
    stop(phone, &link).await;
    let mut config = link.config();
    config.pairing.identity_seed = Some(1);
    let _phone = start(config).await;
    assert!(computer.paired(&link, UDID).await.1.paired, "it pairs again, with the pinned identity");
}

#[tokio::test]
async fn a_phone_with_a_state_directory_remembers() {
    let state = tempfile::tempdir().unwrap();
    let path = state.path().join("phone");
    let (link, phone, mut computer, _directory) =
        stage(|config| config.pairing.state_dir = Some(path.clone())).await;
    computer.paired(&link, UDID).await;
    stop(phone, &link).await;
    let mut config = link.config();
    config.pairing.state_dir = Some(path);
    config.pairing.policy = "reject".parse().unwrap();
    let _phone = start(config).await;
    assert_eq!(computer.paired(&link, UDID).await.1.proof, Some(PeerProof::Verified));
}

#[tokio::test]
async fn a_paired_phone_is_announced_for_its_hosts_and_verifies_them_there() {
    let (link, phone, mut computer, _directory) = stage(|_| {}).await;
    let mut browser = Browser::start(BrowseConfig::new(link.host_index(), "_remotepairing._tcp")).unwrap();
    let quiet = timeout(Duration::from_millis(1500), browser.next()).await;
    assert!(quiet.is_err(), "nothing before there is a paired host: {quiet:?}");
    computer.paired(&link, UDID).await;
    let BrowseEvent::Found(found) = timeout(SOON, browser.next()).await.unwrap().unwrap() else {
        panic!("an announcement")
    };
    let text = |key: &str| {
        let prefix = format!("{key}=");
        let strings = found.txt.iter().filter_map(|string| std::str::from_utf8(string).ok());
        strings.filter_map(|string| string.strip_prefix(&prefix)).next().unwrap().to_owned()
    };
    assert_eq!((text("ver"), text("minVer"), text("flags")), ("26".into(), "8".into(), "0".into()));
    let record = computer.record(UDID).unwrap();
    assert!(auth_tag_matches(record.info.alt_irk.unwrap().expose(), &text("identifier"), &text("authTag")));
    assert_ne!(text("identifier"), UDID);

    let wire = network(&link, found.port).await;
    let Start::Ready(_host, welcome) = computer.start(wire, UDID).await.unwrap() else { panic!("ready") };
    assert_eq!(welcome.proof, Some(PeerProof::Verified));
    assert_eq!(welcome.device.unwrap().device, None, "not told on a network");
    assert!(phone.not_sourced().is_empty());
    phone.shutdown().await.unwrap();
    let removed = BrowseEvent::Removed { name: found.name, sender: found.sender };
    assert_eq!(timeout(SOON, browser.next()).await.unwrap().unwrap(), removed);
}

#[tokio::test]
async fn strangers_on_the_network_are_not_paired() {
    let (link, phone, mut computer, _directory) = stage(|_| {}).await;
    let mut browser = Browser::start(BrowseConfig::new(link.host_index(), "_remotepairing._tcp")).unwrap();
    computer.paired(&link, UDID).await;
    let BrowseEvent::Found(found) = timeout(SOON, browser.next()).await.unwrap().unwrap() else {
        panic!("an announcement")
    };
    let directory = tempfile::tempdir().unwrap();
    let mut stranger = Computer::new(directory.path());
    stranger.name = "stranger".to_owned();
    let wire = network(&link, found.port).await;
    match stranger.start(wire, UDID).await {
        Err(HostError::Control(ControlError::PairSetupNotAllowed)) => {}
        other => panic!("{other:?}"),
    }
    assert!(phone.not_sourced().is_empty());
    // One that asks all the same meets what no source tells.
    let mut wire = network(&link, found.port).await;
    wire.send(&support::host::m1("stranger")).await.unwrap();
    assert!(timeout(SOON, wire.next()).await.unwrap().unwrap().is_none(), "it closes");
    assert_eq!(phone.not_sourced().into_iter().collect::<Vec<_>>(), [("pair-setup-over-network", 1)]);
}
