//! Seeded runs of the fuzz targets' bodies over changed real and derived bytes.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

#[path = "../fuzz/bodies/opack.rs"]
mod opack_body;
mod support;
#[path = "../fuzz/bodies/tlv8.rs"]
mod tlv8_body;
#[path = "../fuzz/bodies/transcript.rs"]
mod transcript_body;

use iosmux_pairing::tlv8::{Tlv8, tag};

/// SplitMix64: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// One change: a bit, a byte, a run doubled or cut out, or the end cut off.
fn change(bytes: &mut Vec<u8>, random: &mut Random) {
    if bytes.is_empty() {
        bytes.push(random.byte());
        return;
    }
    let at = random.below(bytes.len());
    let end = at + 1 + random.below((bytes.len() - at).min(40));
    match random.below(6) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.byte(),
        2 => bytes.insert(at, random.byte()),
        3 => drop(bytes.drain(at..end.min(bytes.len()))),
        4 => {
            let run = bytes[at..end.min(bytes.len())].to_vec();
            bytes.splice(at..at, run);
        }
        _ => bytes.truncate(at),
    }
}

/// How many of the changed inputs the body accepts.
fn accepted(corpus: &[Vec<u8>], rounds: usize, seed: u64, body: fn(&[u8]) -> bool) -> usize {
    let mut random = Random(seed);
    (0..rounds)
        .filter(|_| {
            let mut bytes = corpus[random.below(corpus.len())].clone();
            for _ in 0..=random.below(3) {
                change(&mut bytes, &mut random);
            }
            body(&bytes)
        })
        .count()
}

#[test]
fn fifty_thousand_changed_tlv8() {
    let corpus = [
        include_bytes!("fixtures/m2_backoff_issue879.bin").to_vec(),
        Tlv8::new().with_state(2).with(tag::SALT, [1; 16]).with(tag::PUBLIC_KEY, [2; 384]).encode(),
        Tlv8::new().with(tag::ENCRYPTED_DATA, [3; 300]).with_state(5).encode(),
    ];
    let accepted = accepted(&corpus, 50_000, 0x2055, tlv8_body::tlv8);
    assert!((5_000..45_000).contains(&accepted), "the changes are lopsided: {accepted}");
}

#[test]
fn fifty_thousand_changed_opack() {
    let corpus = [
        include_bytes!("fixtures/opack_ipad_info.bin").to_vec(),
        vec![0xe3, 0x41, 0x61, 0x41, 0x62, 0x41, 0x63, 0xe1, 0x41, 0x64, 0xa0, 0xa3, 0x01],
        vec![0xdf, 0x41, 0x78, 0x30, 0x80, 0xc1, 0x01, 0x36, 0, 0, 0, 0, 0, 0, 0, 0, 0x03],
    ];
    let accepted = accepted(&corpus, 50_000, 0x2056, opack_body::opack);
    assert!((2_000..45_000).contains(&accepted), "the changes are lopsided: {accepted}");
}

#[test]
fn three_hundred_dialogues_with_one_message_changed() {
    let mut random = Random(0x2057);
    let mut reached = 0;
    for _ in 0..300 {
        // Most are verified, which is cheap; the first 16 messages are all that there are.
        let mode = random.byte() & 7 | u8::from(random.below(4) != 0);
        let mut bytes = vec![mode, u8::try_from(random.below(16)).unwrap()];
        bytes.extend((0..3 * (1 + random.below(4))).map(|_| random.byte()));
        reached += usize::from(transcript_body::transcript(&bytes));
    }
    assert!((10..250).contains(&reached), "the changes are lopsided: {reached}");
}
