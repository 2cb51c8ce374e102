//! The way back.

use super::*;

#[test]
fn stop_leaves_the_bridge_then_the_mode() {
    let mut world = World::joined();
    world.begun.clear();
    world.event(Event::Stop { keep: false });
    assert_eq!(world.begun, [Work::Detach { port: KERNEL }, Work::Look, Work::SetMode(1)]);
    assert_eq!((world.state(), world.master), (State::Restoring, None));
    world.leave_bus();
    assert_eq!((world.state(), world.reason(), world.forgotten), (State::Gone, "", true));
}

#[test]
fn keep_leaves_the_bridge_only() {
    let mut world = World::joined();
    world.begun.clear();
    world.event(Event::Stop { keep: true });
    assert_eq!(world.begun, [Work::Detach { port: KERNEL }, Work::Look]);
    assert_eq!((world.state(), world.forgotten), (State::Gone, true));
}

#[test]
fn our_own_driver_ends_before_the_mode() {
    let mut world = World::new();
    (world.ncm, world.configuration) = (true, Some(5));
    world.machine.want(Wanted { driver: Driver::Userspace, ..wanted() });
    world.look();
    world.begun.clear();
    world.event(Event::Stop { keep: false });
    assert_eq!(world.begun, [Work::StopUserspace, Work::Look, Work::SetMode(1)]);
}

#[test]
fn a_phone_that_consents_or_is_mute_and_stays_is_not_restored() {
    for failures in [Vec::new(), vec![(Work::SetMode(1), Failure::Late)]] {
        let mut world = World::joined();
        world.failures = failures;
        world.event(Event::Stop { keep: false }).pass(Policy::default().departure);
        assert_eq!((world.state(), world.reason()), (State::Gone, "not-restored"));
        assert_eq!(world.count(Work::SetMode(1)), 1);
        let text = world.machine.reason().unwrap().text();
        assert_eq!(text, "it was not given back in mode 1: it was asked and did not leave USB for it");
    }
}

#[test]
fn a_phone_that_gives_no_answer_and_leaves_is_restored() {
    let mut world = World::joined();
    world.failures.push((Work::SetMode(1), Failure::Late));
    world.event(Event::Stop { keep: false }).pass(SECOND).leave_bus();
    assert_eq!((world.state(), world.reason()), (State::Gone, ""));
}

#[test]
fn a_phone_on_its_way_to_the_mode_is_given_back_when_it_arrives() {
    let mut world = World::new();
    world.look().event(Event::Stop { keep: false });
    assert_eq!((world.state(), world.count(Work::SetMode(1))), (State::Restoring, 0));
    world.leave_bus().pass(SECOND).come_back(true);
    assert_eq!((world.state(), world.count(Work::SetMode(1))), (State::Restoring, 1));
    world.leave_bus();
    assert_eq!((world.state(), world.reason()), (State::Gone, ""));
}

#[test]
fn a_phone_that_refuses_to_go_back_is_told() {
    let mut world = World::joined();
    world.failures = vec![(Work::SetMode(1), Failure::Refused), (Work::SetMode(1), Failure::Refused)];
    world.event(Event::Stop { keep: false }).pass(5 * SECOND);
    assert_eq!((world.state(), world.reason(), world.forgotten), (State::Gone, "not-restored", true));
    assert_eq!(world.count(Work::SetMode(1)), 2);
}

#[test]
fn a_phone_that_can_not_be_opened_at_once_is_given_back_all_the_same() {
    let denied = || Failure::Denied { what: "/dev/bus/usb/001/002 may not be opened".to_owned() };
    for failure in [denied(), Failure::Late, Failure::Gone, Failure::Other("EIO".to_owned())] {
        let mut world = World::new();
        world.look().event(Event::Stop { keep: false });
        world.failures = vec![(Work::Open, failure.clone()), (Work::Open, failure)];
        world.leave_bus().come_back(true).pass(SECOND);
        assert_eq!((world.state(), world.count(Work::SetMode(1))), (State::Restoring, 1));
        world.leave_bus();
        assert_eq!((world.state(), world.reason()), (State::Gone, ""));
    }

    let mut world = World::new();
    world.look().event(Event::Stop { keep: false });
    world.failures = (0..100).map(|_| (Work::Open, denied())).collect();
    world.leave_bus().come_back(true).pass(14 * SECOND);
    assert_eq!(world.state(), State::Restoring);
    world.pass(SECOND);
    assert_eq!((world.state(), world.reason()), (State::Gone, "not-restored"));
    let text = world.machine.reason().unwrap().text();
    assert!(
        text.ends_with("within 15 s, and last opening it failed: /dev/bus/usb/001/002 may not be opened"),
        "{text}"
    );
}

#[test]
fn a_bridge_that_can_not_be_left_does_not_keep_the_mode() {
    let mut world = World::joined();
    world.failures.push((Work::Detach { port: KERNEL }, Failure::Other("netlink is gone".to_owned())));
    world.event(Event::Stop { keep: false });
    assert_eq!((world.count(Work::SetMode(1)), world.count(Work::Detach { port: KERNEL })), (1, 1));
}

#[test]
fn a_phone_in_mode_1_is_not_touched() {
    let mut world = World::new();
    world.failures.push((Work::GetMode, Failure::Refused));
    world.look();
    world.begun.clear();
    world.event(Event::Stop { keep: false });
    assert_eq!((world.begun.len(), world.state()), (0, State::Gone));
}

#[test]
fn a_run_after_one_that_was_stopped_starts_over() {
    let mut world = World::joined();
    world.event(Event::Stop { keep: false }).leave_bus();
    let mut second = World { address: world.address + 1, ..World::new() };
    second.machine = Machine::new(Policy::default(), wanted(), Memory::default(), address(second.address));
    second.look().leave_bus().come_back(true).pass(SECOND);
    assert_eq!(second.state(), State::Joined);
}
