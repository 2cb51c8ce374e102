use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn machine() -> Machine {
    Machine::new(Policy::default(), true, 7)
}

/// A machine whose tunnel is usable since zero.
fn usable() -> Machine {
    let mut machine = machine();
    machine.on(Duration::ZERO, Event::Sighted);
    for _ in 0..4 {
        machine.on(Duration::ZERO, Event::Done);
    }
    assert_eq!(machine.state(), State::CatalogueKnown);
    machine
}

#[test]
fn each_hop_follows_the_one_before() {
    let mut machine = machine();
    let mut way = machine.on(Duration::ZERO, Event::Sighted);
    for _ in 0..4 {
        way.extend(machine.on(Duration::ZERO, Event::Done));
    }
    let hops = [Hop::Rsd, Hop::Pair { may_ask: true }, Hop::Tunnel, Hop::Catalogue];
    assert_eq!(way, hops.map(Action::Begin));
    assert_eq!((machine.state(), machine.deadline()), (State::CatalogueKnown, None));
}

#[test]
fn a_hop_that_is_late_is_tried_again_after_a_pause() {
    let mut machine = machine();
    machine.on(Duration::ZERO, Event::Sighted);
    let late = machine.deadline().unwrap();
    assert_eq!(late, Policy::default().rsd);
    assert_eq!(machine.on(late, Event::Tick), [Action::Reset]);
    assert_eq!(machine.state(), State::Down);
    let again = machine.retry_at().unwrap();
    assert!(again > late && again < late + SECOND);
    assert_eq!(machine.on(again, Event::Tick), [Action::Reset, Action::Begin(Hop::Rsd)]);
    assert_eq!(machine.failures(), 1);
}

#[test]
fn the_user_has_longer_than_the_phone_and_then_a_person_is_asked_for() {
    let mut machine = machine();
    machine.on(Duration::ZERO, Event::Sighted);
    machine.on(Duration::ZERO, Event::Done);
    machine.on(SECOND, Event::AwaitingTrust);
    assert_eq!(machine.state(), State::AwaitingTrust);
    assert_eq!(machine.reason().unwrap().next_step.as_deref(), Some("tap Trust on the phone"));
    let late = machine.deadline().unwrap();
    assert_eq!(late, SECOND + Policy::default().trust);
    machine.on(late, Event::Tick);
    assert_eq!((machine.state(), machine.deadline()), (State::Held, None), "nobody is asked over and over");
    assert_eq!(machine.on(late, Event::Pair), [Action::Reset, Action::Begin(Hop::Rsd)]);
}

#[test]
fn a_phone_says_when_it_may_be_tried_again() {
    let mut machine = machine();
    machine.on(Duration::ZERO, Event::Sighted);
    let failure = Failure { kind: Kind::RetryAfter(8316 * SECOND), ..Failure::retry("too many attempts") };
    machine.on(SECOND, Event::Failed(failure));
    assert_eq!(machine.retry_at(), Some(8317 * SECOND));
}

#[test]
fn a_phone_that_asks_for_no_pause_or_for_ever_gets_a_pause_of_ours() {
    for (asked, least, most) in [
        (Duration::ZERO, Duration::from_millis(1), 60 * SECOND),
        (Duration::MAX, LONGEST_PAUSE, LONGEST_PAUSE),
    ] {
        let mut machine = machine();
        machine.on(Duration::ZERO, Event::Sighted);
        let failure = Failure { kind: Kind::RetryAfter(asked), ..Failure::retry("too many attempts") };
        machine.on(SECOND, Event::Failed(failure));
        let pause = machine.retry_at().unwrap() - SECOND;
        assert!(pause >= least && pause <= most, "{pause:?}");
    }
}

#[test]
fn a_phone_that_says_again_that_it_asks_its_user_gets_no_more_time() {
    let mut machine = machine();
    machine.on(Duration::ZERO, Event::Sighted);
    machine.on(Duration::ZERO, Event::Done);
    machine.on(SECOND, Event::AwaitingTrust);
    let late = machine.deadline();
    machine.on(100 * SECOND, Event::AwaitingTrust);
    assert_eq!(machine.deadline(), late);
}

#[test]
fn another_deadline_holds_for_the_next_question() {
    let mut machine = machine();
    machine.on(Duration::ZERO, Event::Sighted);
    machine.on(Duration::ZERO, Event::Done);
    machine.reconfigure(Policy { trust: 600 * SECOND, ..Policy::default() }, true);
    machine.on(SECOND, Event::AwaitingTrust);
    assert_eq!(machine.deadline(), Some(601 * SECOND));
}

#[test]
fn no_tunnel_is_asked_for_where_pairing_needs_a_command() {
    let mut machine = Machine::new(Policy::default(), false, 7);
    machine.on(Duration::ZERO, Event::Sighted);
    assert_eq!(machine.on(Duration::ZERO, Event::Done), [Action::Begin(Hop::Pair { may_ask: false })]);
    machine.on(Duration::ZERO, Event::Failed(Failure::new(Kind::Hold, "not paired", "pair")));
    machine.on(Duration::ZERO, Event::Pair);
    assert_eq!(machine.on(Duration::ZERO, Event::Done), [Action::Begin(Hop::Pair { may_ask: true })]);
}

#[test]
fn a_goodbye_makes_a_tunnel_suspect_until_it_ends_or_holds() {
    let mut machine = usable();
    assert_eq!(machine.on(SECOND, Event::Unsighted), []);
    assert_eq!(machine.state(), State::Suspect);
    let until = machine.deadline().unwrap();
    machine.on(until, Event::Tick);
    assert_eq!(machine.state(), State::CatalogueKnown, "the tunnel lives, so the phone does");

    let mut machine = usable();
    machine.on(SECOND, Event::Unsighted);
    machine.on(2 * SECOND, Event::TunnelEnded("no answer".to_owned()));
    assert_eq!(machine.state(), State::Down);
}

#[test]
fn a_suspect_that_is_seen_again_is_trusted_again() {
    let mut machine = usable();
    machine.on(SECOND, Event::Unsighted);
    assert_eq!(machine.on(SECOND, Event::Sighted), []);
    assert_eq!((machine.state(), machine.deadline()), (State::CatalogueKnown, None));
}

#[test]
fn an_address_that_nobody_announces_is_given_up() {
    let mut machine = usable();
    machine.on(SECOND, Event::Unsighted);
    let mut now = 20 * SECOND;
    let mut actions = machine.on(now, Event::TunnelEnded("no answer".to_owned()));
    for _ in 1..Policy::default().unannounced_attempts {
        assert_eq!(actions, [Action::Reset]);
        now = machine.retry_at().unwrap();
        machine.on(now, Event::Tick);
        actions = machine.on(now, Event::Failed(Failure::unreachable("no route")));
    }
    now = machine.retry_at().unwrap();
    machine.on(now, Event::Tick);
    assert_eq!(
        machine.on(now, Event::Failed(Failure::unreachable("no route"))),
        [Action::Reset, Action::Forget]
    );
}

#[test]
fn who_is_announced_no_more_and_waits_for_somebody_is_gone() {
    let gone = [Action::Reset, Action::Forget];
    for event in [Event::Superseded, Event::Stop, Event::Forgotten] {
        let mut machine = usable();
        machine.on(SECOND, Event::Unsighted);
        assert_eq!(machine.on(SECOND, event), gone);
    }
    let mut machine = machine();
    machine.on(Duration::ZERO, Event::Sighted);
    machine.on(Duration::ZERO, Event::Done);
    machine.on(SECOND, Event::AwaitingTrust);
    assert_eq!(machine.on(2 * SECOND, Event::Unsighted), [], "its user may still tap Trust");
    assert_eq!(machine.on(machine.deadline().unwrap(), Event::Tick), gone);
}

#[test]
fn a_neighbour_whose_leaving_nobody_would_tell_is_given_up_when_it_fails() {
    let mut machine = machine();
    machine.set_spoken_for(false);
    let mut actions = machine.on(Duration::ZERO, Event::Sighted);
    for _ in 0..Policy::default().unannounced_attempts {
        assert_eq!(actions.last(), Some(&Action::Begin(Hop::Rsd)));
        actions = machine.on(Duration::ZERO, Event::Failed(Failure::unreachable("no route")));
        if let Some(at) = machine.retry_at().filter(|_| actions == [Action::Reset]) {
            actions = machine.on(at, Event::Tick);
        }
    }
    assert_eq!(actions, [Action::Reset, Action::Forget]);
}

#[test]
fn a_neighbour_that_answers_is_not_given_up_however_often_it_fails() {
    for (kind, state) in
        [(Kind::Retry, State::Down), (Kind::Hold, State::Held), (Kind::Locked, State::Locked)]
    {
        let mut machine = machine();
        machine.set_spoken_for(false);
        machine.on(Duration::ZERO, Event::Sighted);
        let mut now = Duration::ZERO;
        for _ in 0..2 * Policy::default().unannounced_attempts {
            assert_eq!(machine.on(now, Event::Failed(Failure::retry("no"))), [Action::Reset]);
            now = machine.retry_at().unwrap();
            machine.on(now, Event::Tick);
        }
        assert_eq!(machine.on(now, Event::Failed(Failure::new(kind, "no", "wait"))), [Action::Reset]);
        assert_eq!(machine.state(), state);
    }
    let mut machine = machine();
    machine.set_spoken_for(false);
    machine.on(Duration::ZERO, Event::Sighted);
    let pause = Failure { kind: Kind::RetryAfter(8316 * SECOND), ..Failure::retry("too many attempts") };
    (0..3).for_each(|_| drop(machine.on(SECOND, Event::Failed(pause.clone()))));
    assert_eq!(machine.retry_at(), Some(8317 * SECOND), "what it asked for holds");
}

#[test]
fn a_person_who_asks_for_a_pairing_asks_for_one() {
    let may_ask = |machine: &mut Machine| machine.on(SECOND, Event::Done);
    let mut machine = Machine::new(Policy::default(), false, 7);
    machine.on(Duration::ZERO, Event::Sighted);
    machine.on(Duration::ZERO, Event::Pair);
    assert_eq!(
        may_ask(&mut machine),
        [Action::Begin(Hop::Pair { may_ask: true })],
        "also while it introduces itself"
    );
    machine.on(SECOND, Event::Failed(Failure::new(Kind::Hold, "Don't Trust", "pair again")));
    machine.on(SECOND, Event::Start);
    assert_eq!(may_ask(&mut machine), [Action::Begin(Hop::Pair { may_ask: false })], "the answer was no");
    assert_eq!(machine.on(SECOND, Event::Pair), [Action::Reset, Action::Begin(Hop::Rsd)]);
    assert_eq!(may_ask(&mut machine), [Action::Begin(Hop::Pair { may_ask: true })]);

    let mut machine = usable();
    machine.reconfigure(Policy::default(), false);
    assert_eq!(machine.on(SECOND, Event::Pair), []);
    machine.on(SECOND, Event::Forgotten);
    machine.on(SECOND, Event::Start);
    assert_eq!(
        may_ask(&mut machine),
        [Action::Begin(Hop::Pair { may_ask: false })],
        "it was paired when asked"
    );
}

#[test]
fn a_phone_that_was_locked_for_long_is_tried_again_soon_when_something_fails() {
    let mut machine = machine();
    machine.on(Duration::ZERO, Event::Sighted);
    let mut now = Duration::ZERO;
    for _ in 0..20 {
        machine.on(now, Event::Failed(Failure::new(Kind::Locked, "it hides", "unlock the phone")));
        now = machine.retry_at().unwrap();
        machine.on(now, Event::Tick);
    }
    machine.on(now, Event::Failed(Failure::retry("no")));
    assert_eq!(machine.failures(), 1);
    assert!(machine.retry_at().unwrap() < now + SECOND);
}

#[test]
fn who_works_has_no_failures_in_a_row() {
    let mut machine = usable();
    machine.on(SECOND, Event::TunnelEnded("short".to_owned()));
    let now = machine.retry_at().unwrap();
    machine.on(now, Event::Tick);
    assert_eq!(machine.failures(), 1);
    (0..4).for_each(|_| drop(machine.on(now, Event::Done)));
    assert_eq!(machine.failures(), 0);
}

#[test]
fn a_stopped_tunnel_stays_down_until_started_or_attached_again() {
    let mut machine = usable();
    assert_eq!(machine.on(SECOND, Event::Stop), [Action::Reset]);
    assert_eq!((machine.state(), machine.deadline()), (State::Stopped, None));
    for event in [Event::Sighted, Event::Refresh, Event::Tick] {
        assert_eq!(machine.on(SECOND, event), []);
    }
    assert_eq!(machine.on(SECOND, Event::Moved), [Action::Reset, Action::Begin(Hop::Rsd)]);
    machine.on(SECOND, Event::Stop);
    assert_eq!(machine.on(SECOND, Event::Start), [Action::Reset, Action::Begin(Hop::Rsd)]);
}

#[test]
fn a_cancelled_tunnel_comes_back_and_nothing_else_is_disturbed() {
    let mut machine = usable();
    assert_eq!(machine.on(SECOND, Event::Cancelled), [Action::Reset]);
    assert_eq!((machine.state(), machine.failures()), (State::Down, 0));
    assert_eq!(machine.on(SECOND, Event::Cancelled), []);
    let at = machine.retry_at().unwrap();
    assert_eq!(machine.on(at, Event::Tick), [Action::Reset, Action::Begin(Hop::Rsd)]);
    machine.on(at, Event::Done);
    machine.on(at, Event::AwaitingTrust);
    assert_eq!(machine.on(at, Event::Cancelled), [], "its user is asked on");
}

#[test]
fn failures_are_forgiven_after_a_tunnel_that_held() {
    let mut machine = usable();
    machine.on(SECOND, Event::TunnelEnded("short".to_owned()));
    assert_eq!(machine.failures(), 1);
    let now = machine.retry_at().unwrap();
    machine.on(now, Event::Tick);
    (0..4).for_each(|_| drop(machine.on(now, Event::Done)));
    machine.on(now, Event::TunnelEnded("short again".to_owned()));
    assert_eq!(machine.failures(), 2);
    let now = machine.retry_at().unwrap();
    machine.on(now, Event::Tick);
    (0..4).for_each(|_| drop(machine.on(now, Event::Done)));
    machine.on(now + 60 * SECOND, Event::TunnelEnded("after a minute".to_owned()));
    assert_eq!(machine.failures(), 1);
}

#[test]
fn a_spare_waits_until_the_other_way_is_gone() {
    let mut machine = usable();
    assert_eq!(machine.on(SECOND, Event::Superseded), [Action::Reset]);
    assert_eq!(machine.on(SECOND, Event::Sighted), []);
    assert_eq!(machine.on(SECOND, Event::Promoted), [Action::Reset, Action::Begin(Hop::Rsd)]);
}

#[test]
fn two_ways_that_fail_do_not_chase_each_other() {
    let mut fresh = usable();
    fresh.on(SECOND, Event::Superseded);
    assert_eq!(fresh.on(SECOND, Event::OtherFailed), [Action::Reset, Action::Begin(Hop::Rsd)]);
    fresh.on(SECOND, Event::Failed(Failure::retry("no route")));
    fresh.on(SECOND, Event::Superseded);
    assert_eq!(fresh.on(SECOND, Event::OtherFailed), [Action::Reset]);
    assert!(fresh.retry_at().unwrap() > SECOND);
}

#[test]
fn the_loss_of_the_link_ends_everything() {
    assert_eq!(usable().on(SECOND, Event::LinkLost), [Action::Reset, Action::Forget]);
}

proptest::proptest! {
    /// Whatever happens: at most one hop runs, a state that waits has a deadline, and time never makes it spin.
    #[test]
    fn any_sequence_keeps_the_machine_whole(events in proptest::collection::vec((0_u8..21, 0_u64..40), 0..200)) {
        let mut machine = machine();
        let mut now = Duration::ZERO;
        let mut running = false;
        for (event, seconds) in events {
            now += Duration::from_secs(seconds);
            let event = any(event);
            // Outcomes only come of a hop, and an end only of a tunnel.
            let outcome = matches!(event, Event::Done | Event::Failed(_) | Event::AwaitingTrust);
            let ends = matches!(event, Event::TunnelEnded(_));
            if (outcome && !running) || (ends && !machine.state().is_usable()) {
                continue;
            }
            running = running && !matches!(event, Event::Done);
            for action in machine.on(now, event) {
                match action {
                    Action::Begin(_) => {
                        proptest::prop_assert!(!running, "two hops at once");
                        running = true;
                    }
                    Action::Reset => running = false,
                    Action::Forget => return Ok(()),
                }
            }
            let waits = matches!(machine.state(), State::Down | State::Locked);
            proptest::prop_assert_eq!(running || waits || machine.state() == State::Suspect, machine.deadline().is_some());
            proptest::prop_assert!(machine.on(now, Event::Tick).len() <= 2);
            if let Some(deadline) = machine.deadline() {
                proptest::prop_assert!(deadline > now, "a tick must move it on");
            }
            running = machine.deadline().is_some() && !waits_only(&machine);
        }
    }
}

fn waits_only(machine: &Machine) -> bool {
    matches!(machine.state(), State::Down | State::Locked | State::Suspect)
}

fn any(number: u8) -> Event {
    match number {
        0 => Event::Sighted,
        1 => Event::Moved,
        2 => Event::Unsighted,
        3 => Event::Start,
        4 => Event::Pair,
        5 => Event::Stop,
        6 => Event::Refresh,
        7 => Event::Superseded,
        8 => Event::Promoted,
        9 => Event::Tick,
        10 => Event::AwaitingTrust,
        11 => Event::Failed(Failure::retry("x")),
        12 => Event::Failed(Failure::new(Kind::Hold, "x", "y")),
        13 => Event::TunnelEnded("x".to_owned()),
        14 => Event::Forgotten,
        15 => Event::Reconsidered,
        16 => Event::OtherFailed,
        17 => Event::Failed(Failure::unreachable("x")),
        19 => Event::Cancelled,
        18 => Event::Failed(Failure::new(Kind::Locked, "x", "y")),
        _ => Event::Done,
    }
}
