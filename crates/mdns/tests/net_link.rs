//! Real sockets on a pair of interfaces, with announcer and browser on its two ends.
#![cfg(feature = "net-tests")]
#![allow(missing_docs)]

#[path = "support/link.rs"]
mod link;
mod support;

use std::{
    net::{Ipv6Addr, SocketAddrV6},
    time::{Duration, Instant},
};

use iosmux_mdns::{
    GROUP, Limits, PORT, Service,
    browser::{BrowseEvent, BrowseMode, Instance},
    codec,
    io::{AnnounceConfig, Announcer, BrowseConfig, Browser},
    message::{Kind, Message, Question},
    name::Name,
};
use link::{End, Pair, ip, pair};
use tokio::{net::UdpSocket, time::timeout};

/// Far longer than anything here takes; a test that waits for nothing waits this long.
const DEADLINE: Duration = Duration::from_secs(10);

fn ncm(phone: &End, port: u16) -> Service {
    support::ncm(port, &phone.address.to_string())
}

fn announce(phone: &End, port: u16) -> Announcer {
    Announcer::start(AnnounceConfig::new(phone.index, ncm(phone, port))).unwrap()
}

fn browse(host: &End, mode: BrowseMode) -> Browser {
    Browser::start(BrowseConfig { mode, ..BrowseConfig::new(host.index, "_remoted._tcp") }).unwrap()
}

async fn next(browser: &mut Browser) -> BrowseEvent {
    timeout(DEADLINE, browser.next()).await.expect("no event in time").expect("the browser ended")
}

async fn found(browser: &mut Browser) -> Instance {
    match next(browser).await {
        BrowseEvent::Found(instance) => instance,
        other => panic!("Found was expected, {other:?} came"),
    }
}

fn assert_is_ncm(instance: &Instance, pair: &Pair, port: u16) {
    assert_eq!((instance.name.as_str(), instance.host.as_str()), ("ncm", "iPhone15-Pro.local"));
    assert_eq!(instance.port, port);
    // The phone's address, with the host's interface as its scope.
    assert_eq!(instance.addresses, [SocketAddrV6::new(pair.phone.address, port, 0, pair.host.index)]);
}

#[tokio::test]
async fn each_mode_finds_a_phone_that_announced_long_ago() {
    let pair = pair(1);
    let announcer = announce(&pair.phone, 55109);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    for mode in [BrowseMode::OneShot, BrowseMode::Shared, BrowseMode::Both] {
        let start = Instant::now();
        let instance = found(&mut browse(&pair.host, mode)).await;
        assert_is_ncm(&instance, &pair, 55109);
        assert!(start.elapsed() < Duration::from_secs(2), "{mode:?} took {:?}", start.elapsed());
    }
    announcer.shutdown().await;
}

#[tokio::test]
async fn found_updated_and_removed_as_the_phone_comes_changes_and_goes() {
    let pair = pair(2);
    let mut browser = browse(&pair.host, BrowseMode::Both);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let announcer = announce(&pair.phone, 55109);
    assert_is_ncm(&found(&mut browser).await, &pair, 55109);

    let second: Ipv6Addr = "fd00::2:99".parse().unwrap();
    announcer.refresh(vec![second]);
    loop {
        let BrowseEvent::Updated(instance) = next(&mut browser).await else { panic!("Updated was expected") };
        let addresses: Vec<_> = instance.addresses.iter().map(|address| *address.ip()).collect();
        assert_eq!(addresses[0], second, "the new address comes first");
        if addresses.len() == 1 {
            break;
        }
    }

    let start = Instant::now();
    announcer.shutdown().await;
    let removed = BrowseEvent::Removed { name: "ncm".into(), sender: pair.phone.address };
    assert_eq!(next(&mut browser).await, removed);
    let took = start.elapsed();
    assert!(took > Duration::from_millis(900) && took < Duration::from_secs(2), "a goodbye took {took:?}");
}

#[tokio::test]
async fn other_links_are_not_heard() {
    let (here, elsewhere) = (pair(3), pair(4));
    let _announcer = announce(&elsewhere.phone, 55109);
    let mut browser = browse(&here.host, BrowseMode::Both);
    let mut control = browse(&elsewhere.host, BrowseMode::Both);
    assert_is_ncm(&found(&mut control).await, &elsewhere, 55109);
    assert!(timeout(Duration::from_secs(2), browser.next()).await.is_err());
}

#[tokio::test]
async fn port_5353_is_shared_with_others_on_both_ends() {
    let pair = pair(5);
    // Two more browsers and a second announcer hold the port as well.
    let (mut first, mut second) =
        (browse(&pair.host, BrowseMode::Shared), browse(&pair.host, BrowseMode::Shared));
    let other = Service { instance: "other".into(), host: "other.local".into(), ..ncm(&pair.phone, 1) };
    let _other = Announcer::start(AnnounceConfig::new(pair.phone.index, other)).unwrap();
    let _announcer = announce(&pair.phone, 55109);
    let mut third = browse(&pair.host, BrowseMode::Both);
    for browser in [&mut first, &mut second, &mut third] {
        let mut names = [found(browser).await.name, found(browser).await.name];
        names.sort();
        assert_eq!(names, ["ncm", "other"]);
    }
}

/// Exactly what frida sends: PTR, QU, from an ephemeral port; it looks at nothing but the sender of the answer.
#[tokio::test]
async fn a_probe_from_an_ephemeral_port_is_answered_by_unicast() {
    let pair = pair(6);
    let _announcer = announce(&pair.phone, 55109);
    let socket = UdpSocket::bind("[::]:0").await.unwrap();
    let name = Name::parse("_remoted._tcp.local").unwrap();
    let question = Question { unicast: true, ..Question::new(name, Kind::Ptr) };
    let query = Message { id: 0x4d32, questions: vec![question], ..Message::default() };
    let bytes = codec::encode(&query, &Limits::default()).unwrap();
    let group = SocketAddrV6::new(GROUP, PORT, 0, pair.host.index);
    socket.send_to(&bytes, group).await.unwrap();
    let mut buffer = [0; 2000];
    let (length, from) = timeout(DEADLINE, socket.recv_from(&mut buffer)).await.unwrap().unwrap();
    assert_eq!(from, SocketAddrV6::new(pair.phone.address, PORT, 0, pair.host.index).into());
    let answer = codec::decode(&buffer[..length], &Limits::default()).unwrap();
    assert_eq!((answer.id, answer.questions.len(), answer.answers.len()), (0x4d32, 1, 1));
    assert!(answer.answers.iter().chain(&answer.additionals).all(|record| record.ttl <= 10 && !record.flush));
}

#[tokio::test]
async fn a_link_that_is_down_and_comes_up_is_asked_again() {
    let pair = pair(7);
    let _announcer = announce(&pair.phone, 55109);
    ip(&["link", "set", &pair.host.name, "down"]);
    let mut browser = browse(&pair.host, BrowseMode::Both);
    assert!(timeout(Duration::from_millis(700), browser.next()).await.is_err());
    ip(&["link", "set", &pair.host.name, "up"]);
    ip(&["address", "add", &format!("{}/64", pair.host.address), "dev", &pair.host.name, "nodad"]);
    let start = Instant::now();
    assert_is_ncm(&found(&mut browser).await, &pair, 55109);
    assert!(start.elapsed() < Duration::from_secs(3), "found {:?} after the link came up", start.elapsed());
}

#[tokio::test]
async fn a_browser_ends_when_its_interface_is_gone() {
    let pair = pair(8);
    let announcer = announce(&pair.phone, 55109);
    let mut browser = browse(&pair.host, BrowseMode::Both);
    found(&mut browser).await;
    ip(&["link", "delete", &pair.host.name]);
    browser.restart();
    let end = async { while browser.next().await.is_some() {} };
    timeout(DEADLINE, end).await.expect("the browser did not end");
    // And a goodbye that can't be sent doesn't hang.
    timeout(Duration::from_secs(3), announcer.shutdown()).await.expect("the announcer hangs");
}

#[tokio::test]
async fn dropping_both_frees_the_port() {
    let pair = pair(9);
    let announcer = announce(&pair.phone, 55109);
    let mut browser = browse(&pair.host, BrowseMode::Both);
    found(&mut browser).await;
    drop(browser);
    drop(announcer);
    // The other tests hold 5353 as well; what must go is what is bound on this link: its group membership.
    let members = || ip(&["-6", "maddress", "show", "dev", &pair.host.name]);
    let start = Instant::now();
    while members().contains("ff02::fb") {
        assert!(start.elapsed() < DEADLINE, "still a member: {}", members());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
