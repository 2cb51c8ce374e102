use super::*;
use proptest::prelude::*;

const FIN: u8 = 0x01;
const SEQUENCE: u32 = 1000;

/// A segment as a sender makes it, with the option that all of them use.
fn packet(sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; HEADER_LEN + 32];
    packet[0] = 0x60;
    packet[6..8].copy_from_slice(&[TCP, 64]);
    packet[8..40].copy_from_slice(&(0..32).collect::<Vec<u8>>());
    packet[40..44].copy_from_slice(&[0x1f, 0x90, 0xc0, 0x01]);
    packet[at::SEQUENCE..48].copy_from_slice(&sequence.to_be_bytes());
    packet[48..52].copy_from_slice(&[0, 0, 0, 7]);
    packet[at::TCP_LEN..56].copy_from_slice(&[8 << 4, flags, 0x20, 0]);
    packet[60..72].copy_from_slice(&[1, 1, 8, 10, 9, 9, 9, 9, 5, 5, 5, 5]);
    packet.extend_from_slice(payload);
    finished(packet)
}

/// With the length and the checksum that belong to it.
fn finished(mut packet: Vec<u8>) -> Vec<u8> {
    let tcp_len = u16::try_from(packet.len() - HEADER_LEN).unwrap();
    packet[4..6].copy_from_slice(&tcp_len.to_be_bytes());
    packet[at::CHECKSUM..58].fill(0);
    let checksum = !ones_complement(&packet[8..], u32::from(tcp_len) + u32::from(TCP));
    packet[at::CHECKSUM..58].copy_from_slice(&checksum.to_be_bytes());
    packet
}

/// The sum as RFC 1071 §1 defines it, word by word: another way than the code's.
fn ones_complement(bytes: &[u8], start: u32) -> u16 {
    let mut sum = start;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap()
}

/// What the device is given for packets: each write's bytes, and how many packets it holds.
fn written(packets: &[Vec<u8>]) -> Vec<(Vec<u8>, usize)> {
    let mut writes = Vec::new();
    let mut packets = packets.iter().peekable();
    while let Some(packet) = packets.next() {
        let Some(first) = Segment::of(packet) else {
            writes.push(([&PLAIN[..], packet].concat(), 1));
            continue;
        };
        let (mut run, mut payloads) = (Run::of(&first), first.payload().to_vec());
        while let Some(next) = packets.next_if(|next| Segment::of(next).is_some_and(|next| run.join(&next))) {
            payloads.extend_from_slice(Segment::of(next).unwrap().payload());
        }
        let segments = run.segments();
        writes.push(([run.headers(), &payloads].concat(), segments));
    }
    writes
}

/// What a device makes of a write. Source: docs/research/tun-offload.md.
fn cut(write: &[u8]) -> Vec<Vec<u8>> {
    let (header, packet) = write.split_at(DEVICE_HEADER_LEN);
    let word = |at: usize| usize::from(u16::from_ne_bytes([header[at], header[at + 1]]));
    let (headers_len, each, start, offset) = (word(2), word(4), word(6), word(8));
    if header[0] != NEEDS_CHECKSUM {
        assert_eq!(header, PLAIN);
        return vec![packet.to_vec()];
    }
    assert_eq!((start, start + offset), (HEADER_LEN, at::CHECKSUM));
    if header[1] == 0 {
        let mut packet = packet.to_vec();
        let checksum = !ones_complement(&packet[start..], 0);
        packet[at::CHECKSUM..58].copy_from_slice(&checksum.to_be_bytes());
        return vec![packet];
    }
    assert_eq!(header[1], CUT_AS_TCP_IPV6);
    let (headers, payloads) = packet.split_at(headers_len);
    let first = u32::from_be_bytes(headers[at::SEQUENCE..48].try_into().unwrap());
    let count = payloads.len().div_ceil(each);
    let segment = |(number, payload): (usize, &[u8])| {
        let mut headers = headers.to_vec();
        let sequence = first.wrapping_add(u32::try_from(number * each).unwrap());
        headers[at::SEQUENCE..48].copy_from_slice(&sequence.to_be_bytes());
        if number + 1 < count {
            headers[at::FLAGS] &= !PSH;
        }
        finished([&headers, payload].concat())
    };
    payloads.chunks(each).enumerate().map(segment).collect()
}

/// How many packets each write holds.
fn runs(packets: &[Vec<u8>]) -> Vec<usize> {
    written(packets).iter().map(|(_, segments)| *segments).collect()
}

/// Two segments in a row, the second changed.
fn after_a_change(change: impl Fn(&mut Vec<u8>)) -> Vec<usize> {
    let mut second = packet(SEQUENCE + 100, ACK, &[2; 100]);
    change(&mut second);
    let packets = [packet(SEQUENCE, ACK, &[1; 100]), finished(second)];
    let all: Vec<Vec<u8>> = written(&packets).iter().flat_map(|(write, _)| cut(write)).collect();
    assert_eq!(all, packets);
    runs(&packets)
}

#[test]
fn segments_in_a_row_are_one_write() {
    assert_eq!(after_a_change(|_| {}), [2]);
    assert_eq!(after_a_change(|second| second[at::FLAGS] |= PSH), [2]);
    assert_eq!(after_a_change(|second| second.truncate(HEADER_LEN + 33)), [2], "the last may be short");
}

#[test]
fn what_would_be_lost_is_not_joined() {
    for (what, place) in [
        ("a traffic class or an ECN mark", 1),
        ("a flow label", 3),
        ("a hop limit", 7),
        ("an address", 20),
        ("a port", 41),
        ("a gap", 46),
        ("an acknowledgement", 51),
        ("a window", 54),
        ("an urgent pointer", 58),
        ("an option", 66),
    ] {
        assert_eq!(after_a_change(|second| second[place] ^= 1), [1, 1], "{what}");
    }
    for flag in [FIN, 0x02, 0x04, 0x20, 0x40, 0x80] {
        assert_eq!(after_a_change(|second| second[at::FLAGS] |= flag), [1, 1], "flag {flag:#x}");
    }
    assert_eq!(after_a_change(|second| second[6] = 17), [1, 1], "UDP");
    assert_eq!(after_a_change(|second| second[6] = 44), [1, 1], "a fragment");
    assert_eq!(after_a_change(|second| second.truncate(HEADER_LEN + 32)), [1, 1], "no payload");
    assert_eq!(after_a_change(|second| second.push(9)), [1, 1], "longer than the first");
}

#[test]
fn a_push_or_a_short_segment_is_the_last() {
    let tail = packet(SEQUENCE + 200, ACK, &[3; 100]);
    let pushed = [packet(SEQUENCE, ACK, &[1; 100]), packet(SEQUENCE + 100, ACK | PSH, &[2; 100]), tail];
    assert_eq!(runs(&pushed), [2, 1]);
    let tail = packet(SEQUENCE + 150, ACK, &[3; 50]);
    assert_eq!(
        runs(&[packet(SEQUENCE, ACK, &[1; 100]), packet(SEQUENCE + 100, ACK, &[2; 50]), tail]),
        [2, 1]
    );
}

/// A wrong payload stays one whose checksum says so.
#[test]
fn a_wrong_checksum_goes_on_as_it_is() {
    let mut wrong = packet(SEQUENCE + 100, ACK, &[2; 100]);
    *wrong.last_mut().unwrap() ^= 1;
    let packets = [packet(SEQUENCE, ACK, &[1; 100]), wrong, packet(SEQUENCE + 200, ACK, &[3; 100])];
    let writes = written(&packets);
    assert_eq!(writes.len(), 3);
    assert_eq!(writes[1].0, [&PLAIN[..], &packets[1]].concat());
}

#[test]
fn a_run_ends_at_64_kib_and_at_64_segments() {
    let row = |count: u32, len: u32| -> Vec<Vec<u8>> {
        let payload = vec![7; usize::try_from(len).unwrap()];
        (0..count).map(|number| packet(SEQUENCE + number * len, ACK, &payload)).collect()
    };
    assert_eq!(runs(&row(9, 15928)), [4, 4, 1]);
    assert_eq!(runs(&row(65, 100)), [64, 1]);
    let longest = written(&row(9, 15928)).into_iter().map(|(write, _)| write.len()).max().unwrap();
    assert!(longest <= DEVICE_HEADER_LEN + 65535, "{longest}");
}

proptest! {
    #[test]
    fn cutting_gives_back_the_packets(
        start: u32,
        steps in prop::collection::vec((1_usize..3000, 0_u8..12, any::<u8>()), 1..80),
    ) {
        let (mut sequence, mut packets, mut len) = (start, Vec::new(), 1000);
        for (other, kind, seed) in steps {
            len = if kind == 0 { other } else { len };
            let flags = if kind == 1 { ACK | PSH } else { ACK };
            let mut next = packet(sequence, flags, &vec![seed; len]);
            if kind == 2 {
                next[40 + usize::from(seed) % 24] ^= 4;
            }
            packets.push(next);
            sequence = sequence.wrapping_add(u32::try_from(len).unwrap());
        }
        let all: Vec<Vec<u8>> = written(&packets).iter().flat_map(|(write, _)| cut(write)).collect();
        prop_assert_eq!(all, packets);
    }

    #[test]
    fn garbage_is_never_part_of_a_run(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Segment::of(&bytes).is_none_or(|segment| !segment.payload().is_empty()));
    }
}
