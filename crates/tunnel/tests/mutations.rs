//! Seeded mutations of good bytes, against what the fuzz targets say must hold.

mod support;

#[path = "../fuzz/bodies/cdtunnel.rs"]
mod cdtunnel;
#[path = "../fuzz/bodies/packet_filter.rs"]
mod packet_filter;

use cdtunnel::Verdict;
use iosmux_tunnel::Parameters;
use iosmux_tunnel::cdtunnel::{ClientHandshakeRequest, Message};
use packet_filter::{DESTINATION, SOURCE};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};
use support::{offer, packet};

/// Rounds of each run.
const ROUNDS: u64 = 30_000;

/// A number below `below`.
fn pick(random: &mut ChaCha8Rng, below: usize) -> usize {
    usize::try_from(random.next_u32()).unwrap() % below.max(1)
}

/// One to four edits: a byte changed, inserted, removed, a stretch doubled, the end cut.
fn mutate(random: &mut ChaCha8Rng, bytes: &mut Vec<u8>) {
    for _ in 0..=pick(random, 4) {
        let at = pick(random, bytes.len());
        match pick(random, 6) {
            0 if !bytes.is_empty() => bytes[at] = random.next_u32().to_le_bytes()[0],
            1 if !bytes.is_empty() => bytes[at] ^= 1 << pick(random, 8),
            2 => bytes.insert(at, random.next_u32().to_le_bytes()[0]),
            3 if !bytes.is_empty() => drop(bytes.remove(at)),
            4 => bytes.truncate(at),
            _ => {
                let end = at + pick(random, bytes.len() - at + 1);
                let stretch = bytes[at..end].to_vec();
                bytes.splice(at..at, stretch);
            }
        }
    }
}

fn messages() -> [Vec<u8>; 2] {
    let request = ClientHandshakeRequest { mtu: 16_000 };
    let (_, response) = Parameters::grant(&request, &offer(16_000)).unwrap();
    [Message::ClientHandshakeRequest(request), Message::ServerHandshakeResponse(response)]
        .map(|message| message.encode().unwrap())
}

#[test]
fn cdtunnel_messages() {
    let messages = messages();
    let mut verdicts = Vec::new();
    for seed in 0..ROUNDS {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut bytes = messages[pick(&mut random, 2)].clone();
        mutate(&mut random, &mut bytes);
        verdicts.push(cdtunnel::cdtunnel(&bytes));
    }
    for verdict in [Verdict::Good, Verdict::Open, Verdict::Bad] {
        let count = verdicts.iter().filter(|seen| **seen == verdict).count();
        assert!(
            count > 100,
            "{count} messages only were {verdict:?}: the mutations are too wild or too tame"
        );
    }
}

#[test]
fn packet_streams() {
    let (mut passed, mut dropped) = (0, 0);
    for seed in 0..ROUNDS / 10 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let packets: Vec<_> =
            (0..20).map(|at| packet(SOURCE, DESTINATION, 40 + pick(&mut random, 300), at)).collect();
        let mut stream = packets.concat();
        mutate(&mut random, &mut stream);
        let counters = packet_filter::packet_filter(&stream, 1 + pick(&mut random, 700));
        passed += counters.packets;
        dropped += counters.dropped_total();
    }
    assert!(passed > 5000 && dropped > 500, "{passed} passed, {dropped} were dropped");
}
