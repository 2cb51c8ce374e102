//! Both ends of a tunnel in one process.
#![allow(dead_code, reason = "each test uses some of it")]

use iosmux_tunnel::io::{
    Suite, Tunnel, TunnelCounters, TunnelError, TunnelLink, accept_tcp_with, connect_tcp_with,
};
use iosmux_tunnel::{DeviceParameters, Parameters};
use std::net::Ipv6Addr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// The key of both ends.
pub(crate) const KEY: [u8; 32] = [0x42; 32];

/// What the device of these tests offers.
pub(crate) fn offer(max_mtu: u16) -> DeviceParameters {
    DeviceParameters {
        server_address: "fd58:8c92:8961::1".parse().unwrap(),
        server_rsd_port: 56307,
        client_address: "fd58:8c92:8961::2".parse().unwrap(),
        max_mtu,
    }
}

/// An IPv6 packet of `length` bytes in all, its payload made from `seed`.
pub(crate) fn packet(source: Ipv6Addr, destination: Ipv6Addr, length: usize, seed: u8) -> Vec<u8> {
    let mut packet = vec![seed; length];
    packet[..8].copy_from_slice(&[0x60, 0, 0, 0, 0, 0, 59, 64]);
    packet[4..6].copy_from_slice(&u16::try_from(length - 40).unwrap().to_be_bytes());
    packet[8..24].copy_from_slice(&source.octets());
    packet[24..40].copy_from_slice(&destination.octets());
    packet
}

/// A packet from the host to the device.
pub(crate) fn to_device(parameters: &Parameters, length: usize, seed: u8) -> Vec<u8> {
    packet(parameters.client_address, parameters.server_address, length, seed)
}

/// A packet from the device to the host.
pub(crate) fn to_host(parameters: &Parameters, length: usize, seed: u8) -> Vec<u8> {
    packet(parameters.server_address, parameters.client_address, length, seed)
}

/// A connection through the loopback interface: the connecting end, the accepting end.
pub(crate) async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connecting = TcpStream::connect(listener.local_addr().unwrap());
    let (near, far) = tokio::join!(connecting, listener.accept());
    (near.unwrap(), far.unwrap().0)
}

/// What each end of a TCP tunnel with its own key and suites ends with: the host, the device.
pub(crate) async fn tcp_links(
    (host_key, host_suites): (&[u8], &[Suite]),
    (device_key, device_suites): (&[u8], &[Suite]),
) -> (Result<TunnelLink, TunnelError>, Result<TunnelLink, TunnelError>) {
    let (near, far) = tcp_pair().await;
    let offer = offer(16_000);
    tokio::join!(
        connect_tcp_with(near, host_key, 16_000, host_suites),
        accept_tcp_with(far, device_key, &offer, device_suites)
    )
}

/// An open TCP tunnel: the host, the device.
pub(crate) async fn open_links() -> (TunnelLink, TunnelLink) {
    let (host, device) = tcp_links((&KEY, &Suite::HOST), (&KEY, &Suite::DEVICE)).await;
    (host.unwrap(), device.unwrap())
}

/// Waits until the counters are as the test wants them.
pub(crate) async fn settled(tunnel: &Tunnel, wanted: impl Fn(&TunnelCounters) -> bool) {
    for _ in 0..2000 {
        if wanted(&tunnel.counters()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{:?}", tunnel.counters());
}
