//! The host end of a tunnel over TCP, for measuring: see bench/README.md.
#![allow(clippy::print_stdout, clippy::expect_used, reason = "a program for a terminal")]

use iosmux_tunnel::io::{Options, Suite, TunDevice, Tunnel, connect_tcp_with};
use iosmux_tunnel::parameters::Role;
use tokio::net::TcpStream;

/// The key that both ends of the bench have.
const KEY: [u8; 32] = [0x42; 32];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, mtu, interface, suite] = arguments.as_slice() else {
        println!("usage: bench_host ADDRESS:PORT MTU INTERFACE SUITE");
        std::process::exit(2);
    };
    let suite =
        Suite::HOST.into_iter().find(|known| known.name() == suite).expect("OpenSSL's name of a suite");
    let mtu = mtu.parse().expect("an MTU");
    let stream = TcpStream::connect(address).await.expect("the far end");
    let link = connect_tcp_with(stream, &KEY, mtu, &[suite]).await.expect("the tunnel");
    let negotiated = link.suite().expect("TLS").name();
    let device = TunDevice::open(Some(interface), link.parameters(), Role::Host).expect("the TUN device");
    println!("suite {negotiated} mtu {} interface {}", link.parameters().mtu, device.name());
    let mut tunnel = Tunnel::run_on_tun(link, device, Options::default()).expect("the relay");
    let ended = tunnel.ended().await;
    println!("{ended:?} {:?}", tunnel.counters());
}
