//! Tunnels of our host to the phone, over both transports: what is inside, who may enter, and what is left after.
#![cfg(feature = "net-tests")]

mod support;

use std::time::Duration;

use iosmux_fakephone::lockdown::{Message as LockdownMessage, encode, read_message};
use iosmux_fakephone::net::{Error, Phone, PhoneLimits, Visits};
use iosmux_pairing::control::host::{PeerProof, WishedTransport};
use iosmux_pairing::io::host::Host;
use iosmux_pairing::io::wire::RemoteXpc;
use iosmux_tunnel::TCP_MTU;
use iosmux_tunnel::io::{Ended, QuicIdentity, TunError, TunnelError, connect_tcp};
use support::far::{FarLink, host_tunnels};
use support::host::{Computer, Open, listener, quic, tcp, until};
use support::{SOON, TRUSTED, UNTRUSTED, catalogue};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use uuid::Uuid;

const UDID: &str = "00008020-0000000000001234";

struct Stage {
    far: FarLink,
    phone: Phone,
    computer: Computer,
    _directory: TempDir,
}

impl Stage {
    async fn new(ios: &str) -> Stage {
        let far = FarLink::new();
        let ios = ios.parse().unwrap();
        let phone = far
            .usual_phone(|config| {
                config.ios = Some(ios);
                config.pairing.consent_delay = Duration::from_millis(30);
                config.limits = PhoneLimits { tunnels: 2, ..PhoneLimits::default() };
            })
            .await;
        let directory = tempfile::tempdir().unwrap();
        let computer = Computer::new(directory.path());
        Stage { far, phone, computer, _directory: directory }
    }

    async fn host(&mut self) -> Host<RemoteXpc> {
        self.computer.paired(&self.far.link, UDID).await.0
    }

    async fn phone_has(&self, interfaces: usize) {
        let has = || async { self.far.other_interfaces().await.len() == interfaces };
        until(&format!("the phone has {interfaces} interfaces"), has).await;
    }
}

/// The trusted RSD, and lockdownd on one of its services.
async fn assert_trusted_inside(open: &Open) {
    let inside = open.handshake().await;
    let captured = catalogue(TRUSTED);
    let names = |services: &iosmux_xpc::rsd::Services| {
        services.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&inside.services), names(&captured.services));
    assert_eq!(inside.properties.get("UniqueDeviceID"), captured.properties.get("UniqueDeviceID"));
    let port = inside.services.get("com.apple.mobile.lockdown.remote.trusted").unwrap().port;
    let mut lockdown = open.connect(port).await.unwrap();
    let check_in = LockdownMessage::from_iter([("Request", "RSDCheckin")]);
    lockdown.write_all(&encode(check_in).unwrap()).await.unwrap();
    let answer = read_message(&mut lockdown, SOON).await.unwrap().unwrap();
    assert_eq!(answer.get("Request").and_then(|value| value.as_string()), Some("RSDCheckin"));
}

#[tokio::test]
async fn a_tcp_tunnel_has_the_trusted_catalogue_inside_and_leaves_nothing() {
    let mut stage = Stage::new("17.0.3").await;
    let on_link = stage.far.link.fixed(Uuid::from_u128(1)).await.handshake;
    assert_eq!(on_link.services.len(), catalogue(UNTRUSTED).services.len());
    let mut host = stage.host().await;
    let open = tcp(&stage.far.link, &mut host).await;
    assert_eq!(open.suite, Some("PSK-AES256-GCM-SHA384"));
    let parameters = *open.tunnel.parameters();
    assert_eq!(parameters.mtu, TCP_MTU);
    assert!(parameters.server_address.is_unique_local());
    let interfaces = stage.far.other_interfaces().await;
    assert!(matches!(&interfaces[..], [name] if name.starts_with("rsd")), "{interfaces:?}");
    let addresses = stage.far.ip("-6 address show").await;
    assert!(addresses.contains(&parameters.server_address.to_string()), "{addresses}");
    let links = stage.far.ip("link show").await;
    assert!(links.contains("mtu 16000"), "{links}");
    // The control channel may go: the tunnel is another connection.
    host.close().await;
    assert_trusted_inside(&open).await;
    // The tunnel service on the link, and lockdownd in the tunnel.
    let expected = Visits { rsd_on_link: 2, rsd_in_tunnel: 1, services: 2 };
    assert_eq!(*stage.phone.visits().borrow(), expected);
    assert_eq!(open.tunnel.stop().await.unwrap(), Ended::Stopped);
    stage.phone_has(0).await;
    let stale = stage.far.ip("-6 route show").await;
    assert!(!stale.contains("rsd"), "{stale}");
    assert!(stage.phone.not_sourced().is_empty(), "{:?}", stage.phone.not_sourced());
}

#[tokio::test]
async fn a_quic_tunnel_likewise() {
    let mut stage = Stage::new("17.0.3").await;
    let mut host = stage.host().await;
    let open = quic(&stage.far.link, &mut host).await;
    assert!(open.tunnel.parameters().mtu <= 1400);
    assert_trusted_inside(&open).await;
    open.tunnel.stop().await.unwrap();
    stage.phone_has(0).await;
}

#[tokio::test]
async fn a_verified_host_opens_a_tunnel_without_pairing_again() {
    let mut stage = Stage::new("17.0.3").await;
    let link = &stage.far.link;
    stage.computer.paired(link, UDID).await.0.close().await;
    let (mut host, welcome) = stage.computer.paired(link, UDID).await;
    assert_eq!((welcome.paired, welcome.proof), (false, Some(PeerProof::Verified)));
    assert_trusted_inside(&tcp(link, &mut host).await).await;
}

#[tokio::test]
async fn several_tunnels_live_beside_each_other_up_to_the_limit() {
    let mut stage = Stage::new("17.0.3").await;
    let link = &stage.far.link;
    let mut host = stage.computer.paired(link, UDID).await.0;
    let first = tcp(link, &mut host).await;
    let second = tcp(link, &mut host).await;
    assert_ne!(first.rsd().ip(), second.rsd().ip());
    assert_trusted_inside(&first).await;
    assert_trusted_inside(&second).await;
    let third = listener(&mut host, WishedTransport::Tcp).await;
    assert!(third.is_err(), "{third:?}");
    first.tunnel.stop().await.unwrap();
    stage.phone_has(1).await;
    assert_trusted_inside(&second).await;
    let mut host = stage.computer.paired(link, UDID).await.0;
    tcp(link, &mut host).await;
}

#[tokio::test]
async fn only_who_has_the_key_enters_and_only_one() {
    let mut stage = Stage::new("17.0.3").await;
    let link = &stage.far.link;
    let mut host = stage.computer.paired(link, UDID).await.0;
    let (answer, psk) = listener(&mut host, WishedTransport::Tcp).await.unwrap();
    let guess = connect_tcp(link.connect(answer.port).await.unwrap(), &[7; 32], TCP_MTU).await;
    assert!(matches!(guess, Err(TunnelError::Tls(_))), "{guess:?}");
    // Another address of the same link is another computer.
    link.add_host_address(0xfe);
    let mut other = link.connect_from(0xfe, answer.port).await.unwrap();
    assert_eq!(timeout(SOON, other.read(&mut [0])).await.unwrap().unwrap_or(0), 0, "turned away");
    let stream = link.connect_from(0xff, answer.port).await.unwrap();
    let right = connect_tcp(stream, &psk.unwrap(), TCP_MTU).await;
    assert!(right.is_ok(), "{right:?}");
    let closed = || async { link.connect(answer.port).await.is_err() };
    until("the port is closed", closed).await;
}

#[tokio::test]
async fn the_end_of_the_link_is_the_end_of_its_tunnels() {
    let mut stage = Stage::new("17.0.3").await;
    let mut host = stage.host().await;
    let _open = tcp(&stage.far.link, &mut host).await;
    stage.phone_has(1).await;
    let end = stage.far.link.phone_end();
    stage.far.run(move || async move { support::ip(&["address", "flush", "dev", &end]) }).await;
    stage.phone_has(0).await;
}

#[tokio::test]
async fn a_phone_that_stops_takes_its_tunnels_along() {
    let mut stage = Stage::new("17.0.3").await;
    let mut host = stage.host().await;
    let mut open = tcp(&stage.far.link, &mut host).await;
    let phone = stage.phone;
    stage.far.run(move || async move { phone.shutdown().await.unwrap() }).await;
    let ended = timeout(SOON, open.tunnel.ended()).await.unwrap();
    assert!(ended.is_err() || ended.is_ok_and(|ended| ended == Ended::PeerClosed));
    drop(open);
    let gone = || async { host_tunnels().is_empty() && stage.far.other_interfaces().await.is_empty() };
    until("no interface is left", gone).await;
}

#[tokio::test]
async fn ios_18_2_has_no_quic_and_what_it_answers_is_not_known() {
    let mut stage = Stage::new("18.2").await;
    let mut host = stage.host().await;
    let identity = QuicIdentity::generate().unwrap();
    let wish = WishedTransport::Quic { public_key: identity.public_key().to_vec() };
    assert!(listener(&mut host, wish).await.is_err());
    let counted = || async { stage.phone.not_sourced().get("quic-after-removal") == Some(&1) };
    until("the gap is counted", counted).await;
    let mut host = stage.host().await;
    assert_trusted_inside(&tcp(&stage.far.link, &mut host).await).await;
}

#[tokio::test]
async fn the_tunnel_service_inside_a_tunnel_is_not_known() {
    let mut stage = Stage::new("17.0.3").await;
    let mut host = stage.host().await;
    let open = tcp(&stage.far.link, &mut host).await;
    let port = open.handshake().await.services.get(support::host::TUNNEL_SERVICE).unwrap().port;
    let stream = open.connect(port).await.unwrap();
    let wire = RemoteXpc::connect(stream, support::impatient()).await.unwrap();
    assert!(stage.computer.start(wire, UDID).await.is_err());
    assert_eq!(stage.phone.not_sourced().get("tunnel-service-in-tunnel"), Some(&1));
}

#[tokio::test]
async fn a_computer_without_tun_is_named_where_the_phone_is_awaited() {
    let far = FarLink::without_tun().await;
    let phone = far.usual_phone(|_| {}).await;
    let directory = tempfile::tempdir().unwrap();
    let mut computer = Computer::new(directory.path());
    let mut host = computer.paired(&far.link, UDID).await.0;
    let (answer, psk) = listener(&mut host, WishedTransport::Tcp).await.unwrap();
    let stream = far.link.connect(answer.port).await.unwrap();
    let _tunnel = connect_tcp(stream, &psk.unwrap(), TCP_MTU).await;
    let ended = far.run(move || async move { phone.run(std::future::pending()).await }).await;
    let error = ended.unwrap_err();
    assert!(matches!(&error, Error::Tun(TunError::Open { .. })), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("/dev/net/tun") && text.contains("load the kernel's tun module"), "{text}");
}
