//! Packets inside of the tunnel that no well-meaning phone sends.
//!
//! They bear the tunnel's own addresses, because the simulated phone's end, which carries them, drops others as ours
//! does (`iosmux_tunnel::packet` has the tests of that).

use std::net::{Ipv6Addr, SocketAddrV6};
use std::sync::atomic::Ordering;

use super::{Arrived, Gate, raw};

/// Packets under way: fewer than an interface's queue holds.
const WINDOW: u64 = 200;
const HEADER: usize = 40;

/// Sends `count` packets through the phone's end; gives how many the kernel took.
pub(crate) fn send(phone: Ipv6Addr, host: Ipv6Addr, count: u64, arrived: &Arrived) -> u64 {
    let socket = raw();
    let to = SocketAddrV6::new(host, 0, 0, 0).into();
    let mut random = fastrand::Rng::with_seed(1);
    let mut gate = Gate::new(WINDOW, || arrived.packets.load(Ordering::Relaxed));
    let mut sent = 0;
    while sent < count {
        gate.pass();
        let packet = packet(&mut random, phone, host);
        sent += u64::from(socket.send_to(&packet, &to).is_ok_and(|length| length == packet.len()));
    }
    sent
}

/// One of seven kinds.
fn packet(random: &mut fastrand::Rng, phone: Ipv6Addr, host: Ipv6Addr) -> Vec<u8> {
    let mut noise =
        |length: usize| -> Vec<u8> { std::iter::repeat_with(|| random.u8(..)).take(length).collect() };
    let (port, kind) = (noise(4), noise(1)[0] % 7);
    let (next, payload) = match kind {
        // A TCP SYN to some port, from some port: each would be a connection.
        0 => (6, [&port[..], &noise(8), &[0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0]].concat()),
        // A datagram to some port, its checksum wrong.
        1 => (17, [&port[..], &noise(100)].concat()),
        // The first fragment of a packet whose rest never comes.
        2 => (44, [&[17, 0, 0, 1][..], &noise(4), &noise(64)].concat()),
        // Router advertisement, redirect and neighbours: none of a phone's business inside of a tunnel.
        3 => (58, [&[134 + noise(1)[0] % 4, 0][..], &noise(60)].concat()),
        // An echo reply that nobody asked for.
        4 => (58, [&[129, 0][..], &noise(30)].concat()),
        // Extension headers that lead nowhere.
        5 => (0, [&[60, 0, 0xc2, 4][..], &noise(4), &[43, 0], &noise(6), &noise(40)].concat()),
        // A protocol that nobody knows, nearly as long as a packet may be.
        _ => (noise(1)[0] | 0x80, noise(1200)),
    };
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    packet.extend([next, 255]);
    packet.extend(phone.octets().into_iter().chain(host.octets()));
    debug_assert_eq!(packet.len(), HEADER);
    packet.extend(payload);
    packet
}
