//! A seeded run of the fuzz target `session` over mutated openings.

#[path = "../fuzz/bodies/session.rs"]
mod body;
mod support;

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use support::{APPLE_OPENING, COREDEVICE_OPENING, OLD_OPENING, data, frame, headers, message, wrapper};

/// Cuts bytes into commands that feed them.
fn feed(bytes: &[u8], piece: usize) -> Vec<u8> {
    let command = |chunk: &[u8]| [&[0, u8::try_from(chunk.len()).unwrap()][..], chunk].concat();
    bytes.chunks(piece).flat_map(command).collect()
}

fn seeds() -> Vec<Vec<u8>> {
    let null = [0x4213_3742_u32, 5, 0x1000].map(u32::to_le_bytes).concat();
    let openings = [APPLE_OPENING, COREDEVICE_OPENING, OLD_OPENING];
    let file = [headers(5), data(5, &wrapper(0x0010_0001, 0, 7)), frame(0, 1, 5, b"bytes")].concat();
    let request = data(1, &message(0x1_0101, 1, &null));
    let asked = [headers(2), data(2, &wrapper(0x0020_0001, 0, 0))].concat();
    let mut seeds = vec![];
    for opening in openings {
        for rest in [&file, &request, &asked] {
            let announce = [3, 2, 1, 2];
            let reply = [4, 1, 1];
            seeds.push([&[0][..], &feed(opening, 200), &announce, &feed(rest, 200), &reply].concat());
        }
    }
    // As a client: the server's answers, then a reply and a file.
    let answers = [
        frame(4, 0, 0, &[]),
        headers(1),
        data(1, support::EMPTY_DICTIONARY),
        headers(3),
        data(3, &wrapper(0x0040_0001, 0, 0)),
        data(1, &message(0x2_0101, 1, &null)),
        headers(2),
        data(2, b"abc"),
    ];
    seeds.push([&[1, 131, 1, 9][..], &feed(&answers.concat(), 100), &[6, 1, 3], &[5, 3, 1, 2, 3]].concat());
    seeds
}

#[test]
fn mutated_openings_never_break_a_session() {
    let config = Config { cases: 20_000, failure_persistence: None, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mutation = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), 0_u8..4);
    let strategy = (prop::sample::select(seeds()), prop::collection::vec(mutation, 0..12));
    TestRunner::new_with_rng(config, rng)
        .run(&strategy, |(mut script, mutations)| {
            for (at, other, byte, kind) in mutations {
                let (at, other) = (at.index(script.len()), other.index(script.len()));
                match kind {
                    0 => script[at] = byte,
                    1 => script[at] ^= 1 << (byte % 8),
                    2 => script.insert(at, byte),
                    _ => {
                        let tail = script[at.max(other)..].to_vec();
                        script.truncate(at.min(other) + 1);
                        script.extend(tail);
                    }
                }
            }
            body::session(&script);
            Ok(())
        })
        .unwrap();
}

#[test]
fn the_seeds_themselves_open_sessions() {
    // Were they refused at once, the mutations would test little.
    for seed in seeds() {
        body::session(&seed);
    }
    let mut session = support::open_server();
    assert!(session.is_open() && support::events(&mut session).is_empty());
}
