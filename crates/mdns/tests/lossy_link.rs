//! A browser and a responder on a simulated link that loses and delays datagrams.
#![allow(missing_docs)]

#[path = "support/random.rs"]
mod random;
mod support;

use std::{
    collections::BTreeMap,
    net::{Ipv6Addr, SocketAddrV6},
    time::Duration,
};

use iosmux_mdns::{
    Limits, PORT,
    browser::{self, BrowseEvent, BrowseMode, Browser, Path},
    responder::{self, Destination, Responder},
};
use random::Random;
use support::ncm;

const INTERFACE: u32 = 3;
const PHONE: &str = "fe80::fcae:76ff:fe72:f8b7";
const HOST: &str = "fe80::1";
const EPHEMERAL: u16 = 40_000;

enum Packet {
    /// To the responder, from this port of the browser's host.
    Query(u16, Vec<u8>),
    /// To one socket of the browser.
    Response(Path, Vec<u8>),
}

/// Both machines, the datagrams under way, and the time.
struct Link {
    now: Duration,
    random: Random,
    loss_percent: u64,
    mode: BrowseMode,
    browser: Browser,
    responder: Option<Responder>,
    under_way: BTreeMap<(Duration, u64), Packet>,
    sent: u64,
    events: Vec<(Duration, BrowseEvent)>,
}

impl Link {
    fn new(mode: BrowseMode, loss_percent: u64, seed: u64) -> Self {
        let limits = Limits::default();
        Self {
            now: Duration::ZERO,
            random: Random(seed),
            loss_percent,
            mode,
            browser: Browser::new("_remoted._tcp", INTERFACE, mode, limits, seed).unwrap(),
            responder: None,
            under_way: BTreeMap::new(),
            sent: 0,
            events: Vec::new(),
        }
    }

    /// The phone appears, with this port.
    fn attach(&mut self, port: u16) {
        let responder = Responder::new(&ncm(port, PHONE), INTERFACE, Limits::default(), self.random.next());
        self.responder = Some(responder.unwrap());
        self.responder_input(responder::Input::Timer);
    }

    fn post(&mut self, packet: Packet) {
        self.sent += 1;
        if self.random.below(100) >= self.loss_percent {
            let delay = Duration::from_micros(200 + self.random.below(3000));
            self.under_way.insert((self.now + delay, self.sent), packet);
        }
    }

    fn browser_input(&mut self, input: browser::Input<'_>) {
        for action in self.browser.on(self.now, input) {
            match action {
                browser::Action::Event(event) => self.events.push((self.now, event)),
                browser::Action::Send { path: Path::OneShot, bytes } => {
                    self.post(Packet::Query(EPHEMERAL, bytes));
                }
                browser::Action::Send { path: Path::Shared, bytes } => {
                    self.post(Packet::Query(PORT, bytes));
                }
            }
        }
    }

    fn responder_input(&mut self, input: responder::Input<'_>) {
        let Some(responder) = &mut self.responder else { return };
        for action in responder.on(self.now, input) {
            let responder::Action::Send { to, bytes } = action else { panic!("no conflict on this link") };
            match to {
                Destination::Unicast(to) if to.port() == EPHEMERAL => {
                    self.post(Packet::Response(Path::OneShot, bytes));
                }
                // The shared socket hears multicast and what is sent to 5353.
                _ if self.mode != BrowseMode::OneShot => self.post(Packet::Response(Path::Shared, bytes)),
                _ => {}
            }
        }
    }

    fn deliver(&mut self, packet: Packet) {
        match packet {
            Packet::Query(port, bytes) => {
                let from = address(HOST, port);
                self.responder_input(responder::Input::Datagram { from, bytes: &bytes });
            }
            Packet::Response(path, bytes) => {
                let from = address(PHONE, PORT);
                self.browser_input(browser::Input::Datagram { path, from, bytes: &bytes });
            }
        }
    }

    fn run(&mut self, until: Duration) {
        loop {
            let packet = self.under_way.first_key_value().map(|((at, _), _)| *at);
            let responder = self.responder.as_ref().and_then(Responder::deadline);
            let next = self.browser.deadline().min(responder.unwrap_or(Duration::MAX));
            let next = next.min(packet.unwrap_or(Duration::MAX)).max(self.now);
            if next > until {
                self.now = until;
                return;
            }
            self.now = next;
            match packet {
                Some(at) if at == next => {
                    let (_, packet) = self.under_way.pop_first().unwrap();
                    self.deliver(packet);
                }
                _ => {
                    self.browser_input(browser::Input::Timer);
                    self.responder_input(responder::Input::Timer);
                }
            }
        }
    }

    fn found_port(&self) -> Option<u16> {
        match &self.events.last()?.1 {
            BrowseEvent::Found(instance) | BrowseEvent::Updated(instance) => Some(instance.port),
            BrowseEvent::Removed { .. } => None,
        }
    }
}

fn address(ip: &str, port: u16) -> SocketAddrV6 {
    SocketAddrV6::new(ip.parse::<Ipv6Addr>().unwrap(), port, 0, INTERFACE)
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A table of how soon a phone that is already there is found; a regression is a diff.
#[test]
fn time_to_find_a_phone_by_loss() {
    let mut table = String::from("mode     loss found  median    p90  worst ms, of 200 runs of 30 s\n");
    for mode in [BrowseMode::OneShot, BrowseMode::Shared, BrowseMode::Both] {
        for loss in [0, 10, 30, 50, 70] {
            let mut times: Vec<_> = (0..200).filter_map(|seed| time_to_find(mode, loss, seed)).collect();
            times.sort_unstable();
            let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
            let row = format!("{mode:<8?} {loss:>3}% {:>5} {:>7} {:>6}", times.len(), at(50), at(90));
            table.push_str(&format!("{row} {:>6}\n", times.last().copied().unwrap_or_default()));
        }
    }
    insta::assert_snapshot!(table);
}

fn time_to_find(mode: BrowseMode, loss: u64, seed: u64) -> Option<u128> {
    let mut link = Link::new(mode, loss, seed);
    let service = ncm(55109, PHONE);
    let mut responder = Responder::new(&service, INTERFACE, Limits::default(), seed).unwrap();
    // Both announcements are long past, so only questions help.
    for second in 0..2 {
        assert_eq!(responder.on(seconds(second), responder::Input::Timer).len(), 1);
    }
    let start = seconds(10);
    (link.now, link.responder) = (start, Some(responder));
    link.run(start + seconds(30));
    let found = link.events.iter().find(|(_, event)| matches!(event, BrowseEvent::Found(_)));
    found.map(|(at, _)| (*at - start).as_millis())
}

#[test]
fn a_phone_that_appears_later_is_found_by_its_announcement() {
    for seed in 0..50 {
        let mut link = Link::new(BrowseMode::Both, 0, seed);
        link.run(seconds(130));
        assert!(link.events.is_empty());
        link.attach(55109);
        link.run(seconds(131));
        assert_eq!(link.found_port(), Some(55109), "seed {seed}");
    }
}

#[test]
fn a_replugged_phone_is_updated_even_when_its_goodbye_is_lost() {
    for seed in 0..50 {
        let mut link = Link::new(BrowseMode::Both, 0, seed);
        link.attach(55109);
        link.run(seconds(20));
        link.responder = None;
        link.run(seconds(25));
        link.attach(61000);
        link.run(seconds(27));
        assert_eq!(link.found_port(), Some(61000), "seed {seed}");
        assert!(link.events.len() <= 2, "{:?}", link.events);
    }
}

#[test]
fn a_phone_that_vanishes_is_removed_when_its_records_expire() {
    for (mode, latest) in [(BrowseMode::OneShot, 25), (BrowseMode::Both, 150)] {
        let mut link = Link::new(mode, 0, 7);
        link.attach(55109);
        link.run(seconds(10));
        assert_eq!(link.found_port(), Some(55109));
        link.responder = None;
        link.run(seconds(latest));
        assert!(matches!(link.events.last(), Some((_, BrowseEvent::Removed { .. }))), "{:?}", link.events);
    }
}

#[test]
fn an_hour_on_a_bad_link_never_loses_the_phone() {
    for mode in [BrowseMode::Shared, BrowseMode::Both] {
        let mut link = Link::new(mode, 10, 11);
        link.attach(55109);
        link.run(seconds(3600));
        assert_eq!(link.events.len(), 1, "{mode:?}: {:?}", link.events);
        // 120 s records, asked for at 80 %: about 38 rounds of a few datagrams.
        assert!(link.sent < 1500, "{mode:?}: {} datagrams in an hour", link.sent);
    }
}

#[test]
fn a_one_shot_browser_keeps_a_phone_for_an_hour() {
    let mut link = Link::new(BrowseMode::OneShot, 0, 11);
    link.attach(55109);
    link.run(seconds(3600));
    assert_eq!(link.events.len(), 1, "{:?}", link.events);
    assert!(link.sent < 4000, "{} datagrams in an hour", link.sent);
}

#[test]
fn shutdown_removes_the_phone_within_two_seconds() {
    let mut link = Link::new(BrowseMode::Both, 0, 3);
    link.attach(55109);
    link.run(seconds(10));
    link.responder_input(responder::Input::Shutdown);
    link.run(seconds(12));
    assert!(matches!(link.events.last(), Some((_, BrowseEvent::Removed { .. }))), "{:?}", link.events);
}
