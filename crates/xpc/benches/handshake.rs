//! A Handshake of a current phone's size, decoded and encoded by us and by the idevice crate in the same run.
//!
//! The contestants take turns in short rounds, so that a slow moment of the machine hits all of them, and each one's best
//! batch counts: a batch is short enough to run now and then without being interrupted, also on a busy machine. The targets are checked: a missed one fails the run.
#![allow(clippy::print_stdout, missing_docs)]

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use idevice::xpc::XPCObject;
use iosmux_xpc::rsd::{Handshake, HandshakeView};
use iosmux_xpc::{Limits, Object, View};

/// Wrapper and body of a Handshake with 46 properties and 62 services.
const MESSAGE: &[u8] = include_bytes!("../tests/fixtures/xpc/handshake_46properties_62services.bin");
const WRAPPER_LENGTH: usize = 24;
/// How long one contestant runs in one round.
const SLICE: Duration = Duration::from_millis(20);
const ROUNDS: usize = 25;
/// Runs that are timed together.
const BATCH: u32 = 4;

struct Contestant<'a> {
    name: &'static str,
    run: Box<dyn FnMut() + 'a>,
    /// Nanoseconds of one run in the best batch.
    best: f64,
}

impl<'a> Contestant<'a> {
    fn new(name: &'static str, run: impl FnMut() + 'a) -> Self {
        Contestant { name, run: Box::new(run), best: f64::INFINITY }
    }

    fn round(&mut self) {
        let start = Instant::now();
        while start.elapsed() < SLICE {
            let batch = Instant::now();
            (0..BATCH).for_each(|_| (self.run)());
            self.best = self.best.min(batch.elapsed().as_nanos() as f64 / f64::from(BATCH));
        }
    }
}

fn main() -> ExitCode {
    let body = &MESSAGE[WRAPPER_LENGTH..];
    let limits = Limits::default();
    let theirs = XPCObject::decode(body).expect("idevice reads the fixture");
    let object = Object::decode(body, &limits).expect("we read the fixture");
    let typed = Handshake::decode(body, &limits).expect("the fixture is a Handshake");
    assert_eq!(theirs.encode().expect("idevice writes the fixture"), object.encode().expect("we write it"));

    // `cargo test --all-targets` runs benches too, unoptimised: then only the above is checked.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }

    let mut all = [
        Contestant::new("idevice decode", || drop(black_box(XPCObject::decode(black_box(body))))),
        Contestant::new("decode borrowed typed", || {
            black_box(visit(&HandshakeView::decode(black_box(body), &limits).expect("valid")));
        }),
        Contestant::new("decode owned typed", || {
            drop(black_box(Handshake::decode(black_box(body), &limits)));
        }),
        Contestant::new("decode owned object", || drop(black_box(Object::decode(black_box(body), &limits)))),
        Contestant::new("check only", || {
            black_box(View::parse(black_box(body), &limits).is_ok());
        }),
        Contestant::new("idevice encode", || drop(black_box(black_box(&theirs).encode()))),
        Contestant::new("encode object", || drop(black_box(black_box(&object).encode()))),
        Contestant::new("encode typed", || drop(black_box(black_box(&typed).encode()))),
    ];
    for _ in 0..ROUNDS {
        all.iter_mut().for_each(Contestant::round);
    }
    report(&all)
}

/// Reads every field of the typed form, so that nothing of it can be left out.
fn visit(handshake: &HandshakeView<'_>) -> u64 {
    let mut sum = handshake.protocol_version ^ handshake.uuid.as_u128() as u64;
    for (key, value) in &handshake.properties {
        sum = sum.wrapping_add(key.len() as u64).wrapping_add(visit_value(*value));
    }
    for service in &handshake.services {
        sum = sum.wrapping_add((service.name.len() + service.entitlement.len()) as u64);
        sum = sum.wrapping_add(u64::from(service.port));
        let Some(properties) = service.properties else { continue };
        sum = sum.wrapping_add(u64::from(properties.uses_remote_xpc == Some(true)));
        sum = sum.wrapping_add(properties.service_version.unwrap_or(0) + properties.version.unwrap_or(0));
        sum = sum.wrapping_add(u64::from(properties.legacy == Some(true)));
        sum = properties.features().fold(sum, |sum, feature| sum.wrapping_add(feature.len() as u64));
    }
    sum
}

fn visit_value(value: View<'_>) -> u64 {
    match value {
        View::Bool(value) => u64::from(value),
        View::Uint64(value) => value,
        View::String(text) => text.len() as u64,
        other => unreachable!("the fixture's properties hold no {}", other.kind()),
    }
}

fn report(all: &[Contestant<'_>]) -> ExitCode {
    let time = |name: &str| all.iter().find(|c| c.name == name).expect("listed").best;
    for contestant in all {
        println!("{:<24}{:>9.2} µs", contestant.name, contestant.best / 1000.0);
    }
    let mut missed = false;
    for (name, against, need) in [
        ("decode borrowed typed", "idevice decode", 4.0),
        ("decode owned typed", "idevice decode", 2.0),
        ("decode owned object", "idevice decode", 0.0),
        ("encode object", "idevice encode", 3.0),
        ("encode typed", "idevice encode", 3.0),
    ] {
        let ratio = time(against) / time(name);
        let missing = ratio < need;
        missed |= missing;
        match (need, missing) {
            (0.0, _) => println!("{name}: {ratio:.1}x (stated, no target)"),
            (_, true) => println!("{name}: {ratio:.1}x (need {need}x) MISSED"),
            (_, false) => println!("{name}: {ratio:.1}x (need {need}x)"),
        }
    }
    ExitCode::from(u8::from(missed))
}
