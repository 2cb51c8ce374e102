//! A seeded run of the fuzz target's body over changed fixtures, and the idevice crate's opinion of the same bytes.
#![allow(missing_docs)]

#[path = "../fuzz/bodies/object.rs"]
mod fuzz_body;
mod object_support;

use idevice::xpc::XPCObject;
use iosmux_xpc::rsd::Handshake;
use iosmux_xpc::{Limits, Object};
use object_support::{EMPTY_DICTIONARY, HANDSHAKE, body, every_kind, theirs};
use uuid::Uuid;

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

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// Words that mean something to the decoder.
const WORDS: &[u32] = &[
    0,
    1,
    2,
    3,
    4,
    5,
    8,
    64,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fffc,
    0xffff_ffff,
    0x1000,
    0x2000,
    0x3000,
    0x4000,
    0x5000,
    0x6000,
    0x7000,
    0x8000,
    0x9000,
    0xa000,
    0xb000,
    0xc000,
    0xd000,
    0xe000,
    0xf000,
    0x1_0000,
    0x1_9000,
    0x1_a000,
    0x1_b000,
];

/// One change: a bit, a byte, a word, a word a little off, words cut out or doubled, or the end cut off.
fn change(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len());
    let aligned = at & !3;
    match random.below(8) {
        0 | 1 => bytes[at] ^= 1 << random.below(8),
        2 => bytes[at] = random.pick(&[0, 1, 0x7f, 0x80, 0xff]),
        3 => replace_word(bytes, aligned, |_| random.pick(WORDS)),
        4 => {
            let step = random.pick(&[1, 4, 8, u32::MAX, u32::MAX - 3]);
            replace_word(bytes, aligned, |word| word.wrapping_add(step));
        }
        5 => drop(bytes.drain(aligned..(aligned + 4 * (1 + random.below(4))).min(bytes.len()))),
        6 => {
            let words = bytes[aligned..(aligned + 4 * (1 + random.below(4))).min(bytes.len())].to_vec();
            drop(bytes.splice(aligned..aligned, words));
        }
        _ => bytes.truncate(at),
    }
}

fn replace_word(bytes: &mut [u8], at: usize, with: impl FnOnce(u32) -> u32) {
    if let Some(word) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<4>) {
        *word = with(u32::from_le_bytes(*word)).to_le_bytes();
    }
}

fn corpus() -> Vec<Vec<u8>> {
    vec![
        body(EMPTY_DICTIONARY).to_vec(),
        Handshake::host(Uuid::from_u128(1)).encode().unwrap(),
        every_kind().encode().unwrap(),
        Object::Array(vec![every_kind(), Object::Null, every_kind()]).encode().unwrap(),
    ]
}

/// The changed bytes as the idevice crate sees them: wherever both accept, both see the same.
fn compare_with_idevice(bytes: &[u8], tally: &mut Tally) {
    let Ok(ours) = Object::decode(bytes, &Limits::default()) else { return };
    let Some(ours) = theirs(&ours) else { return };
    match XPCObject::decode(bytes) {
        Ok(theirs) => {
            // NaN is unequal to itself in theirs, so the bytes are compared where the values can't be.
            assert!(theirs == ours || theirs.encode().unwrap() == ours.encode().unwrap());
            tally.both += 1;
        }
        Err(error) => panic!("we accept what idevice refuses with {error}: {bytes:02x?}"),
    }
}

#[derive(Default)]
struct Tally {
    accepted: usize,
    refused: usize,
    both: usize,
}

fn run(corpus: &[Vec<u8>], rounds: usize, seed: u64) -> Tally {
    let mut random = Random(seed);
    let mut tally = Tally::default();
    for _ in 0..rounds {
        let mut bytes = corpus[random.below(corpus.len())].clone();
        for _ in 0..=random.below(3) {
            change(&mut bytes, &mut random);
            if bytes.is_empty() {
                break;
            }
        }
        match fuzz_body::object(&bytes) {
            true => tally.accepted += 1,
            false => tally.refused += 1,
        }
        compare_with_idevice(&bytes, &mut tally);
    }
    tally
}

#[test]
fn fifty_thousand_changed_small_bodies() {
    let tally = run(&corpus(), 50_000, 0x1055);
    assert!(
        tally.accepted > 5_000 && tally.refused > 20_000 && tally.both > 1_000,
        "the changes are lopsided"
    );
}

#[test]
fn one_thousand_changed_large_handshakes() {
    let tally = run(&[body(HANDSHAKE).to_vec()], 1_000, 0x1056);
    assert!(tally.accepted > 100 && tally.refused > 300 && tally.both > 100, "the changes are lopsided");
}
