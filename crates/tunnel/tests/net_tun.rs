//! TUN devices at both ends of a tunnel, and TCP through them. Runs in a network namespace of its own.
#![cfg(feature = "net-tests")]
#![cfg(target_os = "linux")]

mod support;

#[path = "support/namespace.rs"]
mod namespace;

use iosmux_tunnel::io::{
    Ended, Options, QuicIdentity, QuicListener, TunDevice, Tunnel, TunnelLink, connect_quic,
};
use iosmux_tunnel::parameters::Role;
use namespace::Namespace;
use std::io::{Read as _, Write as _};
use std::net::{Ipv6Addr, SocketAddrV6, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;
use support::{offer, open_links};

/// Bytes of a transfer: enough for thousands of packets.
const BYTES: usize = 64 << 20;

/// A tunnel between two namespaces; its own connection is in that of the test.
struct Rig {
    host: Namespace,
    phone: Namespace,
    tunnels: [Tunnel; 2],
    names: [String; 2],
}

fn rig(host_link: TunnelLink, phone_link: TunnelLink) -> Rig {
    let (host, phone) = (Namespace::new(), Namespace::new());
    let ends =
        [(&host, host_link, "host%d"), (&phone, phone_link, "phone%d")].map(|(namespace, link, name)| {
            let parameters = *link.parameters();
            let role = link.role();
            let device = namespace.run(move || TunDevice::open(Some(name), &parameters, role)).unwrap();
            let name = device.name().to_owned();
            (Tunnel::run(link, device, Options::default()).unwrap(), name)
        });
    let [(host_tunnel, host_name), (phone_tunnel, phone_name)] = ends;
    Rig { host, phone, tunnels: [host_tunnel, phone_tunnel], names: [host_name, phone_name] }
}

/// A runtime for opening tunnels.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn server(rig: &Rig) -> Ipv6Addr {
    rig.tunnels[0].parameters().server_address
}

/// Sends [`BYTES`] from one end to the other over TCP and checks them.
fn transfer(rig: &Rig, to_phone: bool) {
    let address = server(rig);
    let listener = rig.phone.run(move || TcpListener::bind(SocketAddrV6::new(address, 7, 0, 0))).unwrap();
    let send = |mut stream: TcpStream| {
        let block: Vec<u8> = (0..=255).cycle().take(1 << 16).collect();
        (0..BYTES / block.len()).for_each(|_| stream.write_all(&block).unwrap());
    };
    let receive = |mut stream: TcpStream| {
        let mut bytes = Vec::with_capacity(BYTES);
        stream.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len(), BYTES);
        assert!(bytes.chunks(256).all(|chunk| chunk.iter().copied().eq(0..=255)));
    };
    let phone = rig.phone.start(move || {
        let (stream, _) = listener.accept().unwrap();
        if to_phone { receive(stream) } else { send(stream) }
    });
    rig.host.run(move || {
        let stream = TcpStream::connect(SocketAddrV6::new(address, 7, 0, 0)).unwrap();
        if to_phone { send(stream) } else { receive(stream) }
    });
    phone.recv().unwrap();
}

#[test]
fn tcp_through_a_tcp_tunnel() {
    let runtime = runtime();
    let (host, phone) = runtime.block_on(open_links());
    let rig = rig(host, phone);
    assert!(rig.names[0].starts_with("host") && rig.names[1].starts_with("phone"), "{:?}", rig.names);
    transfer(&rig, true);
    transfer(&rig, false);
    let [host, phone] = rig.tunnels;
    let counters = host.counters();
    assert_eq!(counters.outbound.dropped_total() + counters.inbound.dropped_total(), 0, "{counters:?}");
    // Large packets: an MTU of 16000 is in use.
    assert!(counters.outbound.bytes / counters.outbound.packets > 1000, "{counters:?}");
    assert_eq!(runtime.block_on(host.stop()).unwrap(), Ended::Stopped);
    let mut phone = phone;
    assert_eq!(runtime.block_on(phone.ended()).unwrap(), Ended::PeerClosed);
    let name = rig.names[0].clone();
    rig.host.run(move || {
        assert!(TunDevice::open(Some(&name), &parameters(), Role::Host).is_ok(), "it was let go");
    });
}

/// Linux is given TCP segments that came together in one write, and counts each write as a packet.
#[test]
fn segments_from_the_phone_reach_the_device_in_runs() {
    let runtime = runtime();
    let (host, phone) = runtime.block_on(open_links());
    let rig = rig(host, phone);
    transfer(&rig, false);
    let name = format!("{}:", rig.names[0]);
    let table = rig.host.run(|| std::fs::read_to_string("/proc/thread-self/net/dev").unwrap());
    let line = table.lines().find_map(|line| line.trim().strip_prefix(&name)).expect("the device is there");
    let writes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    let inbound = rig.tunnels[0].counters().inbound;
    assert_eq!((inbound.dropped_total(), inbound.refused), (0, 0), "{inbound:?}");
    assert!(writes < inbound.packets / 2, "{writes} writes for {} packets", inbound.packets);
}

fn parameters() -> iosmux_tunnel::Parameters {
    let request = iosmux_tunnel::cdtunnel::ClientHandshakeRequest { mtu: 1280 };
    iosmux_tunnel::Parameters::grant(&request, &offer(1280)).unwrap().0
}

#[test]
fn tcp_through_a_quic_tunnel() {
    let runtime = runtime();
    let (host, phone) = runtime.block_on(async {
        let (host, phone) = (QuicIdentity::generate().unwrap(), QuicIdentity::generate().unwrap());
        let listener =
            QuicListener::bind("[::1]:0".parse().unwrap(), &phone, Some(host.public_key())).unwrap();
        let (address, offer) = (listener.local_addr().unwrap(), offer(1400));
        tokio::join!(connect_quic(address, &host, None, 1400), listener.accept(&offer))
    });
    let rig = rig(host.unwrap(), phone.unwrap());
    transfer(&rig, true);
    transfer(&rig, false);
}

#[test]
fn only_the_two_ends_can_talk() {
    let runtime = runtime();
    let (host, phone) = runtime.block_on(open_links());
    let rig = rig(host, phone);
    let (peer, own) = (server(&rig), rig.tunnels[0].parameters().client_address);
    // The phone's address is the only one that is routed: another of its network has no route.
    let neighbour = Ipv6Addr::from_bits(peer.to_bits() + 8);
    let error = rig.host.run(move || UdpSocket::bind("[::]:0").unwrap().connect((neighbour, 9)).unwrap_err());
    assert_eq!(error.kind(), std::io::ErrorKind::NetworkUnreachable);
    let (phone_socket, port) = rig.phone.run(move || {
        let socket = UdpSocket::bind((peer, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let port = socket.local_addr().unwrap().port();
        (socket, port)
    });
    rig.host.run(move || UdpSocket::bind((own, 0)).unwrap().send_to(b"hello", (peer, port)).unwrap());
    let mut text = [0; 10];
    let received = phone_socket.recv_from(&mut text);
    let (count, from) = received.unwrap_or_else(|error| {
        panic!("{error}: {:?} {:?}", rig.tunnels[0].counters(), rig.tunnels[1].counters())
    });
    assert_eq!((&text[..count], from.ip()), (b"hello".as_slice(), own.into()));
    // No chatter of the interface itself was sent, or would have had to be dropped.
    thread::sleep(Duration::from_millis(500));
    let counters = rig.tunnels[0].counters();
    assert_eq!((counters.outbound.packets, counters.outbound.dropped_total()), (1, 0), "{counters:?}");
}

#[test]
fn a_deleted_interface_ends_the_tunnel() {
    let runtime = runtime();
    let (host, phone) = runtime.block_on(open_links());
    let rig = rig(host, phone);
    let name = rig.names[0].clone();
    let status = rig.host.run(move || {
        std::process::Command::new("ip").args(["link", "del", &name]).status().expect("iproute2 is needed")
    });
    assert!(status.success());
    let [mut host, _phone] = rig.tunnels;
    let error = runtime.block_on(host.ended()).unwrap_err();
    assert!(error.to_string().contains("the packet device failed"), "{error}");
}

#[test]
fn a_name_that_is_taken_is_named() {
    let namespace = Namespace::new();
    let error = namespace.run(|| {
        let _first = TunDevice::open(Some("same"), &parameters(), Role::Host).unwrap();
        // A phone's end: a host's would be refused for its addresses.
        TunDevice::open(Some("same"), &parameters(), Role::Device).unwrap_err()
    });
    assert!(error.to_string().contains("another program holds the interface"), "{error}");
}
