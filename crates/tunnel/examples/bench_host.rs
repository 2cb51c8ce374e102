//! The host end of a tunnel over TCP, for measuring: see bench/README.md.
#![allow(clippy::print_stdout, clippy::expect_used, reason = "a program for a terminal")]

use iosmux_tunnel::io::{Options, TunDevice, Tunnel, connect_tcp};
use iosmux_tunnel::parameters::Role;
use tokio::net::TcpStream;

/// The key that both ends of the bench have.
const KEY: [u8; 32] = [0x42; 32];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, mtu, interface] = arguments.as_slice() else {
        println!("usage: bench_host ADDRESS:PORT MTU INTERFACE");
        std::process::exit(2);
    };
    let stream = TcpStream::connect(address).await.expect("the far end");
    let link = connect_tcp(stream, &KEY, mtu.parse().expect("an MTU")).await.expect("the tunnel");
    let suite = link.suite().expect("TLS");
    let device = TunDevice::open(Some(interface), link.parameters(), Role::Host).expect("the TUN device");
    println!("suite 0x{:04X} mtu {} interface {}", suite.id(), link.parameters().mtu, device.name());
    let mut tunnel = Tunnel::run(link, device, Options::default()).expect("the relay");
    let ended = tunnel.ended().await;
    println!("{ended:?} {:?}", tunnel.counters());
}
