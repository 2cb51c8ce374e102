//! What goes wrong: each has an end, with its name.

use super::*;

#[test]
fn a_mode_that_is_refused_is_asked_for_three_times() {
    let mut world = World::new();
    for _ in 0..5 {
        world.failures.push((Work::SetMode(3), Failure::Refused));
    }
    world.look().pass(60 * SECOND);
    assert_eq!(
        (world.state(), world.reason(), world.count(Work::SetMode(3))),
        (State::Held, "mode-refused", 3)
    );
    world.failures.clear();
    world.event(Event::Refresh);
    assert_eq!(world.state(), State::Switching, "a person asked for another attempt");
}

#[test]
fn a_phone_that_knows_no_modes_is_too_old() {
    let mut world = World::new();
    world.failures.push((Work::GetMode, Failure::Refused));
    world.look().pass(600 * SECOND);
    assert_eq!((world.state(), world.reason(), world.count(Work::SetMode(3))), (State::Held, "too-old", 0));
    world.leave_bus();
    assert!(world.forgotten);
}

#[test]
fn consent_without_departure_is_not_for_ever() {
    let mut world = World::new();
    world.look().pass(60 * SECOND);
    assert_eq!(
        (world.state(), world.reason(), world.count(Work::SetMode(3))),
        (State::Held, "not-switched", 3)
    );
}

#[test]
fn a_phone_that_comes_back_without_ncm_is_not_asked_for_ever() {
    let mut world = World::new();
    world.look();
    for _ in 0..3 {
        world.leave_bus().come_back(false).pass(2 * SECOND);
    }
    assert_eq!(
        (world.state(), world.reason(), world.count(Work::SetMode(3))),
        (State::Held, "not-switched", 3)
    );
}

#[test]
fn a_phone_that_does_not_come_back_is_gone() {
    let mut world = World::new();
    world.look().leave_bus().pass(9 * SECOND);
    assert_eq!(world.state(), State::Switching, "slow is not gone");
    world.pass(SECOND);
    assert_eq!((world.state(), world.reason(), world.forgotten), (State::Gone, "not-back", true));
}

#[test]
fn a_lost_answer_is_consent_until_the_bus_says_otherwise() {
    for failure in [Failure::Late, Failure::Gone] {
        let mut world = World::new();
        world.failures.push((Work::SetMode(3), failure));
        world.look().pass(5 * SECOND);
        assert_eq!((world.state(), world.count(Work::SetMode(3))), (State::Switching, 1));
        world.leave_bus().come_back(true).pass(SECOND);
        assert_eq!(world.state(), State::Joined);
    }
}

#[test]
fn a_look_that_is_late_is_no_failure_of_the_phone() {
    let mut world = World::new();
    world.failures = (0..20).map(|_| (Work::Look, Failure::Late)).collect();
    world.look().leave_bus().come_back(true).pass(SECOND);
    assert_eq!((world.state(), world.entered.contains(&State::Held)), (State::Joined, false));
    assert_eq!(world.failures, []);
}

/// A phone is switched, and switched back as soon as it is there, for as often as it takes.
fn fight(mut world: World, shows: bool) -> (World, usize) {
    let mut switches = 0;
    for _ in 0..10 {
        world.look();
        if world.state() != State::Switching {
            break;
        }
        switches += 1;
        world.leave_bus().come_back(true);
        if shows {
            world.pass(SECOND);
        }
        world.leave_bus();
        assert!(world.forgotten);
        let memory = world.machine.memory();
        let now = world.now + SECOND;
        world = World { now, meddlers: world.meddlers, ..World::remembering(memory) };
    }
    (world, switches)
}

#[test]
fn a_program_that_switches_back_is_named_and_left_to_it() {
    for shows in [false, true] {
        let mut world = World::new();
        world.meddlers = vec![Holder::Process { pid: 812, name: "usbmuxd".to_owned() }];
        let (world, switches) = fight(world, shows);
        assert_eq!((world.state(), world.reason(), switches), (State::Held, "switched-back", 3), "{shows}");
        let text = world.machine.reason().unwrap().text();
        assert!(text.contains("usbmuxd (process 812)") && text.contains("3 times"), "{text}");
        // Whoever unplugs it then has read that, and wants another attempt.
        let mut world = world;
        world.leave_bus();
        assert!(!world.machine.memory().is_suspicious(&Policy::default(), world.now));
    }
}

#[test]
fn a_phone_that_forgets_its_mode_at_once_is_not_asked_for_ever() {
    let (world, switches) = fight(World::new(), false);
    assert_eq!((world.state(), world.reason(), switches), (State::Held, "switched-back", 3));
    assert!(world.machine.reason().unwrap().text().contains("no program that does so was found"));
}

#[test]
fn a_phone_that_is_plugged_in_again_and_again_is_no_fight() {
    let (_, switches) = fight(World::new(), true);
    assert_eq!(switches, 10, "nobody who switches phones runs");
}

#[test]
fn fastcharges_first_configuration_is_answered_and_named_at_last() {
    let mut world = World::joined();
    for _ in 0..2 {
        (world.configuration, world.master) = (None, None);
        world.look();
        world.configuration = Some(1);
        world.look();
        assert_eq!(world.pass(2 * SECOND).state(), State::Joined);
    }
    world.meddlers = vec![Holder::Driver("apple_mfi_fastcharge".to_owned())];
    (world.configuration, world.master) = (Some(1), None);
    world.look().pass(60 * SECOND);
    assert_eq!((world.state(), world.reason()), (State::Held, "configuration-taken"));
    assert_eq!(world.count(Work::SetConfiguration(5)), 3);
    world.configuration = Some(5);
    assert_eq!(world.look().state(), State::Joined, "whoever it was made peace");
}

#[test]
fn a_configuration_taken_once_in_a_while_is_only_answered() {
    let mut world = World::joined();
    for _ in 0..20 {
        world.pass(60 * SECOND);
        (world.configuration, world.master) = (Some(1), None);
        world.look().pass(2 * SECOND);
        assert_eq!(world.state(), State::Joined);
    }
}

#[test]
fn whoever_has_an_interface_is_named_and_waited_for() {
    let mut world = World::new();
    (world.ncm, world.configuration) = (true, Some(4));
    let holders = vec![Holder::Process { pid: 5, name: "idevicebackup2".to_owned() }];
    let busy = Failure::Busy { holders };
    world.failures = vec![(Work::SetConfiguration(5), busy.clone()), (Work::SetConfiguration(5), busy)];
    world.look().pass(SECOND);
    assert_eq!((world.state(), world.reason()), (State::Held, "busy"));
    world.pass(29 * SECOND);
    assert_eq!(world.count(Work::SetConfiguration(5)), 1);
    world.pass(31 * SECOND);
    assert_eq!((world.state(), world.count(Work::SetConfiguration(5))), (State::Joined, 3));
}

#[test]
fn a_node_that_may_not_be_opened_is_tried_again_less_and_less() {
    let mut world = World::new();
    let denied = || Failure::Denied { what: "/dev/bus/usb/001/002 may not be opened".to_owned() };
    world.failures = (0..200).map(|_| (Work::Open, denied())).collect();
    world.look().pass(600 * SECOND);
    assert_eq!((world.state(), world.reason()), (State::Held, "denied"));
    assert!((28..38).contains(&world.count(Work::Open)), "{}", world.count(Work::Open));
    world.failures.clear();
    world.pass(30 * SECOND);
    assert_eq!(world.state(), State::Switching);
}

#[test]
fn a_node_that_udev_has_not_given_to_its_group_yet_is_no_reason() {
    let denied = || Failure::Denied { what: "/dev/bus/usb/001/002 may not be opened".to_owned() };
    for arrives_with_ncm in [false, true] {
        let mut world = World::new();
        if arrives_with_ncm {
            world.look().leave_bus();
        }
        world.failures = (0..7).map(|_| (Work::Open, denied())).collect();
        if arrives_with_ncm {
            world.come_back(true);
        }
        world.look().pass(3 * SECOND);
        assert_eq!(world.failures, []);
        assert!(!world.entered.contains(&State::Held), "{:?}", world.entered);
        let arrived = if arrives_with_ncm { State::Joined } else { State::Switching };
        assert_eq!(world.state(), arrived);
    }
}

#[test]
fn a_silent_phone_is_told_and_asked_every_half_minute() {
    let mut world = World::new();
    world.failures = (0..200).map(|_| (Work::GetMode, Failure::Late)).collect();
    world.look().pass(300 * SECOND);
    assert_eq!((world.state(), world.reason()), (State::Held, "failing"));
    assert!(world.count(Work::GetMode) < 20);
}

#[test]
fn who_takes_the_port_out_is_told_at_last() {
    let mut world = World::joined();
    for _ in 0..3 {
        world.master = None;
        world.look();
    }
    assert_eq!((world.state(), world.reason()), (State::Held, "taken-out"));
    assert_eq!(world.pass(31 * SECOND).state(), State::Joined);
}

#[test]
fn a_driver_whose_end_was_not_seen_is_forgotten() {
    let mut world = World::new();
    (world.ncm, world.configuration) = (true, Some(5));
    world.machine.want(Wanted { driver: Driver::Userspace, ..wanted() });
    world.look();
    assert_eq!((world.state(), world.machine.userspace()), (State::Joined, Some(TAP)));
    world.failures.push((Work::StopUserspace, Failure::Late));
    (world.configuration, world.tap, world.master) = (Some(1), false, None);
    world.look().pass(5 * SECOND);
    assert_eq!((world.state(), world.machine.userspace()), (State::Joined, Some(TAP)));
    assert!(world.tap, "it was started anew");
}

#[test]
fn what_fails_once_in_a_while_is_only_answered() {
    let mut world = World::new();
    (world.ncm, world.configuration) = (true, Some(5));
    world.machine.want(Wanted { driver: Driver::Userspace, ..wanted() });
    world.look();
    for _ in 0..20 {
        world.pass(60 * SECOND);
        (world.tap, world.master) = (false, None);
        world.event(Event::UserspaceEnded("the phone refused".to_owned()));
        assert_eq!(world.pass(SECOND).state(), State::Joined);
    }

    let mut world = World::joined();
    let attach = Work::Attach { port: KERNEL, bridge: 3, isolated: false };
    for _ in 0..20 {
        world.pass(60 * SECOND);
        world.failures.push((attach, Failure::Other("netlink is busy".to_owned())));
        world.master = None;
        assert_eq!(world.look().pass(SECOND).state(), State::Joined);
    }
}

#[test]
fn unplugging_ends_every_state() {
    let mut seen = Vec::new();
    for steps in 0..12 {
        let mut world = World::new();
        world.bridge = (steps % 2 == 0).then_some(3);
        world.look();
        if steps > 1 {
            world.leave_bus();
        }
        if steps > 3 {
            world.come_back(true);
        }
        if steps > 5 {
            world.pass(SECOND);
        }
        if steps > 7 {
            world.event(Event::Stop { keep: steps > 9 });
        }
        seen.push(world.state());
        world.leave_bus().pass(20 * SECOND);
        assert_eq!((world.state(), world.forgotten), (State::Gone, true), "{steps}");
        assert_eq!(world.machine.on(world.now, Event::Refresh), []);
    }
    assert!(seen.contains(&State::Restoring) && seen.contains(&State::Joined) && seen.contains(&State::Held));
}
