//! Valid messages, changed at random by a seeded generator, into codec, browser and responder: nothing panics, nothing
//! grows, nothing floods.
#![allow(missing_docs)]

#[path = "support/random.rs"]
mod random;
mod support;

use std::{
    net::{Ipv6Addr, SocketAddrV6},
    time::Duration,
};

use iosmux_mdns::{
    Limits, PORT,
    browser::{self, BrowseMode, Browser, Path},
    codec,
    message::{Kind, Message, Question},
    name::Name,
    responder::{self, Responder},
};
use random::Random;
use support::ncm;

const INTERFACE: u32 = 3;
const ITERATIONS: u64 = 20_000;
const INSTANCES: u64 = 2_000;

/// Real messages of both kinds to start from: announcements, answers, goodbyes, queries.
fn corpus() -> Vec<Vec<u8>> {
    let limits = Limits::default();
    let service = ncm(55109, "fe80::2").with_txt([b"identifier=1".to_vec(), b"flags=0".to_vec()]);
    let mut responder = Responder::new(&service, INTERFACE, limits, 1).unwrap();
    let mut messages = sent(responder.on(Duration::ZERO, responder::Input::Timer));
    let kinds = [Kind::Ptr, Kind::Any, Kind::Srv, Kind::Aaaa];
    let names = ["_remoted._tcp.local", "ncm._remoted._tcp.local", "iPhone15-Pro.local"];
    for (kind, name) in kinds.iter().flat_map(|kind| names.iter().map(move |name| (*kind, *name))) {
        let question = Question { unicast: true, ..Question::new(Name::parse(name).unwrap(), kind) };
        let query = Message { questions: vec![question], ..Message::default() };
        let bytes = codec::encode(&query, &limits).unwrap();
        let input = responder::Input::Datagram { from: neighbour(40_000), bytes: &bytes };
        messages.extend(sent(responder.on(Duration::from_secs(5), input)));
        messages.push(bytes);
    }
    messages.extend(sent(responder.on(Duration::from_secs(6), responder::Input::Shutdown)));
    assert!(messages.len() > 20);
    messages
}

fn sent(actions: Vec<responder::Action>) -> Vec<Vec<u8>> {
    let bytes = |action| match action {
        responder::Action::Send { bytes, .. } => Some(bytes),
        responder::Action::Conflict { .. } => None,
    };
    actions.into_iter().filter_map(bytes).collect()
}

fn neighbour(port: u16) -> SocketAddrV6 {
    SocketAddrV6::new("fe80::1".parse::<Ipv6Addr>().unwrap(), port, 0, INTERFACE)
}

/// One to four changes: a byte, a bit, a cut, a repeat, a piece of another message, a pointer, a count.
fn mutate(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let pick = |random: &mut Random| corpus[random.below(corpus.len() as u64) as usize].clone();
    let mut bytes = pick(random);
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len().max(1) as u64) as usize;
        let Some(byte) = bytes.get_mut(at) else { break };
        match random.below(7) {
            0 => *byte = random.next() as u8,
            1 => *byte ^= 1 << random.below(8),
            2 => bytes.truncate(at),
            3 => {
                let piece = bytes[at..].to_vec();
                bytes.extend(piece);
            }
            4 => {
                let other = pick(random);
                let from = random.below(other.len() as u64) as usize;
                bytes.splice(at.., other[from..].iter().copied());
            }
            5 => *byte = 0xc0 | random.below(4) as u8,
            _ => {
                let field = 4 + random.below(8) as usize;
                if let Some(count) = bytes.get_mut(field) {
                    *count = random.below(6) as u8;
                }
            }
        }
    }
    bytes
}

#[test]
fn twenty_thousand_changed_messages_leave_both_machines_small_and_working() {
    let (corpus, limits) = (corpus(), Limits::default());
    let mut random = Random(0x005e_ed0f_1057);
    let mut browser = Browser::new("_remoted._tcp", INTERFACE, BrowseMode::Both, limits, 1).unwrap();
    let mut responder = Responder::new(&ncm(55109, "fe80::2"), INTERFACE, limits, 1).unwrap();
    let (mut decoded, mut queries, mut answered_bytes, mut received_bytes) = (0_u64, 0_u64, 0, 0);
    let records = responder.records();
    let mut now = Duration::ZERO;
    for _ in 0..ITERATIONS {
        now += Duration::from_millis(random.below(20));
        let bytes = mutate(&mut random, &corpus);
        received_bytes += bytes.len();
        if let Ok(message) = codec::decode(&bytes, &limits) {
            decoded += 1;
            let again = codec::encode(&message, &limits).unwrap();
            let again = codec::decode(&again, &limits).unwrap();
            assert_eq!(again.to_string(), message.to_string());
        }
        let port = if random.below(2) == 0 { PORT } else { 40_000 };
        let path = if random.below(2) == 0 { Path::Shared } else { Path::OneShot };
        let from = neighbour(port);
        for action in browser.on(now, browser::Input::Datagram { path, from, bytes: &bytes }) {
            queries += u64::from(matches!(action, browser::Action::Send { .. }));
        }
        let actions = responder.on(now, responder::Input::Datagram { from, bytes: &bytes });
        answered_bytes += sent(actions).iter().map(Vec::len).sum::<usize>();
        let (instances, addresses) = browser.sizes();
        assert!(instances <= limits.instances && addresses <= limits.instances * limits.addresses);
        assert_eq!(responder.records(), records);
    }
    // The run is worth something only when both good and bad messages came up.
    assert!(decoded > ITERATIONS / 10 && browser.counters().malformed > ITERATIONS / 10, "{decoded} decoded");
    // At most one query for each of two sockets each 100 ms.
    assert!(u128::from(queries) <= 2 * (now.as_millis() / 100 + 1), "{queries} queries in {now:?}");
    assert!(answered_bytes < 2 * received_bytes, "{answered_bytes} bytes for {received_bytes}");
    assert_still_works(&mut browser, &mut responder, now + Duration::from_secs(10_000));
}

fn assert_still_works(browser: &mut Browser, responder: &mut Responder, now: Duration) {
    browser.on(now, browser::Input::Timer);
    assert_eq!(browser.sizes(), (0, 0), "everything hostile has expired");
    let announcements =
        sent(responder.on(now, responder::Input::LinkChanged(vec!["fe80::2".parse().unwrap()])));
    let from = neighbour(PORT);
    let events = announcements
        .iter()
        .flat_map(|bytes| browser.on(now, browser::Input::Datagram { path: Path::Shared, from, bytes }));
    let found = |action| matches!(action, browser::Action::Event(browser::BrowseEvent::Found(_)));
    assert_eq!(events.map(found).filter(|found| *found).count(), 1);
}

#[test]
fn two_thousand_senders_with_long_names_stay_within_the_limits() {
    let limits = Limits::default();
    let mut browser = Browser::new("_remoted._tcp", INTERFACE, BrowseMode::Both, limits, 1).unwrap();
    let mut now = Duration::ZERO;
    for n in 0..INSTANCES {
        now += Duration::from_millis(1);
        let service = iosmux_mdns::Service {
            instance: format!("{n:x>60}"),
            host: format!("{n:y>60}.local"),
            txt: vec![vec![b'z'; 255]; 5],
            ..ncm(1, "fe80::2")
        };
        let mut responder = Responder::new(&service, INTERFACE, limits, n).unwrap();
        let address = Ipv6Addr::from_bits((0xfe80 << 112) | u128::from(n / 10));
        let from = SocketAddrV6::new(address, PORT, 0, INTERFACE);
        for bytes in sent(responder.on(now, responder::Input::Timer)) {
            browser.on(now, browser::Input::Datagram { path: Path::Shared, from, bytes: &bytes });
        }
        assert!(browser.sizes().0 <= limits.instances && browser.sizes().1 <= limits.instances);
    }
    assert_eq!(browser.sizes(), (limits.instances, limits.instances));
    assert!(browser.counters().over_limit >= INSTANCES - limits.instances as u64);
}
