//! Seeded mutations of good bytes, against what the fuzz targets say must hold.

mod support;

#[path = "../fuzz/bodies/descriptors.rs"]
mod descriptors;
#[path = "../fuzz/bodies/ntb.rs"]
mod ntb;
#[path = "../fuzz/bodies/strings.rs"]
mod strings;

use std::fmt::Debug;

use iosmux_usb::ncm::{Alignment, NtbParameters};
use iosmux_usb::ntb::{Encoder, Layout};
use iosmux_usb::string;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

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

/// Mutates the seeds; each verdict must have come of changed ones more than a hundred times.
fn run<V: Debug + PartialEq>(seeds: &[Vec<u8>], body: impl Fn(&[u8]) -> V, expected: &[V]) {
    let mut verdicts = Vec::new();
    for seed in 0..ROUNDS {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let good = &seeds[pick(&mut random, seeds.len())];
        let mut bytes = good.clone();
        mutate(&mut random, &mut bytes);
        let verdict = body(&bytes);
        if bytes != *good {
            verdicts.push(verdict);
        }
    }
    for verdict in expected {
        let count = verdicts.iter().filter(|seen| *seen == verdict).count();
        assert!(count > 100, "{count} only were {verdict:?}: the mutations are too wild or too tame");
    }
}

#[test]
fn descriptors_of_phones() {
    use descriptors::Verdict::{Bad, Plain, Private};
    run(&[support::initial(), support::switched()], descriptors::descriptors, &[Private, Plain, Bad]);
}

#[test]
fn blocks_and_parameters() {
    use ntb::Verdict::{Bad, Empty, Frames, Parameters};
    let alignment = Alignment { divisor: 4, remainder: 2, ndp: 4 };
    let parameters = NtbParameters {
        formats: 1,
        in_max_size: 32_768,
        in_alignment: alignment,
        out_max_size: 2048,
        out_alignment: alignment,
        out_max_datagrams: 3,
    };
    let mut encoder = Encoder::new(Layout::to_device(&parameters, 512));
    for length in [14, 60, 86] {
        encoder.push(&vec![1; length]).unwrap();
    }
    let block = encoder.finish().unwrap().bytes.to_vec();
    // The first pair ends the list.
    let mut empty = block.clone();
    empty[20..24].fill(0);
    run(&[block, empty, parameters.to_bytes()], ntb::ntb, &[Frames, Empty, Parameters, Bad]);
}

#[test]
fn strings_of_phones() {
    use strings::Verdict::{Bad, Mac, Serial, Text};
    let serial = format!("000080200000000000001234{}", "\0".repeat(16));
    let seeds = ["82B9896BEB4D", &serial, "PTP + Apple Mobile Device + NCM"].map(string::encode);
    run(&seeds, strings::strings, &[Serial, Mac, Text, Bad]);
}
