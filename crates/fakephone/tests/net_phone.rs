//! A phone on a real link: what it announces, what listens, and what a replug changes.
#![cfg(feature = "net-tests")]

mod support;

use std::time::Duration;

use iosmux_fakephone::lockdown::{Message as LockdownMessage, encode, read_message};
use iosmux_fakephone::net::{PhoneLimits, RSD_PORT};
use iosmux_mdns::browser::BrowseEvent;
use iosmux_mdns::io::{BrowseConfig, Browser};
use iosmux_xpc::io::Connection;
use iosmux_xpc::rsd::{Handshake, Message};
use iosmux_xpc::session::SessionConfig;
use support::{Link, SOON, TRUSTED, UNTRUSTED, catalogue, ports, ready, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use uuid::Uuid;

const HOST: Uuid = Uuid::from_u128(1);

#[tokio::test]
async fn both_rsd_ports_tell_the_catalogue_with_ports_that_listen() {
    let link = Link::with_address();
    let phone = link.phone().await;
    let ready = ready(&phone);
    assert_eq!((ready.rsd_port, ready.services, ready.derived), (RSD_PORT, 67, false));
    assert_eq!(ready.address, format!("{}%{}", link.address(1), link.phone_end()));
    let captured = catalogue(TRUSTED);
    let mut expected = captured.handshake(captured.uuid.unwrap());
    let mut known = Vec::new();
    for port in [RSD_PORT, ready.announced_port] {
        let theirs = link.rsd(port, HOST).await.unwrap().handshake;
        for (name, service) in expected.services.iter_mut() {
            service.port = theirs.services.get(name).unwrap().port;
        }
        assert_eq!(theirs, expected, "only the ports differ from what was captured");
        known.push(ports(&theirs));
    }
    assert_eq!(known[0], known[1], "one attach, one set of ports");
    assert_ne!(known[0], ports(&captured.handshake(HOST)));
    for port in &known[0] {
        link.connect(*port).await.unwrap();
    }
    phone.shutdown().await.unwrap();
    assert!(link.connect(RSD_PORT).await.is_err(), "nothing listens after the shutdown");
}

#[tokio::test]
async fn it_is_announced_and_says_goodbye() {
    let link = Link::with_address();
    let phone = link.phone().await;
    let config = BrowseConfig::new(link.host_index(), "_remoted._tcp");
    let mut browser = Browser::start(config).unwrap();
    let BrowseEvent::Found(found) = timeout(SOON, browser.next()).await.unwrap().unwrap() else {
        panic!("an instance is found first")
    };
    assert_eq!((found.name.as_str(), found.host.as_str()), ("ncm", "iPhone-001234.local"));
    assert_eq!(found.port, ready(&phone).announced_port);
    assert_eq!(found.addresses, [link.at(1, found.port)]);
    phone.shutdown().await.unwrap();
    let event = timeout(SOON, browser.next()).await.unwrap().unwrap();
    assert_eq!(event, BrowseEvent::Removed { name: "ncm".to_owned(), sender: found.sender });
}

#[tokio::test]
async fn an_untrusted_catalogue_is_all_that_the_link_offers() {
    let link = Link::with_address();
    let mut config = link.config();
    config.untrusted_catalogue = Some(catalogue(UNTRUSTED));
    let phone = start(config).await;
    assert_eq!(ready(&phone).derived_keys, ["Services"]);
    let theirs = link.fixed(HOST).await.handshake;
    let names: Vec<&str> = theirs.services.names().collect();
    let untrusted = catalogue(UNTRUSTED);
    assert_eq!(names, untrusted.services.names().collect::<Vec<_>>());
    assert_eq!(theirs.properties, catalogue(TRUSTED).properties);
}

#[tokio::test]
async fn another_address_is_another_attach_with_other_ports() {
    let link = Link::with_address();
    let phone = link.phone().await;
    let mut attaches = phone.attaches();
    let before = ready(&phone);
    let theirs = link.fixed(HOST).await.handshake;
    link.remove_address(1);
    timeout(SOON, attaches.wait_for(Option::is_none)).await.unwrap().unwrap();
    link.add_address(1);
    timeout(SOON, attaches.wait_for(Option::is_some)).await.unwrap().unwrap();
    assert_ne!(ready(&phone).announced_port, before.announced_port);
    for port in ports(&theirs) {
        assert!(link.connect(port).await.is_err(), "port {port} of the attach before refuses");
    }
    let now = link.fixed(HOST).await.handshake;
    assert_eq!(now.uuid, theirs.uuid, "the phone is the same");
    assert_ne!(ports(&now), ports(&theirs));
}

#[tokio::test]
async fn a_netdev_that_comes_back_under_its_name_is_found_again() {
    let link = Link::new();
    let mut phone = tokio::spawn(support::start(link.config()));
    let early = timeout(Duration::from_millis(300), &mut phone).await;
    assert!(early.is_err(), "without an address it waits");
    link.add_address(1);
    let phone = phone.await.unwrap();
    let mut attaches = phone.attaches();
    let mut old = link.fixed(HOST).await;
    link.unplug();
    timeout(SOON, attaches.wait_for(Option::is_none)).await.unwrap().unwrap();
    link.plug();
    link.add_address(1);
    timeout(SOON, attaches.wait_for(Option::is_some)).await.unwrap().unwrap();
    let new = link.fixed(HOST).await;
    assert_eq!(new.handshake.uuid, old.handshake.uuid);
    let ended = timeout(Duration::from_millis(200), old.events.next()).await;
    // There was no link left to say it on; the old connection must at least not have become the new one.
    assert!(!matches!(ended, Ok(Some(Ok(_)))), "{ended:?}");
    phone.shutdown().await.unwrap();
}

#[tokio::test]
async fn lockdownd_and_the_tunnel_service_answer_at_their_ports() {
    let link = Link::with_address();
    let phone = link.phone().await;
    let theirs = link.fixed(HOST).await.handshake;
    let port = |name: &str| theirs.services.get(name).unwrap().port;
    for name in ["com.apple.mobile.lockdown.remote.trusted", "com.apple.mobile.lockdown.remote.untrusted"] {
        let mut stream = link.connect(port(name)).await.unwrap();
        for request in ["RSDCheckin", "GetValue"] {
            let message = LockdownMessage::from_iter([("Request", request)]);
            stream.write_all(&encode(message).unwrap()).await.unwrap();
        }
        let mut last = LockdownMessage::new();
        for _ in 0..3 {
            last = read_message(&mut stream, SOON).await.unwrap().unwrap();
        }
        let values = last.get("Value").and_then(|value| value.as_dictionary()).unwrap();
        assert_eq!(values.get("ProductVersion").and_then(|value| value.as_string()), Some("17.0.3"));
    }
    let tunnel =
        link.connect(port("com.apple.internal.dt.coredevice.untrusted.tunnelservice")).await.unwrap();
    let (_connection, mut events) = Connection::client(tunnel, SessionConfig::default());
    let greeting = timeout(SOON, events.next_message()).await.unwrap().unwrap().object();
    assert_eq!(greeting.get("ServiceVersion").and_then(|version| version.as_u64()), Some(2));
    assert!(phone.not_sourced().is_empty(), "{:?}", phone.not_sourced());
}

#[tokio::test]
async fn rsd_messages_are_answered_and_what_is_not_sourced_is_counted() {
    let link = Link::with_address();
    let phone = link.phone().await;
    let mut remote = link.fixed(HOST).await;
    let heartbeat = Message::Heartbeat { sequence_number: 1 };
    let reply = timeout(SOON, remote.connection.request(heartbeat.to_object())).await.unwrap().unwrap();
    assert_eq!(Message::from_object(&reply.object()).unwrap(), heartbeat);
    let reply = timeout(SOON, remote.connection.request(Message::Reset.to_object())).await.unwrap().unwrap();
    assert_eq!(Message::from_object(&reply.object()).unwrap(), Message::Result("Ok".to_owned()));
    let start_tls = Message::StartTls { yes_no: true, tls_policy: 3 };
    let silence = timeout(Duration::from_millis(300), remote.connection.request(start_tls.to_object())).await;
    assert!(silence.is_err(), "StartTls gets no answer");
    assert_eq!(phone.not_sourced().into_iter().collect::<Vec<_>>(), [("rsd-start-tls", 1)]);
    let quiet = timeout(Duration::from_millis(50), remote.events.next()).await;
    assert!(quiet.is_err(), "and the connection lives: {quiet:?}");
}

#[tokio::test]
async fn a_client_without_a_handshake_of_its_own_gets_one_too() {
    let link = Link::with_address();
    let _phone = link.phone().await;
    let stream = link.connect(RSD_PORT).await.unwrap();
    let remote = iosmux_xpc::rsd::io::handshake(stream, None, support::impatient()).await.unwrap();
    assert_eq!(remote.handshake.services.len(), 67);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_the_others_live() {
    let link = Link::with_address();
    let mut config = link.config();
    config.limits = PhoneLimits { connections: 3, ..PhoneLimits::default() };
    let _phone = start(config).await;
    let first = link.fixed(HOST).await;
    let idle = [link.connect(RSD_PORT).await.unwrap(), link.connect(RSD_PORT).await.unwrap()];
    let mut refused = link.connect(RSD_PORT).await.unwrap();
    assert_eq!(timeout(SOON, refused.read(&mut [0])).await.unwrap().unwrap(), 0);
    let heartbeat = Message::Heartbeat { sequence_number: 1 }.to_object();
    timeout(SOON, first.connection.request(heartbeat)).await.unwrap().unwrap();
    drop(idle);
    // The places are free as soon as the phone has seen the ends.
    let again = timeout(SOON, async {
        loop {
            if let Ok(remote) = link.rsd(RSD_PORT, HOST).await {
                return remote;
            }
        }
    });
    assert_eq!(again.await.unwrap().handshake.services.len(), 67);
}

#[tokio::test]
async fn hostile_clients_do_not_keep_an_honest_one_from_its_handshake() {
    let link = Link::with_address();
    let _phone = link.phone().await;
    let mut hostile = Vec::new();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 4096], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        for _ in 0..10 {
            let mut stream = link.connect(RSD_PORT).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            hostile.push(stream);
        }
    }
    let theirs: Handshake = link.fixed(HOST).await.handshake;
    assert_eq!(theirs.services.len(), 67);
    for stream in &mut hostile[..20] {
        let mut rest = Vec::new();
        // Closed in whatever way, but closed.
        let _ = timeout(SOON, stream.read_to_end(&mut rest)).await.unwrap();
    }
}
