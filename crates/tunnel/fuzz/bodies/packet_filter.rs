//! What must hold for any stream of bytes that a phone sends. Shared by the fuzz target and the unit tier's seeded run.

use iosmux_tunnel::framer::{Frame, Framer};
use iosmux_tunnel::packet::{Counters, MAX_PACKET, PacketFilter};
use std::net::Ipv6Addr;

/// The phone.
pub(crate) const SOURCE: Ipv6Addr = Ipv6Addr::new(0xfd58, 0x8c92, 0x8961, 0, 0, 0, 0, 1);
/// The host.
pub(crate) const DESTINATION: Ipv6Addr = Ipv6Addr::new(0xfd58, 0x8c92, 0x8961, 0, 0, 0, 0, 2);
/// The tunnel's MTU.
pub(crate) const MTU: u16 = 1280;

/// Cuts the stream, which comes in pieces of `piece` bytes, and judges each packet; gives the counters.
pub(crate) fn packet_filter(stream: &[u8], piece: usize) -> Counters {
    let filter = PacketFilter::new(SOURCE, DESTINATION, MTU);
    let mut framer = Framer::new(filter.max_packet(), 512);
    let (mut counters, mut frames, mut taken) = (Counters::default(), 0_u64, 0);
    let mut rest = stream;
    'stream: while !rest.is_empty() {
        let space = framer.space();
        let count = rest.len().min(space.len()).min(piece.max(1));
        assert!(count > 0, "there is always room for more");
        space[..count].copy_from_slice(&rest[..count]);
        rest = &rest[count..];
        framer.filled(count);
        loop {
            match framer.next() {
                Ok(Some(Frame::Packet(packet))) => {
                    taken += packet.len();
                    if counters.admit(&filter, packet) {
                        check(packet);
                    }
                }
                Ok(Some(Frame::TooLong { length })) => {
                    assert!((usize::from(MTU) + 1..=MAX_PACKET).contains(&length));
                    counters.count_drop(iosmux_tunnel::packet::Drop::TooLong);
                }
                Ok(None) => break,
                Err(_out_of_step) => break 'stream,
            }
            frames += 1;
        }
        assert!(framer.torn() < usize::from(MTU), "never more than one packet is kept");
    }
    assert!(taken <= stream.len());
    assert_eq!(counters.packets + counters.dropped_total(), frames, "each packet is counted once");
    counters
}

/// What passes is what the host may see.
fn check(packet: &[u8]) {
    assert!((40..=usize::from(MTU)).contains(&packet.len()) && packet[0] >> 4 == 6);
    assert_eq!((&packet[8..24], &packet[24..40]), (&SOURCE.octets()[..], &DESTINATION.octets()[..]));
    assert_eq!(usize::from(u16::from_be_bytes([packet[4], packet[5]])) + 40, packet.len());
}
