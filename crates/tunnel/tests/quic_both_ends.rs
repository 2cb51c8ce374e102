//! The QUIC transport of iOS 17.0 to 18.1, both ends over loopback.

mod support;

use iosmux_tunnel::Parameters;
use iosmux_tunnel::io::{
    Ended, Options, QuicIdentity, QuicListener, Tunnel, TunnelError, TunnelLink, channel, connect_quic,
};
use iosmux_tunnel::packet::Drop;
use std::net::SocketAddr;
use support::{offer, packet, settled, to_device, to_host};

/// Opens a tunnel: the host, the device.
async fn links(
    host: &QuicIdentity,
    device: &QuicIdentity,
    host_key: Option<&[u8]>,
    device_key: Option<&[u8]>,
) -> (Result<TunnelLink, TunnelError>, Result<TunnelLink, TunnelError>) {
    let address: SocketAddr = "[::1]:0".parse().unwrap();
    let listener = QuicListener::bind(address, device, host_key).unwrap();
    let (address, offer) = (listener.local_addr().unwrap(), offer(16_000));
    tokio::join!(connect_quic(address, host, device_key, 16_000), listener.accept(&offer))
}

fn identities() -> (QuicIdentity, QuicIdentity) {
    (QuicIdentity::generate().unwrap(), QuicIdentity::generate().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_travel_both_ways() {
    let (host_identity, device_identity) = identities();
    let keys = (Some(host_identity.public_key()), Some(device_identity.public_key()));
    let (host, device) = links(&host_identity, &device_identity, keys.0, keys.1).await;
    let (host, device) = (host.unwrap(), device.unwrap());
    let parameters = *host.parameters();
    assert_eq!((parameters.mtu, host.suite()), (1400, None), "an inner MTU that a datagram holds");
    assert_eq!(parameters, *device.parameters());
    let ((host_device, mut host_end), (phone_device, mut phone_end)) = (channel(1000), channel(1000));
    let host = Tunnel::run(host, host_device, Options::default()).unwrap();
    let mut phone = Tunnel::run(device, phone_device, Options::default()).unwrap();
    for seed in 0..200 {
        let length = [40, 1280, 1400][usize::from(seed) % 3];
        assert!(host_end.send(to_device(&parameters, length, seed)).await);
        assert_eq!(phone_end.recv().await.unwrap(), to_device(&parameters, length, seed));
        assert!(phone_end.send(to_host(&parameters, length, seed)).await);
        assert_eq!(host_end.recv().await.unwrap(), to_host(&parameters, length, seed));
    }
    assert_eq!(host.counters().outbound.packets, 200);
    assert_eq!(host.stop().await.unwrap(), Ended::Stopped);
    assert_eq!(phone.ended().await.unwrap(), Ended::PeerClosed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_not_pass_is_dropped_and_counted() {
    let (host_identity, device_identity) = identities();
    let (host, device) = links(&host_identity, &device_identity, None, None).await;
    let (host, device) = (host.unwrap(), device.unwrap());
    let parameters = *host.parameters();
    let ((host_device, host_end), (phone_device, mut phone_end)) = (channel(1000), channel(1000));
    let host = Tunnel::run(host, host_device, Options::default()).unwrap();
    let phone = Tunnel::run(device, phone_device, Options::default()).unwrap();
    let stranger = packet("fd00::9".parse().unwrap(), parameters.server_address, 100, 0);
    let mut longer = to_device(&parameters, 100, 0);
    longer.push(0);
    for bad in [stranger, longer, to_device(&parameters, 1401, 0), vec![0x60; 39], vec![0x45; 100]] {
        assert!(host_end.send(bad).await);
    }
    assert!(host_end.send(to_device(&parameters, 100, 1)).await);
    assert_eq!(phone_end.recv().await.unwrap(), to_device(&parameters, 100, 1));
    settled(&host, |host| host.outbound.dropped_total() == 5).await;
    settled(&phone, |phone| phone.inbound.packets == 1).await;
    assert_eq!(phone.counters().inbound.dropped_total(), 0, "nothing bad was sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_is_not_trusted_either() {
    let (host_identity, device_identity) = identities();
    // The phone believes in another address of its own, and so speaks as a stranger.
    let address: SocketAddr = "[::1]:0".parse().unwrap();
    let listener = QuicListener::bind(address, &device_identity, None).unwrap();
    let (address, offer) = (listener.local_addr().unwrap(), offer(16_000));
    let (host, device) =
        tokio::join!(connect_quic(address, &host_identity, None, 1400), listener.accept(&offer));
    let (host, device) = (host.unwrap(), device.unwrap());
    let parameters = *host.parameters();
    let liar = Parameters { server_address: "fd58:8c92:8961::9".parse().unwrap(), ..parameters };
    let device = device.believing(liar);
    let ((host_device, _host_end), (phone_device, phone_end)) = (channel(1000), channel(1000));
    let host = Tunnel::run(host, host_device, Options::default()).unwrap();
    let _phone = Tunnel::run(device, phone_device, Options::default()).unwrap();
    let spoofed = packet(liar.server_address, parameters.client_address, 100, 0);
    assert!(phone_end.send(spoofed).await);
    settled(&host, |host| host.inbound.dropped(Drop::Source) == 1).await;
}

#[tokio::test]
async fn a_host_with_another_key_is_refused() {
    let (host_identity, device_identity) = identities();
    let (host, device) =
        links(&host_identity, &device_identity, Some(device_identity.public_key()), None).await;
    let error = device.unwrap_err();
    assert!(matches!(error, TunnelError::Quic(_)), "{error}");
    assert!(matches!(host.unwrap_err(), TunnelError::Quic(_)));
}

#[tokio::test]
async fn a_device_with_another_key_is_refused() {
    let (host_identity, device_identity) = identities();
    let address: SocketAddr = "[::1]:0".parse().unwrap();
    let listener = QuicListener::bind(address, &device_identity, None).unwrap();
    let (address, offer) = (listener.local_addr().unwrap(), offer(16_000));
    let expected = Some(host_identity.public_key());
    let (host, device) =
        tokio::join!(connect_quic(address, &host_identity, expected, 1400), listener.accept(&offer));
    assert!(matches!(host.unwrap_err(), TunnelError::Quic(_)));
    assert!(device.is_err());
}

#[tokio::test]
async fn a_certificate_is_made_for_the_key_that_is_given() {
    use openssl::pkey::PKey;
    use openssl::rsa::Rsa;
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let identity = QuicIdentity::from_private_key(&key.private_key_to_pkcs8().unwrap()).unwrap();
    assert_eq!(identity.public_key(), key.public_key_to_der().unwrap());
    let certificate = openssl::x509::X509::from_der(identity.certificate()).unwrap();
    assert!(certificate.verify(&key).unwrap());
    let elliptic = PKey::generate_x25519().unwrap().private_key_to_pkcs8().unwrap();
    assert!(QuicIdentity::from_private_key(&elliptic).is_err());
    assert_eq!(format!("{identity:?}"), "QuicIdentity(secret)");
}

#[tokio::test(start_paused = true)]
async fn a_port_without_a_listener_is_given_up() {
    let silent = std::net::UdpSocket::bind("[::1]:0").unwrap();
    let identity = QuicIdentity::generate().unwrap();
    let error = connect_quic(silent.local_addr().unwrap(), &identity, None, 1400).await.unwrap_err();
    assert!(matches!(error, TunnelError::Timeout { .. } | TunnelError::Quic(_)), "{error}");
}
