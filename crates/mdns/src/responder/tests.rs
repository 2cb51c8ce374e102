//! The responder against a clock that the test turns.

use super::*;
use crate::message::{Data, Kind, Question};

const INTERFACE: u32 = 34;
const TYPE: &str = "_remoted._tcp.local";

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn neighbour(port: u16) -> SocketAddrV6 {
    SocketAddrV6::new(ip("fe80::5"), port, 0, INTERFACE)
}

fn ncm() -> Service {
    Service::new("ncm", "_remoted._tcp", "iPhone15-Pro.local", 55109)
        .with_addresses([ip("fe80::fcae:76ff:fe72:f8b7")])
}

struct Sim {
    responder: Responder,
    now: Duration,
    log: Vec<String>,
}

impl Sim {
    fn new(service: &Service) -> Self {
        let responder = Responder::new(service, INTERFACE, Limits::default(), 1).unwrap();
        Self { responder, now: Duration::ZERO, log: Vec::new() }
    }

    /// One that has announced itself and been quiet for ten seconds.
    fn settled() -> Self {
        let mut sim = Self::new(&ncm());
        sim.run(ms(11_000));
        sim.log.clear();
        sim
    }

    fn input(&mut self, input: Input<'_>) {
        for action in self.responder.on(self.now, input) {
            self.log.push(match action {
                Action::Send { to, bytes } => {
                    let message = codec::decode(&bytes, &Limits::default()).unwrap();
                    let to = match to {
                        Destination::Group => "group".to_owned(),
                        Destination::Unicast(to) => to.to_string(),
                    };
                    format!("{} to {to} {message}", self.now.as_millis())
                }
                Action::Conflict { from, record } => {
                    format!("{} conflict {from} {record}", self.now.as_millis())
                }
            });
        }
    }

    fn message(&mut self, from: SocketAddrV6, message: &Message) {
        let bytes = codec::encode(message, &Limits::default()).unwrap();
        self.input(Input::Datagram { from, bytes: &bytes });
    }

    fn asks(&mut self, port: u16, questions: &[(&str, Kind, bool)]) {
        let question = |(text, kind, unicast): &(&str, Kind, bool)| Question {
            name: name(text),
            kind: *kind,
            unicast: *unicast,
        };
        let questions = questions.iter().map(question).collect();
        self.message(neighbour(port), &Message { id: 0x1234, questions, ..Message::default() });
    }

    fn run(&mut self, until: Duration) {
        while let Some(at) = self.responder.deadline().filter(|at| *at <= until) {
            self.now = at.max(self.now);
            self.input(Input::Timer);
        }
        self.now = until;
    }

    fn taken(&mut self) -> String {
        std::mem::take(&mut self.log).join("\n")
    }
}

#[test]
fn announces_twice_one_second_apart_and_then_is_silent() {
    let mut sim = Sim::new(&ncm());
    sim.run(ms(60_000));
    insta::assert_snapshot!(sim.taken());
}

#[test]
fn a_question_for_the_type_is_answered_with_everything_that_goes_along() {
    let mut sim = Sim::settled();
    sim.asks(5353, &[(TYPE, Kind::Ptr, false)]);
    sim.run(ms(20_000));
    insta::assert_snapshot!(sim.taken());
}

#[test]
fn unique_records_are_answered_at_once_whatever_their_case() {
    let mut sim = Sim::settled();
    sim.asks(
        5353,
        &[("NCM._remoted._TCP.local", Kind::Srv, false), ("iphone15-pro.local", Kind::Aaaa, false)],
    );
    sim.run(ms(20_000));
    insta::assert_snapshot!(sim.taken());
}

#[test]
fn a_unicast_question_is_answered_by_unicast() {
    let mut sim = Sim::settled();
    sim.asks(5353, &[(TYPE, Kind::Ptr, true)]);
    sim.run(ms(20_000));
    insta::assert_snapshot!(sim.taken());
}

#[test]
fn a_unicast_question_after_a_long_silence_refreshes_the_link_too() {
    let mut sim = Sim::settled();
    sim.run(ms(100_000));
    sim.asks(5353, &[("iPhone15-Pro.local", Kind::Aaaa, true)]);
    let taken = sim.taken();
    assert!(taken.contains("to [fe80::5%34]:5353") && taken.contains("to group"), "{taken}");
}

#[test]
fn a_one_shot_question_gets_a_plain_dns_answer() {
    let mut sim = Sim::settled();
    // frida's probe: QU from an ephemeral port; twice the same question costs nothing.
    sim.asks(40_000, &[(TYPE, Kind::Ptr, true), (TYPE, Kind::Ptr, false), ("other.local", Kind::Any, true)]);
    sim.run(ms(20_000));
    insta::assert_snapshot!(sim.taken());
}

#[test]
fn the_types_on_the_link_can_be_listed() {
    let mut sim = Sim::settled();
    sim.asks(5353, &[("_services._dns-sd._udp.local", Kind::Ptr, false)]);
    sim.run(ms(20_000));
    insta::assert_snapshot!(sim.taken());
}

#[test]
fn a_probe_for_our_name_is_answered_with_what_we_hold() {
    let mut sim = Sim::settled();
    sim.asks(5353, &[("ncm._remoted._tcp.local", Kind::Any, true)]);
    sim.run(ms(20_000));
    insta::assert_snapshot!(sim.taken());
}

fn known_pointer(ttl: u32) -> Record {
    let data = Data::Ptr(name("ncm._remoted._tcp.local"));
    Record { name: name(TYPE), ttl, flush: false, data }
}

fn pointer_question() -> Message {
    Message { questions: vec![Question::new(name(TYPE), Kind::Ptr)], ..Message::default() }
}

#[test]
fn a_known_answer_is_not_repeated_unless_it_is_old() {
    for (ttl, answers) in [(4500, 0), (2250, 0), (2249, 1)] {
        let mut sim = Sim::settled();
        sim.message(neighbour(5353), &Message { answers: vec![known_pointer(ttl)], ..pointer_question() });
        sim.run(ms(20_000));
        assert_eq!(sim.log.len(), answers, "known for {ttl} s");
    }
}

#[test]
fn known_answers_that_follow_in_a_second_message_are_waited_for() {
    let mut sim = Sim::settled();
    sim.message(neighbour(5353), &Message { truncated: true, ..pointer_question() });
    sim.run(ms(11_300));
    sim.message(neighbour(5353), &Message { answers: vec![known_pointer(4000)], ..Message::default() });
    sim.run(ms(20_000));
    assert_eq!(sim.taken(), "");

    // Another host's known answers don't silence us.
    let mut sim = Sim::settled();
    sim.message(neighbour(5353), &Message { truncated: true, ..pointer_question() });
    let other = SocketAddrV6::new(ip("fe80::6"), 5353, 0, INTERFACE);
    sim.message(other, &Message { answers: vec![known_pointer(4000)], ..Message::default() });
    sim.run(ms(20_000));
    assert_eq!(sim.log.len(), 1);
    assert!(sim.log[0].starts_with("114"), "400 to 500 ms later: {}", sim.log[0]);
}

#[test]
fn a_record_is_multicast_once_a_second_at_most() {
    let mut sim = Sim::settled();
    for step in 0..400 {
        sim.run(ms(11_000 + step * 10));
        sim.asks(5353, &[(TYPE, Kind::Ptr, false), ("iPhone15-Pro.local", Kind::Aaaa, false)]);
    }
    sim.run(ms(20_000));
    for record in ["PTR ncm", "AAAA fe80"] {
        let times = sim.log.iter().filter(|line| line.contains(record)).count();
        assert!((4..=6).contains(&times), "{record}: {times} in 4 s");
    }
}

#[test]
fn unicast_answers_have_a_limit_and_one_answer_for_any_number_of_questions() {
    let mut sim = Sim::settled();
    let (mut asked, mut answered) = (0, 0);
    for _ in 0..1000 {
        let questions = vec![Question { unicast: true, ..Question::new(name(TYPE), Kind::Any) }; 60];
        let query = Message { questions, ..Message::default() };
        let bytes = codec::encode(&query, &Limits::default()).unwrap();
        asked += bytes.len();
        for action in sim.responder.on(sim.now, Input::Datagram { from: neighbour(40_000), bytes: &bytes }) {
            let Action::Send { bytes, .. } = action else { panic!("only answers") };
            answered += bytes.len();
        }
    }
    assert_eq!(sim.responder.counters().rate_limited, 960);
    assert!(answered < asked / 10, "{answered} bytes for {asked}");
    // A question from port 5353 falls back to multicast.
    sim.asks(5353, &[(TYPE, Kind::Ptr, true)]);
    sim.run(ms(12_000));
    assert!(sim.log.iter().all(|line| line.contains("to group")) && sim.log.len() == 1, "{}", sim.taken());
}

#[test]
fn changed_addresses_say_goodbye_and_are_announced_twice() {
    let mut sim = Sim::settled();
    sim.input(Input::LinkChanged(vec![ip("fe80::2"), ip("fd00::2")]));
    sim.run(ms(20_000));
    insta::assert_snapshot!(sim.taken());
}

#[test]
fn the_same_addresses_are_announced_again_for_new_neighbours() {
    let mut sim = Sim::settled();
    sim.input(Input::LinkChanged(ncm().addresses));
    sim.run(ms(20_000));
    assert_eq!(sim.log.len(), 2);
}

#[test]
fn without_addresses_it_is_silent_until_there_are_some() {
    let mut sim = Sim::new(&ncm().with_addresses([]));
    sim.run(ms(5000));
    sim.asks(5353, &[(TYPE, Kind::Ptr, false)]);
    sim.run(ms(10_000));
    assert_eq!((sim.taken().as_str(), sim.responder.deadline()), ("", None));
    sim.input(Input::LinkChanged(vec![ip("fe80::2")]));
    sim.run(ms(20_000));
    assert_eq!(sim.log.len(), 2);
    sim.log.clear();
    sim.input(Input::LinkChanged(Vec::new()));
    sim.run(ms(30_000));
    assert!(sim.log.len() == 1 && sim.log[0].contains(" 0 flush AAAA fe80::2"), "{}", sim.taken());
}

#[test]
fn an_announcement_that_was_not_sent_is_tried_again_after_200_ms() {
    let mut sim = Sim::new(&ncm());
    sim.run(ms(0));
    sim.input(Input::SendFailed);
    sim.run(ms(200));
    sim.input(Input::SendFailed);
    sim.run(ms(5000));
    let times: Vec<_> = sim.log.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(times, ["0", "200", "400", "1400"]);
}

#[test]
fn shutdown_says_goodbye_once_and_answers_nothing_any_more() {
    let mut sim = Sim::settled();
    sim.input(Input::Shutdown);
    insta::assert_snapshot!(sim.taken());
    sim.input(Input::Shutdown);
    sim.asks(40_000, &[(TYPE, Kind::Ptr, true)]);
    sim.input(Input::LinkChanged(vec![ip("fe80::2")]));
    sim.run(ms(60_000));
    assert_eq!(sim.taken(), "");
}

#[test]
fn another_host_with_our_name_is_reported_once_a_minute_and_we_carry_on() {
    let mut sim = Sim::settled();
    let data = Data::Srv { priority: 0, weight: 0, port: 1, target: name("imposter.local") };
    let record = Record { name: name("ncm._remoted._tcp.local"), ttl: 120, flush: true, data };
    let claim = Message { response: true, answers: vec![record], ..Message::default() };
    for _ in 0..10 {
        sim.message(neighbour(5353), &claim);
    }
    let expected = "11000 conflict [fe80::5%34]:5353 \
                    ncm._remoted._tcp.local 120 flush SRV 0 0 1 imposter.local";
    assert_eq!(sim.taken(), expected);
    assert_eq!(sim.responder.counters().conflicts, 10);
    sim.asks(40_000, &[(TYPE, Kind::Ptr, true)]);
    assert_eq!(sim.log.len(), 1);
}

#[test]
fn our_own_messages_coming_back_are_no_conflict() {
    let mut sim = Sim::new(&ncm());
    for action in sim.responder.on(ms(0), Input::Timer) {
        let Action::Send { bytes, .. } = action else { panic!("only messages") };
        let own = SocketAddrV6::new(ip("fe80::fcae:76ff:fe72:f8b7"), 5353, 0, INTERFACE);
        sim.input(Input::Datagram { from: own, bytes: &bytes });
    }
    assert_eq!(sim.responder.counters().conflicts, 0);
    assert_eq!(sim.taken(), "");
}

#[test]
fn questions_from_other_links_and_garbage_are_counted() {
    let mut sim = Sim::settled();
    let bytes = codec::encode(&pointer_question(), &Limits::default()).unwrap();
    let elsewhere = SocketAddrV6::new(ip("fe80::5"), 40_000, 0, INTERFACE + 1);
    let global = SocketAddrV6::new(ip("2001:db8::5"), 40_000, 0, 0);
    for from in [elsewhere, global] {
        sim.input(Input::Datagram { from, bytes: &bytes });
    }
    sim.input(Input::Datagram { from: neighbour(40_000), bytes: &[0; 5] });
    sim.run(ms(20_000));
    assert_eq!(sim.taken(), "");
    let expected = Counters { malformed: 1, foreign: 2, ..Counters::default() };
    assert_eq!(sim.responder.counters(), expected);
}
