//! The peer rules of iOS 27.2 on a real link, and that older versions know none.
#![cfg(feature = "net-tests")]

mod support;

use std::time::Duration;

use iosmux_fakephone::net::{Phone, RSD_PORT};
use iosmux_xpc::rsd::Message;
use iosmux_xpc::rsd::io::Remote;
use support::{Link, SOON, ports, ready, start};
use tokio::time::timeout;
use uuid::Uuid;

const ONE: Uuid = Uuid::from_u128(1);
const TWO: Uuid = Uuid::from_u128(2);

async fn phone(link: &Link, ios: &str) -> Phone {
    let mut config = link.config();
    config.ios = Some(ios.parse().unwrap());
    start(config).await
}

async fn lives(remote: &Remote) -> bool {
    let heartbeat = Message::Heartbeat { sequence_number: 1 }.to_object();
    timeout(SOON, remote.connection.request(heartbeat)).await.expect("an answer or an end").is_ok()
}

async fn refuses(link: &Link, port: u16) -> bool {
    // Listeners close after the Handshake that makes them close was sent, not before.
    timeout(SOON, async {
        while link.connect(port).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .is_ok()
}

#[tokio::test]
async fn before_27_2_connections_of_one_peer_live_side_by_side() {
    let link = Link::with_address();
    let _phone = phone(&link, "27.1").await;
    let first = link.fixed(ONE).await;
    let second = link.fixed(TWO).await;
    assert!(lives(&first).await && lives(&second).await);
    assert_eq!(ports(&first.handshake), ports(&second.handshake));
    link.connect(ports(&first.handshake)[0]).await.unwrap();
}

#[tokio::test]
async fn from_27_2_on_a_new_connection_replaces_the_old_one_on_either_port() {
    let link = Link::with_address();
    let phone = phone(&link, "27.2").await;
    let ready = ready(&phone);
    assert_eq!(ready.derived_keys, ["OSVersion", "HumanReadableProductVersionString"]);
    let first = link.fixed(ONE).await;
    let second = link.rsd(ready.announced_port, ONE).await.unwrap();
    assert!(!lives(&first).await, "replaced");
    assert!(lives(&second).await);
    assert_eq!(ports(&first.handshake), ports(&second.handshake), "one host, one UUID: nothing else changes");
    link.connect(ports(&second.handshake)[0]).await.unwrap();
}

#[tokio::test]
async fn even_a_silent_connection_replaces_the_old_one() {
    let link = Link::with_address();
    let _phone = phone(&link, "27.2").await;
    let first = link.fixed(ONE).await;
    let _silent = link.connect(RSD_PORT).await.unwrap();
    assert!(!lives(&first).await, "replaced before anything was said");
}

#[tokio::test]
async fn a_changed_uuid_closes_every_listener_and_the_next_connection_learns_new_ports() {
    let link = Link::with_address();
    let _phone = phone(&link, "27.2").await;
    let before = ports(&link.fixed(ONE).await.handshake);
    let newcomer = link.fixed(TWO).await;
    assert_eq!(ports(&newcomer.handshake), before, "the Handshake goes out before the newcomer's is read");
    for port in &before {
        assert!(refuses(&link, *port).await, "port {port}");
    }
    let after = ports(&link.fixed(TWO).await.handshake);
    assert_ne!(after, before);
    for port in &after {
        link.connect(*port).await.unwrap();
    }
}
