//! Datagrams of multicast DNS: garbage, and responses that are well-formed and lie.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::sync::atomic::Ordering;

use iosmux_mdns::message::{Data, Message, Record};
use iosmux_mdns::name::Name;
use iosmux_mdns::{GROUP, Limits, PORT, codec};
use socket2::{Domain, Protocol, Socket, Type};

use super::{Arrived, Gate, raw};

/// Datagrams under way: fewer than the daemon's socket holds.
const WINDOW: u64 = 100;
const SERVICE: &str = "_remoted._tcp.local";
const UDP: u8 = 17;

/// Sends `count` datagrams from the link-local address `own`; gives how many the kernel took.
pub(crate) fn send(own: Ipv6Addr, interface: u32, count: u64, arrived: &Arrived) -> u64 {
    let (honest, raw) = (socket(interface), raw());
    raw.set_multicast_if_v6(interface).unwrap();
    let group = SocketAddrV6::new(GROUP, PORT, 0, interface);
    let raw_group = SocketAddrV6::new(GROUP, 0, 0, interface).into();
    let mut random = fastrand::Rng::with_seed(2);
    let seen = || arrived.read.load(Ordering::Relaxed) + arrived.overflowed.load(Ordering::Relaxed);
    let mut gate = Gate::new(WINDOW, seen);
    let mut sent = 0;
    while sent < count {
        gate.pass();
        let payload = payload(&mut random, own);
        let length = if random.bool() {
            honest.send_to(&payload, &group.into()).map(|length| length == payload.len())
        } else {
            let packet = forged(&mut random, &payload);
            raw.send_to(&packet, &raw_group).map(|length| length == packet.len())
        };
        sent += u64::from(length.is_ok_and(|whole| whole));
    }
    sent
}

/// Says once, as a phone would, that its RSD listens at a port.
pub(crate) fn announce(own: Ipv6Addr, interface: u32, port: u16) {
    let payload = response(&["ncm".to_owned()], own, port, 120);
    socket(interface).send_to(&payload, &SocketAddrV6::new(GROUP, PORT, 0, interface).into()).unwrap();
}

/// The port of multicast DNS, shared with whoever has it.
fn socket(interface: u32) -> Socket {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP)).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.set_multicast_if_v6(interface).unwrap();
    socket.set_multicast_hops_v6(255).unwrap();
    socket.bind(&SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, PORT, 0, 0).into()).unwrap();
    socket
}

fn payload(random: &mut fastrand::Rng, own: Ipv6Addr) -> Vec<u8> {
    let lie = |random: &mut fastrand::Rng, instances: usize| {
        let names: Vec<_> =
            std::iter::repeat_with(|| format!("evil{}", random.u16(..))).take(instances).collect();
        // Lives of seconds: places that are taken become free, and are taken again.
        response(&names, own, random.u16(1..), random.u32(0..5))
    };
    match random.u8(..6) {
        // Noise, sometimes longer than any message.
        0 => {
            let length = random.usize(..1400);
            std::iter::repeat_with(|| random.u8(..)).take(length).collect()
        }
        // A response that is cut somewhere.
        1 => {
            let mut whole = lie(random, 3);
            whole.truncate(random.usize(..whole.len()));
            whole
        }
        // One with some bytes changed: pointers into nowhere, lengths that lie.
        2 => {
            let mut whole = lie(random, 3);
            for _ in 0..4 {
                let at = random.usize(..whole.len());
                whole[at] = random.u8(..);
            }
            whole
        }
        // A name that is a pointer to itself.
        3 => [
            &[0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0][..],
            &[0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 12],
        ]
        .concat(),
        // The phone's own instance, at another port each time: attached again, it says.
        4 => response(&["ncm".to_owned()], own, random.u16(1..), 120),
        // More instances than one neighbour may have.
        _ => lie(random, 12),
    }
}

/// A response about instances, all of them on one host.
fn response(instances: &[String], address: Ipv6Addr, port: u16, ttl: u32) -> Vec<u8> {
    let service = Name::parse(SERVICE).unwrap();
    let host = Name::parse("evil.local").unwrap();
    let record = |name: &Name, data| Record { name: name.clone(), ttl, flush: false, data };
    let mut answers = Vec::new();
    for instance in instances {
        let instance = service.child(instance.as_bytes()).unwrap();
        answers.push(record(&service, Data::Ptr(instance.clone())));
        let location = Data::Srv { priority: 0, weight: 0, port, target: host.clone() };
        answers.push(record(&instance, location));
    }
    answers.push(record(&host, Data::Aaaa(address)));
    codec::encode(&Message { response: true, answers, ..Message::default() }, &Limits::default()).unwrap()
}

/// The payload in a packet from a neighbour that does not exist.
fn forged(random: &mut fastrand::Rng, payload: &[u8]) -> Vec<u8> {
    let mut source = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0xba, 0xd0, 0, 0, 0, 0, 0, 0];
    source[12..].copy_from_slice(&random.u32(..).to_be_bytes());
    let length = u16::try_from(8 + payload.len()).unwrap().to_be_bytes();
    let port = PORT.to_be_bytes();
    let addresses = [source, GROUP.octets()].concat();
    let mut datagram = [port, port, length, [0, 0]].concat();
    datagram.extend(payload);
    let pseudo = [&addresses[..], &[0, 0], &length, &[0, 0, 0, UDP], &datagram].concat();
    let checksum = checksum(&pseudo);
    datagram[6..8].copy_from_slice(&checksum.to_be_bytes());
    [&[0x60, 0, 0, 0][..], &length, &[UDP, 255], &addresses, &datagram].concat()
}

/// Source: RFC 1071; RFC 8200 §8.1 (zero is sent as all ones).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    match !u16::try_from(sum).unwrap() {
        0 => 0xffff,
        sum => sum,
    }
}
