//! The plan against a clock that the test turns.

use proptest::prelude::*;

use super::*;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn ip(number: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, number)
}

struct Sim {
    plan: Plan,
    now: Duration,
    echoes: Vec<Duration>,
}

impl Sim {
    fn new() -> Self {
        let plan = Plan::new(s(0), BTreeSet::from([ip(0xc0)]), 7);
        Self { plan, now: s(0), echoes: Vec::new() }
    }

    /// What is to be done, echoes aside: those are noted.
    fn on(&mut self, input: Input) -> Vec<Action> {
        let mut actions = self.plan.on(self.now, input);
        let echoes = actions.extract_if(.., |action| *action == Action::Echo);
        self.echoes.extend(echoes.map(|_| self.now));
        actions
    }

    /// Runs the timer until then; gives what it brought.
    fn run(&mut self, until: Duration) -> Vec<Action> {
        let mut actions = Vec::new();
        while self.plan.deadline() <= until {
            self.now = self.plan.deadline().max(self.now);
            actions.extend(self.on(Input::Timer));
            assert!(self.plan.deadline() > self.now, "a deadline that stays");
        }
        self.now = until;
        actions
    }

    /// The next round, in which these answer.
    fn round(&mut self, answers: &[u16]) -> Vec<Action> {
        let mut actions = self.run(self.plan.deadline());
        actions.extend(answers.iter().flat_map(|number| self.on(Input::Answered(ip(*number)))));
        actions
    }

    fn known(&mut self, numbers: &[u16]) -> Vec<Action> {
        self.on(Input::Known(numbers.iter().map(|number| (ip(*number), false)).collect()))
    }

    fn resting(&mut self, numbers: &[u16]) -> Vec<Action> {
        self.on(Input::Known(numbers.iter().map(|number| (ip(*number), true)).collect()))
    }
}

#[test]
fn an_echo_after_three_seconds_of_silence_and_then_about_each_half_minute() {
    let mut sim = Sim::new();
    assert_eq!(sim.run(s(303)), []);
    assert_eq!(sim.echoes[0], s(3));
    assert!((9..=13).contains(&sim.echoes.len()), "{:?}", sim.echoes);
    let pauses: BTreeSet<_> = sim.echoes.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    assert!(pauses.len() > 5 && pauses.iter().all(|pause| (24_000..=36_000).contains(pause)), "{pauses:?}");
}

#[test]
fn what_is_announced_makes_echoes_rare_and_its_end_brings_one() {
    let mut sim = Sim::new();
    sim.run(s(1));
    sim.on(Input::Announced(ip(1)));
    sim.run(s(1000));
    assert!((2..=4).contains(&sim.echoes.len()) && sim.echoes[0] > s(200), "{:?}", sim.echoes);
    sim.on(Input::Retracted(ip(1)));
    let before = sim.echoes.len();
    sim.run(s(1003));
    assert_eq!(sim.echoes.len(), before + 1);
}

#[test]
fn where_too_many_announce_themselves_neighbours_are_asked_as_if_nobody_did() {
    let mut sim = Sim::new();
    (1..=64).for_each(|number| drop(sim.on(Input::Announced(ip(number)))));
    sim.run(s(303));
    assert!((9..=13).contains(&sim.echoes.len()), "{:?}", sim.echoes);
    assert_eq!(sim.round(&[100]), [Action::Try(ip(100))]);
}

#[test]
fn a_neighbour_is_tried_once_and_reported_when_its_port_is_open() {
    let mut sim = Sim::new();
    assert_eq!(sim.round(&[1, 2]), [Action::Try(ip(1)), Action::Try(ip(2))]);
    assert_eq!(sim.on(Input::Tried(ip(1), true)), [Action::Sighted(ip(1))]);
    assert_eq!(sim.on(Input::Tried(ip(2), false)), []);
    assert_eq!(sim.round(&[1, 2]), [], "neither again");
    assert_eq!(sim.on(Input::Tried(ip(9), true)), [], "who was not tried");
}

#[test]
fn ourselves_phones_that_are_known_and_what_the_configuration_names_are_not_tried() {
    let mut sim = Sim::new();
    sim.on(Input::Own(BTreeSet::from([ip(1)])));
    sim.known(&[2]);
    sim.on(Input::Announced(ip(3)));
    assert_eq!(sim.round(&[1, 2, 3, 0xc0]), []);
    let global = "2001:db8::1".parse().unwrap();
    assert_eq!(sim.on(Input::Answered(global)), []);
    assert_eq!(sim.round(&[4]), [Action::Try(ip(4))]);
}

#[test]
fn who_becomes_known_while_it_is_tried_is_not_reported() {
    let mut sim = Sim::new();
    assert_eq!(sim.round(&[1, 2]).len(), 2);
    sim.known(&[1]);
    sim.on(Input::Announced(ip(2)));
    assert_eq!(sim.on(Input::Tried(ip(1), true)), []);
    assert_eq!(sim.on(Input::Tried(ip(2), true)), []);
}

#[test]
fn who_refuses_rests_a_minute_and_then_ten() {
    let mut sim = Sim::new();
    let mut tried = Vec::new();
    while sim.now < s(3600) {
        for action in sim.round(&[1]) {
            assert_eq!(action, Action::Try(ip(1)));
            tried.push(sim.now);
            sim.on(Input::Tried(ip(1), false));
        }
    }
    let rests: Vec<_> = tried.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
    assert!((48..=110).contains(&rests[0]), "{rests:?}");
    assert!(rests[1..].iter().all(|rest| (480..=760).contains(rest)) && rests.len() >= 5, "{rests:?}");
}

#[test]
fn eight_at_once_and_sixty_four_at_most() {
    let mut sim = Sim::new();
    let all: Vec<u16> = (1..=200).collect();
    assert_eq!(sim.round(&all).len(), AT_ONCE);
    let mut tried = AT_ONCE;
    for number in 1..=REMEMBERED as u16 {
        let next = sim.on(Input::Tried(ip(number), false));
        assert!(next.len() <= 1);
        tried += next.len();
    }
    assert_eq!(tried, REMEMBERED);
}

#[test]
fn on_a_crowded_link_everybody_gets_a_turn_and_nobody_is_bothered() {
    let mut sim = Sim::new();
    let all: Vec<u16> = (1000..1200).collect();
    let mut tries = BTreeMap::<Ipv6Addr, u32>::new();
    while sim.now < s(7200) {
        let mut actions = sim.round(&all);
        while let Some(action) = actions.pop() {
            let Action::Try(address) = action else { panic!("nobody was ever reported: {action:?}") };
            *tries.entry(address).or_default() += 1;
            actions.extend(sim.on(Input::Tried(address, false)));
        }
    }
    assert_eq!(tries.len(), 200);
    assert!(tries.values().all(|tries| *tries <= 24), "{tries:?}");
}

#[test]
fn a_neighbour_that_goes_silent_is_forgotten_after_three_rounds() {
    let mut sim = Sim::new();
    sim.round(&[1, 2]);
    sim.on(Input::Tried(ip(1), true));
    sim.on(Input::Tried(ip(2), false));
    for _ in 0..3 {
        assert_eq!(sim.round(&[]), []);
    }
    assert_eq!(
        sim.round(&[2]),
        [Action::Unsighted(ip(1)), Action::Try(ip(2))],
        "2 is back: a phone that restarted"
    );
    assert_eq!(sim.round(&[1]), [Action::Try(ip(1))]);
}

#[test]
fn a_known_phone_is_never_taken_back_and_tried_again_once_it_is_unknown() {
    let mut sim = Sim::new();
    sim.round(&[1]);
    sim.on(Input::Tried(ip(1), true));
    sim.known(&[1]);
    for _ in 0..5 {
        assert_eq!(sim.round(&[]), []);
    }
    let at = sim.now;
    sim.known(&[]);
    assert_eq!(sim.round(&[1]), [Action::Try(ip(1))]);
    assert!(sim.now <= at + s(3), "an echo soon after the only phone has gone");
}

#[test]
fn a_phone_that_rests_is_taken_back_when_it_answers_no_echo() {
    let mut sim = Sim::new();
    sim.round(&[1]);
    sim.on(Input::Tried(ip(1), true));
    sim.known(&[1]);
    sim.run(s(10));
    assert_eq!(sim.resting(&[1]), []);
    assert!(sim.plan.deadline() <= s(13), "no failure of it would be seen");
    for _ in 0..5 {
        assert_eq!(sim.round(&[1]), [], "it is there, and left alone");
    }
    for _ in 0..3 {
        assert_eq!(sim.round(&[]), []);
    }
    let before = sim.now;
    assert_eq!(sim.round(&[]), [Action::Unsighted(ip(1))]);
    assert!(sim.now - before <= s(36));
    sim.known(&[]);
    assert_eq!(sim.round(&[1]), [Action::Try(ip(1))], "attached again");
}

#[test]
fn a_refresh_asks_at_once_and_forgives() {
    let mut sim = Sim::new();
    sim.round(&[1, 2]);
    sim.on(Input::Tried(ip(1), true));
    sim.on(Input::Tried(ip(2), false));
    sim.run(s(5));
    let before = sim.echoes.len();
    assert_eq!(sim.on(Input::Refresh), [Action::Sighted(ip(1))]);
    assert_eq!(sim.echoes.len(), before + 1);
    assert_eq!(sim.on(Input::Answered(ip(2))), [Action::Try(ip(2))]);
    for _ in 0..100 {
        sim.on(Input::Refresh);
    }
    sim.run(s(7));
    assert!(sim.echoes.len() <= before + 3, "{:?}", sim.echoes);
}

fn input() -> impl Strategy<Value = Input> {
    let numbers = || prop::collection::btree_set((1_u16..100).prop_map(ip), 0..5);
    prop_oneof![
        1 => Just(Input::Timer),
        1 => Just(Input::Refresh),
        1 => numbers().prop_map(Input::Own),
        1 => (numbers(), any::<bool>()).prop_map(|(numbers, resting)| {
            Input::Known(numbers.into_iter().map(|address| (address, resting)).collect())
        }),
        1 => (1_u16..100).prop_map(|number| Input::Announced(ip(number))),
        1 => (1_u16..100).prop_map(|number| Input::Retracted(ip(number))),
        6 => (1_u16..100).prop_map(|number| Input::Answered(ip(number))),
        4 => ((1_u16..100), any::<bool>()).prop_map(|(number, open)| Input::Tried(ip(number), open)),
    ]
}

proptest! {
    #[test]
    fn bounds_hold_whatever_happens(steps in prop::collection::vec((0_u64..5000, input()), 1..300)) {
        let mut plan = Plan::new(s(0), BTreeSet::new(), 1);
        let (mut now, mut trying, mut spoken_for) = (s(0), BTreeSet::new(), BTreeSet::new());
        let (mut own, mut known, mut last_echo) = (BTreeSet::new(), Known::new(), None::<Duration>);
        for (pause, input) in steps {
            now += Duration::from_millis(pause);
            match &input {
                Input::Own(addresses) => own = addresses.clone(),
                Input::Known(addresses) => known = addresses.clone(),
                Input::Announced(address) => { spoken_for.insert(*address); }
                Input::Retracted(address) => { spoken_for.remove(address); }
                Input::Tried(address, _) => { trying.remove(address); }
                _ => {}
            }
            for action in plan.on(now, input) {
                match action {
                    Action::Try(address) => {
                        let known = known.contains_key(&address);
                        let free = !known && ![&own, &spoken_for].iter().any(|set| set.contains(&address));
                        prop_assert!(free, "{} is no unknown neighbour", address);
                        trying.insert(address);
                    }
                    Action::Echo => {
                        prop_assert!(last_echo.is_none_or(|last| now - last >= SPACING));
                        last_echo = Some(now);
                    }
                    Action::Sighted(address) => {
                        prop_assert!(!own.contains(&address) && !known.contains_key(&address));
                    }
                    Action::Unsighted(address) => prop_assert!(!is_in_use(&known, &address)),
                }
            }
            prop_assert!(plan.neighbours.len() <= REMEMBERED);
            prop_assert!(plan.deadline() > now);
        }
    }
}
