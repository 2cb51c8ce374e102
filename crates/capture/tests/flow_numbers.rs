//! The segments that are made carry every byte once, in order, with numbers that fit.
#[allow(dead_code)]
mod support;

use std::net::SocketAddr;

use iosmux_capture::flow::{Flow, IpPacket, MAX_SEGMENT, Opener, datagram};
use iosmux_capture::pcapng::Direction;
use proptest::prelude::*;
use support::segment;

#[derive(Debug, Clone)]
enum Step {
    Data(Direction, usize),
    Finish(Direction),
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::Inbound), Just(Direction::Outbound)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (direction(), 0..60_000_usize).prop_map(|(direction, length)| Step::Data(direction, length)),
        1 => direction().prop_map(Step::Finish),
    ]
}

fn addresses(v4: bool) -> (SocketAddr, SocketAddr) {
    let (local, peer) = if v4 { ("127.0.0.1:1", "127.0.0.2:2") } else { ("[fe80::1]:1", "[fe80::2]:2") };
    (local.parse().unwrap(), peer.parse().unwrap())
}

/// The stream of one side as a receiver would put it together, and its numbers' fit.
fn reassemble(packets: &[IpPacket], port: u16) -> Vec<u8> {
    let mut stream = Vec::new();
    let mut next = 0_u32;
    for packet in packets {
        let segment = segment(&packet.bytes);
        if segment.source == port {
            assert!(segment.payload.len() <= MAX_SEGMENT);
            assert_eq!(segment.sequence, next, "a gap or a repetition");
            let counts = segment.flags.contains("SYN") || segment.flags.contains("FIN");
            next = next.wrapping_add(segment.payload.len() as u32 + u32::from(counts));
            stream.extend(segment.payload);
        } else if let Some(acknowledgement) = segment.acknowledgement {
            assert_eq!(acknowledgement, next, "acknowledges what was not sent, or less than was seen");
        }
    }
    stream
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_byte_is_there_once_and_in_order(
        steps in proptest::collection::vec(step(), 0..12),
        v4 in any::<bool>(),
        by_peer in any::<bool>(),
    ) {
        let (local, peer) = addresses(v4);
        let mut flow = Flow::new(local, peer);
        let mut packets = flow.open(if by_peer { Opener::Peer } else { Opener::Local });
        let (mut sent, mut received) = (Vec::new(), Vec::new());
        let mut closed = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Data(direction, length) if !closed.contains(&direction) => {
                    let bytes: Vec<u8> = (0..length).map(|at| (at * 31 + number) as u8).collect();
                    packets.extend(flow.data(direction, &bytes));
                    if direction == Direction::Outbound { sent.extend(bytes) } else { received.extend(bytes) }
                }
                Step::Data(..) => {}
                Step::Finish(direction) => {
                    let made = flow.finish(direction);
                    prop_assert_eq!(made.is_empty(), closed.contains(&direction));
                    packets.extend(made);
                    closed.push(direction);
                }
            }
        }
        prop_assert_eq!(reassemble(&packets, local.port()), sent);
        prop_assert_eq!(reassemble(&packets, peer.port()), received);
    }
}

#[test]
fn a_long_one_way_stream_is_acknowledged() {
    let (local, peer) = addresses(false);
    let mut flow = Flow::new(local, peer);
    let packets = flow.data(Direction::Inbound, &vec![7; 2 << 20]);
    let acknowledgements: Vec<_> =
        packets.iter().filter(|packet| packet.direction == Direction::Outbound).collect();
    assert_eq!(acknowledgements.len(), 4);
}

#[test]
fn a_reset_is_the_last_word_of_both_sides() {
    let (local, peer) = addresses(false);
    let mut flow = Flow::new(local, peer);
    let packets = flow.reset(Direction::Inbound);
    assert_eq!(packets.len(), 1);
    assert_eq!(segment(&packets[0].bytes).flags, "RST ACK");
    assert!(flow.finish(Direction::Outbound).is_empty());
    assert!(flow.finish(Direction::Inbound).is_empty());
}

#[test]
fn one_side_may_be_ipv4_mapped() {
    let mut flow = Flow::new("[::ffff:127.0.0.1]:1".parse().unwrap(), "127.0.0.2:2".parse().unwrap());
    assert_eq!(flow.open(Opener::Local).len(), 3);
}

#[test]
fn a_datagram_has_a_longest_payload() {
    let (local, peer) = addresses(false);
    assert!(datagram(local, peer, &vec![0; 65_527]).is_some());
    assert!(datagram(local, peer, &vec![0; 65_528]).is_none());
}
