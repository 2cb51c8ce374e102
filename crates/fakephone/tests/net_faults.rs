//! Each fault on a real link ends in a typed error of our client, in time.
#![cfg(feature = "net-tests")]

mod support;

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use iosmux_fakephone::net::Phone;
use iosmux_mdns::io::{BrowseConfig, Browser};
use iosmux_xpc::io::Error;
use iosmux_xpc::rsd::io::{HandshakeError, Remote};
use iosmux_xpc::rsd::key;
use iosmux_xpc::session::SessionError;
use support::{Link, start};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;
use uuid::Uuid;

const HOST: Uuid = Uuid::from_u128(1);

async fn phone(link: &Link, fault: &str) -> Phone {
    let mut config = link.config();
    config.faults = vec![fault.parse().unwrap()];
    start(config).await
}

/// What our client makes of a phone with this fault, within `limit`.
async fn outcome(fault: &str, limit: Duration) -> Result<Remote, HandshakeError> {
    let link = Link::with_address();
    let phone = phone(&link, fault).await;
    // The neighbour table is filled first: on a new link that alone may take a second.
    assert!(link.connect(1).await.is_err(), "nothing listens there");
    let started = Instant::now();
    let result = link.rsd(support::ready(&phone).rsd_port, HOST).await;
    assert!(started.elapsed() < limit, "{fault} took {:?}: {result:?}", started.elapsed());
    result
}

#[tokio::test]
async fn silent() {
    let error = outcome("silent", Duration::from_secs(1)).await.unwrap_err();
    let HandshakeError::Connection(Error::Session(SessionError::HandshakeTimeout { .. })) = error else {
        panic!("{error:?}")
    };
}

#[tokio::test]
async fn silent_at_the_announced_port_too() {
    let link = Link::with_address();
    let phone = phone(&link, "silent").await;
    let mut stream = link.connect(support::ready(&phone).announced_port).await.unwrap();
    let read = tokio::time::timeout(Duration::from_millis(300), stream.read(&mut [0])).await;
    assert!(read.is_err(), "neither bytes nor an end: {read:?}");
}

#[tokio::test]
async fn reset_after_settings() {
    let error = outcome("reset-after-settings", Duration::from_millis(500)).await.unwrap_err();
    let HandshakeError::Connection(Error::Io(error)) = error else { panic!("{error:?}") };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn slow_and_in_time() {
    let started = Instant::now();
    let remote = outcome("slow:50", Duration::from_secs(1)).await.unwrap();
    assert_eq!(remote.handshake.services.len(), 67);
    assert!(started.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn slow_and_too_late() {
    let error = outcome("slow:3000", Duration::from_secs(1)).await.unwrap_err();
    let HandshakeError::Connection(Error::Session(SessionError::HandshakeTimeout { .. })) = error else {
        panic!("{error:?}")
    };
}

#[tokio::test]
async fn garbage_handshake() {
    let error = outcome("garbage-handshake", Duration::from_millis(500)).await.unwrap_err();
    let HandshakeError::Connection(Error::Session(SessionError::Message { stream: 1, .. })) = error else {
        panic!("{error:?}")
    };
}

#[tokio::test]
async fn oversize_frame() {
    let error = outcome("oversize-frame", Duration::from_millis(500)).await.unwrap_err();
    let HandshakeError::Connection(Error::Session(SessionError::Frame(error))) = error else {
        panic!("{error:?}")
    };
    insta::assert_snapshot!(error);
}

#[tokio::test]
async fn zero_uuid() {
    let remote = outcome("zero-uuid", Duration::from_millis(500)).await.unwrap();
    assert!(remote.handshake.uuid.is_nil());
    assert_eq!(remote.handshake.services.len(), 67);
}

#[tokio::test]
async fn locked() {
    let link = Link::with_address();
    let phone = phone(&link, "locked:2").await;
    for locked in [true, true, false, false] {
        let handshake = link.fixed(HOST).await.handshake;
        let visible = handshake.properties.get(key::SENSITIVE_PROPERTIES_VISIBLE).and_then(|v| v.as_bool());
        assert_eq!(visible, Some(!locked));
        assert_eq!(handshake.properties.get("UniqueDeviceID").is_none(), locked);
        assert_eq!(handshake.services.len(), 67);
    }
    phone.shutdown().await.unwrap();
}

#[tokio::test]
async fn no_announce() {
    let link = Link::with_address();
    let phone = phone(&link, "no-announce").await;
    let mut browser = Browser::start(BrowseConfig::new(link.host_index(), "_remoted._tcp")).unwrap();
    let found = timeout(Duration::from_millis(1500), browser.next()).await;
    assert!(found.is_err(), "{found:?}");
    assert_eq!(link.fixed(HOST).await.handshake.services.len(), 67);
    phone.shutdown().await.unwrap();
}
