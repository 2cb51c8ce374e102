//! Interfaces that are made, changed and deleted while they are followed.
#![cfg(feature = "net-tests")]
#![allow(missing_docs)]

use std::process::Command;
use std::time::{Duration, Instant};

use iosmux_link::{Change, Interface, Interfaces, Kind, Selection};
use tokio::time::timeout;

/// Far longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(10);

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("iproute2's ip starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "ip {arguments}: {said}; run it as `unshare -Urn cargo test -p iosmux-link --features net-tests`"
    );
}

/// A pair that is down and without addresses; `name` tells tests apart.
fn pair(name: &str) -> (String, String) {
    let (near, far) = (format!("{name}-near"), format!("{name}-far"));
    ip(&format!("link add {near} type veth peer name {far}"));
    for end in [&near, &far] {
        ip(&format!("link set {end} addrgenmode none"));
    }
    (near, far)
}

fn named<'a>(interfaces: &'a Interfaces, name: &str) -> Option<&'a Interface> {
    interfaces.current().iter().find(|interface| interface.name == name)
}

/// Follows until the interface is so; gives it.
async fn until(interfaces: &mut Interfaces, name: &str, so: impl Fn(&Interface) -> bool) -> Interface {
    let wait = async {
        loop {
            if let Some(interface) = named(interfaces, name).filter(|interface| so(interface)) {
                return interface.clone();
            }
            interfaces.changed().await;
        }
    };
    timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("{name} never became so"))
}

async fn from_made_to_deleted(mut interfaces: Interfaces, name: &str) {
    let (near, far) = pair(name);
    let made = until(&mut interfaces, &near, |_| true).await;
    assert_eq!((made.up, made.running, made.kind), (false, false, Kind::Shared));
    assert_eq!(made.missing(), Some("it is down"));
    ip(&format!("link set {near} up"));
    let up = until(&mut interfaces, &near, |interface| interface.up).await;
    assert_eq!(up.missing(), Some("it has no carrier"), "the far end is down");
    ip(&format!("link set {far} up"));
    until(&mut interfaces, &near, |interface| interface.running).await;
    ip(&format!("address add fe80::1/64 dev {near} nodad"));
    let usable = until(&mut interfaces, &near, Interface::is_usable).await;
    assert_eq!(usable.addresses, ["fe80::1".parse::<std::net::Ipv6Addr>().unwrap()]);
    assert_eq!(usable.index, made.index);

    ip(&format!("link set {far} down"));
    let lost = until(&mut interfaces, &near, |interface| !interface.running).await;
    assert!(lost.up && !lost.is_usable());

    ip(&format!("link delete {near}"));
    let gone = async {
        loop {
            let changes = interfaces.changed().await;
            if changes.iter().any(|change| matches!(change, Change::Vanished(one) if one.name == near)) {
                return;
            }
        }
    };
    timeout(DEADLINE, gone).await.expect("it vanishes");
    assert_eq!(named(&interfaces, &near), None);
    pair(name);
    let again = until(&mut interfaces, &near, |_| true).await;
    assert_ne!(again.index, made.index, "another interface of the same name");
}

#[tokio::test]
async fn an_interface_is_followed_by_netlink() {
    from_made_to_deleted(Interfaces::follow().await, "netlink").await;
}

#[tokio::test]
async fn an_interface_is_followed_by_polling() {
    from_made_to_deleted(Interfaces::poll().await, "polling").await;
}

#[tokio::test]
async fn a_tentative_address_is_not_usable_yet() {
    let (near, far) = pair("dad");
    let mut interfaces = Interfaces::follow().await;
    for end in [&near, &far] {
        ip(&format!("link set {end} up"));
    }
    until(&mut interfaces, &near, |interface| interface.running).await;
    let began = Instant::now();
    ip(&format!("address add fe80::2/64 dev {near}"));
    until(&mut interfaces, &near, Interface::is_usable).await;
    assert!(began.elapsed() > Duration::from_millis(800), "duplicate-address detection takes a second");
}

#[tokio::test]
async fn tunnels_and_ports_of_bridges_are_told_apart() {
    let (near, _far) = pair("kinds");
    ip("link add kinds-br type bridge");
    ip(&format!("link set {near} master kinds-br"));
    ip("tuntap add dev kinds-tun mode tun");
    ip("tuntap add dev kinds-tap mode tap");
    let interfaces = Interfaces::follow().await;
    let of = |name: &str| named(&interfaces, name).expect(name);
    assert_eq!(of("lo").kind, Kind::Loopback);
    assert_eq!(of("kinds-br").kind, Kind::Shared);
    assert_eq!(of(&near).kind, Kind::Port);
    assert_eq!(of("kinds-tun").kind, Kind::PointToPoint);
    assert_eq!(of("kinds-tap").kind, Kind::Shared);
    let chosen = |name: &str| Selection::AllButTunnels.chooses(of(name));
    assert_eq!(
        ["lo", "kinds-br", &near, "kinds-tun", "kinds-tap"].map(chosen),
        [false, true, false, false, true]
    );
}

/// However often it goes up and down, the kernel is asked four times a second.
#[tokio::test]
async fn an_interface_that_flaps_costs_little() {
    let (near, _far) = pair("flap");
    let mut interfaces = Interfaces::follow().await;
    let flapping = tokio::task::spawn_blocking({
        let near = near.clone();
        move || {
            let began = Instant::now();
            while began.elapsed() < Duration::from_secs(2) {
                ip(&format!("link set {near} up"));
                ip(&format!("link set {near} down"));
            }
        }
    });
    let mut looks = 0;
    while !flapping.is_finished() {
        if timeout(Duration::from_millis(500), interfaces.changed()).await.is_ok() {
            looks += 1;
        }
    }
    flapping.await.unwrap();
    assert!((1..=11).contains(&looks), "{looks} changes in two seconds");
    until(&mut interfaces, &near, |interface| !interface.up).await;
}
