//! The browser against a clock that the test turns.

mod hostile;
mod senders;

use std::net::Ipv6Addr;

use super::*;
use crate::message::{Data, Record};

const TYPE: &str = "_remoted._tcp.local";
const INTERFACE: u32 = 34;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn phone() -> SocketAddrV6 {
    SocketAddrV6::new(ip("fe80::fcae:76ff:fe72:f8b7"), crate::PORT, 0, INTERFACE)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn ptr(instance: &str, ttl: u32) -> Record {
    let data = Data::Ptr(name(&format!("{instance}.{TYPE}")));
    Record { name: name(TYPE), ttl, flush: false, data }
}

fn srv(instance: &str, host: &str, port: u16, ttl: u32) -> Record {
    let data = Data::Srv { priority: 0, weight: 0, port, target: name(host) };
    Record { name: name(&format!("{instance}.{TYPE}")), ttl, flush: true, data }
}

fn txt(instance: &str, strings: &[&str]) -> Record {
    let data = Data::Txt(strings.iter().map(|s| s.as_bytes().to_vec()).collect());
    Record { name: name(&format!("{instance}.{TYPE}")), ttl: 4500, flush: true, data }
}

fn aaaa(host: &str, address: &str, ttl: u32) -> Record {
    Record { name: name(host), ttl, flush: true, data: Data::Aaaa(ip(address)) }
}

/// What `dns-sd -L` showed on a real link: iPhone15-Pro.local. port 55109, interface 34.
fn ncm() -> Vec<Record> {
    vec![
        ptr("ncm", 4500),
        srv("ncm", "iPhone15-Pro.local", 55109, 120),
        txt("ncm", &[]),
        aaaa("iPhone15-Pro.local", "fe80::fcae:76ff:fe72:f8b7", 120),
    ]
}

struct Sim {
    browser: Browser,
    now: Duration,
    /// Everything so far: queries as text with time and socket, events as text.
    log: Vec<String>,
}

impl Sim {
    fn new(mode: BrowseMode) -> Self {
        let browser = Browser::new("_remoted._tcp", INTERFACE, mode, Limits::default(), 1).unwrap();
        Self { browser, now: Duration::ZERO, log: Vec::new() }
    }

    fn input(&mut self, input: Input<'_>) {
        for action in self.browser.on(self.now, input) {
            self.log.push(match action {
                Action::Send { path, bytes } => {
                    let mut query = codec::decode(&bytes, &Limits::default()).unwrap();
                    assert_eq!(query.id != 0, path == Path::OneShot);
                    query.id = 0;
                    format!("{} {path:?} {query}", self.now.as_millis())
                }
                Action::Event(event) => format!("{} {}", self.now.as_millis(), event_text(&event)),
            });
        }
    }

    fn response(&mut self, path: Path, from: SocketAddrV6, records: Vec<Record>) {
        let message = Message { response: true, answers: records, ..Message::default() };
        let bytes = codec::encode(&message, &Limits::default()).unwrap();
        self.input(Input::Datagram { path, from, bytes: &bytes });
    }

    fn hears(&mut self, records: Vec<Record>) {
        self.response(Path::Shared, phone(), records);
    }

    /// Lets time pass, with a timer input at each deadline.
    fn run(&mut self, until: Duration) {
        while self.browser.deadline() <= until {
            assert!(
                self.browser.deadline() > self.now || self.now == Duration::ZERO,
                "a deadline in the past"
            );
            self.now = self.browser.deadline().max(self.now);
            self.input(Input::Timer);
        }
        self.now = until;
    }

    fn taken(&mut self) -> String {
        std::mem::take(&mut self.log).join("\n")
    }

    fn events(&self) -> Vec<&String> {
        self.log.iter().filter(|line| !line.contains("query id")).collect()
    }
}

fn event_text(event: &BrowseEvent) -> String {
    let instance = |i: &Instance| {
        let addresses: Vec<_> = i.addresses.iter().map(ToString::to_string).collect();
        let Instance { name, host, port, .. } = i;
        let sender = sender_text(i.sender);
        format!("{name}{sender} at {host} port {port} [{}] txt {:?}", addresses.join(", "), i.txt.len())
    };
    match event {
        BrowseEvent::Found(i) => format!("found {}", instance(i)),
        BrowseEvent::Updated(i) => format!("updated {}", instance(i)),
        BrowseEvent::Removed { name, sender } => format!("removed {name}{}", sender_text(*sender)),
    }
}

/// Nothing for the phone of most tests.
fn sender_text(sender: Ipv6Addr) -> String {
    if sender == *phone().ip() { String::new() } else { format!(" of {sender}") }
}

#[test]
fn asks_by_both_sockets_and_only_the_one_shot_one_prefers_unicast() {
    let mut sim = Sim::new(BrowseMode::Both);
    sim.run(ms(300));
    insta::assert_snapshot!(sim.taken());
}

#[test]
fn the_shared_socket_alone_prefers_unicast_once() {
    let mut sim = Sim::new(BrowseMode::Shared);
    sim.run(ms(300));
    insta::assert_snapshot!(sim.taken());
}

#[test]
fn one_full_answer_is_enough_and_later_queries_do_not_silence_other_phones() {
    let mut sim = Sim::new(BrowseMode::Shared);
    sim.run(ms(10));
    sim.hears(ncm());
    sim.run(ms(300));
    insta::assert_snapshot!(sim.taken());
}

#[test]
fn a_query_never_holds_known_answers() {
    let mut sim = Sim::new(BrowseMode::Both);
    sim.run(ms(10));
    sim.hears(ncm());
    sim.log.clear();
    sim.run(ms(5_000_000));
    assert!(sim.log.iter().any(|line| line.contains("Shared query")), "{:?}", sim.log);
    assert!(!sim.log.iter().any(|line| line.contains("answer ")), "{:?}", sim.log);
}

#[test]
fn asks_for_what_is_missing_step_by_step() {
    let mut sim = Sim::new(BrowseMode::Shared);
    sim.run(ms(150));
    sim.hears(vec![ptr("ncm", 4500)]);
    sim.run(ms(300));
    sim.hears(vec![srv("ncm", "iPhone15-Pro.local", 55109, 120)]);
    sim.run(ms(600));
    sim.hears(vec![aaaa("iPhone15-Pro.local", "fe80::1", 120)]);
    insta::assert_snapshot!(sim.taken());
}

#[test]
fn link_local_first_with_its_scope_then_the_rest_without() {
    let mut sim = Sim::new(BrowseMode::Both);
    let mut records = ncm();
    records.insert(0, aaaa("iphone15-pro.LOCAL", "2001:db8::1", 120));
    records.push(aaaa("iPhone15-Pro.local", "::1", 120));
    records.push(aaaa("iPhone15-Pro.local", "ff02::1", 120));
    sim.hears(records);
    let found = "0 found ncm at iPhone15-Pro.local port 55109 \
                 [[fe80::fcae:76ff:fe72:f8b7%34]:55109, [2001:db8::1]:55109] txt 0";
    assert_eq!(sim.events(), [found]);
    assert_eq!(sim.browser.counters().unusable_addresses, 2);
}

#[test]
fn a_goodbye_removes_after_one_second() {
    let mut sim = Sim::new(BrowseMode::Shared);
    sim.hears(ncm());
    sim.run(ms(5000));
    sim.log.clear();
    sim.hears(vec![ptr("ncm", 0)]);
    sim.run(ms(9000));
    assert_eq!(sim.events(), ["6000 removed ncm"]);
    assert_eq!(sim.browser.sizes(), (0, 0));
}

#[test]
fn a_goodbye_is_forgotten_when_the_instance_is_announced_again() {
    let mut sim = Sim::new(BrowseMode::Shared);
    sim.hears(ncm());
    sim.run(ms(5000));
    sim.log.clear();
    sim.hears(vec![ptr("ncm", 0), srv("ncm", "iPhone15-Pro.local", 55109, 0)]);
    sim.run(ms(5500));
    sim.hears(ncm());
    sim.run(ms(20_000));
    assert_eq!(sim.events(), Vec::<&String>::new());
}

#[test]
fn asks_four_times_before_a_record_expires_and_then_removes() {
    let mut sim = Sim::new(BrowseMode::Shared);
    sim.hears(ncm());
    sim.run(ms(95_000));
    sim.log.clear();
    sim.run(ms(122_000));
    insta::assert_snapshot!(sim.taken());
}

#[test]
fn a_refreshed_record_lives_on() {
    let mut sim = Sim::new(BrowseMode::Shared);
    sim.hears(ncm());
    for minute in 1..10 {
        sim.run(ms(minute * 60_000));
        sim.hears(ncm());
    }
    assert_eq!(sim.events().len(), 1);
}

#[test]
fn a_one_shot_answer_lives_ten_seconds_unless_asked_again() {
    let short: Vec<_> =
        ncm().into_iter().map(|record| Record { ttl: record.ttl.min(10), flush: false, ..record }).collect();
    let mut sim = Sim::new(BrowseMode::OneShot);
    sim.response(Path::OneShot, phone(), short.clone());
    sim.run(ms(8500));
    let asked = sim.taken();
    assert!(
        asked.contains("_remoted._tcp.local PTR") && asked.contains("iPhone15-Pro.local AAAA"),
        "{asked}"
    );
    sim.response(Path::OneShot, phone(), short.clone());
    sim.run(ms(18_400));
    assert!(sim.events().is_empty());
    sim.run(ms(18_600));
    assert_eq!(sim.events(), ["18500 removed ncm"]);

    // With the shared socket as well, what multicast promised holds.
    let mut sim = Sim::new(BrowseMode::Both);
    sim.hears(ncm());
    sim.run(ms(300));
    sim.response(Path::OneShot, phone(), short);
    sim.run(ms(60_000));
    assert_eq!(sim.events().len(), 1);
}

#[test]
fn the_cache_flush_bit_replaces_old_addresses_and_ports() {
    let mut sim = Sim::new(BrowseMode::Shared);
    sim.hears(ncm());
    sim.run(ms(10_000));
    sim.log.clear();
    sim.hears(vec![srv("ncm", "iPhone15-Pro.local", 61000, 120), aaaa("iPhone15-Pro.local", "fe80::2", 120)]);
    sim.run(ms(12_000));
    insta::assert_snapshot!(sim.events().iter().map(|line| line.as_str()).collect::<Vec<_>>().join("\n"));
}

#[test]
fn two_addresses_of_one_burst_both_stay() {
    let mut sim = Sim::new(BrowseMode::Shared);
    sim.hears(ncm());
    sim.run(ms(500));
    sim.hears(vec![aaaa("iPhone15-Pro.local", "fe80::2", 120)]);
    sim.run(ms(60_000));
    assert_eq!(sim.browser.sizes(), (1, 2));
}

#[test]
fn other_links_other_ports_and_queries_say_nothing() {
    let mut sim = Sim::new(BrowseMode::Both);
    let elsewhere = SocketAddrV6::new(*phone().ip(), crate::PORT, 0, INTERFACE + 1);
    let global = SocketAddrV6::new(ip("2001:db8::1"), crate::PORT, 0, INTERFACE);
    let high_port = SocketAddrV6::new(*phone().ip(), 40000, 0, INTERFACE);
    for from in [elsewhere, global, high_port] {
        sim.response(Path::Shared, from, ncm());
    }
    assert_eq!(sim.browser.counters().foreign, 3);
    let query = Message { answers: ncm(), ..Message::default() };
    let bytes = codec::encode(&query, &Limits::default()).unwrap();
    sim.input(Input::Datagram { path: Path::Shared, from: phone(), bytes: &bytes });
    sim.input(Input::Datagram { path: Path::Shared, from: phone(), bytes: b"garbage" });
    assert_eq!(sim.browser.counters().malformed, 1);
    assert!(sim.events().is_empty());
    assert_eq!(sim.browser.sizes(), (0, 0));
}

#[test]
fn a_query_that_was_not_sent_is_tried_again_after_200_ms() {
    let mut sim = Sim::new(BrowseMode::Shared);
    sim.run(ms(0));
    for _ in 0..5 {
        sim.input(Input::SendFailed);
        sim.log.clear();
        let due = sim.now + RETRY;
        sim.run(due);
        assert_eq!(sim.log.len(), 1, "one query, {} ms in", due.as_millis());
    }
}

#[test]
fn a_restart_asks_at_once_and_keeps_what_is_known() {
    let mut sim = Sim::new(BrowseMode::Shared);
    sim.hears(ncm());
    sim.run(ms(30_000));
    sim.log.clear();
    sim.input(Input::Restart);
    sim.run(ms(30_300));
    assert_eq!(sim.log.len(), 2);
    assert!(sim.events().is_empty());
}
