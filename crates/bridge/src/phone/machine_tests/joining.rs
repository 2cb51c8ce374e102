//! The way to the bridge.

use super::*;

#[test]
fn a_phone_in_mode_1_goes_through_every_state() {
    let mut world = World::new();
    world.look();
    assert_eq!(world.state(), State::Switching);
    world.leave_bus();
    assert_eq!(world.state(), State::Switching);
    world.come_back(true).pass(SECOND);
    use State::{Joined, ModeQueried, NetdevUp, ReEnumerated, Switching};
    assert_eq!(world.entered, [ModeQueried, Switching, ReEnumerated, NetdevUp, Joined]);
    let attach = Work::Attach { port: KERNEL, bridge: 3, isolated: false };
    let works = [Work::Open, Work::GetMode, Work::SetMode(3), Work::Open, Work::SetConfiguration(5), attach];
    let begun: Vec<Work> =
        world.begun.iter().copied().filter(|work| !matches!(work, Work::Look | Work::Inspect)).collect();
    assert_eq!(begun, works);
}

#[test]
fn what_is_done_already_is_not_done_again() {
    let mut world = World::new();
    (world.ncm, world.configuration) = (true, Some(5));
    world.look();
    assert_eq!((world.state(), world.count(Work::SetMode(3))), (State::Joined, 0));
    assert_eq!(world.count(Work::SetConfiguration(5)), 0);

    let mut world = World::new();
    (world.ncm, world.configuration, world.master) = (true, Some(5), Some(3));
    world.look();
    assert_eq!(world.state(), State::Joined, "a run that was killed had joined it");
    assert_eq!(world.begun, [Work::Open, Work::Inspect]);
}

#[test]
fn the_firewall_is_looked_at_again_while_a_phone_is_joined() {
    let mut world = World::joined();
    world.look();
    assert_eq!(world.count(Work::Inspect), 1, "not at each look");
    world.pass(Policy::default().firewall).look();
    assert_eq!(world.count(Work::Inspect), 2, "it may have changed");
    assert_eq!(world.state(), State::Joined);
}

#[test]
fn the_udev_rule_comes_first() {
    let mut world = World::new();
    (world.ncm, world.configuration) = (true, None);
    world.look();
    assert_eq!((world.state(), world.begun.len()), (State::ReEnumerated, 0));
    world.configuration = Some(5);
    world.look();
    assert_eq!((world.state(), world.count(Work::SetConfiguration(5))), (State::Joined, 0));
}

#[test]
fn a_name_is_waited_for_and_not_for_ever() {
    let mut world = World::new();
    (world.ncm, world.configuration, world.named) = (true, Some(5), false);
    world.look();
    assert_eq!(world.state(), State::Configured);
    world.pass(Policy::default().naming);
    assert_eq!(world.state(), State::Joined);
}

#[test]
fn our_own_driver_carries_what_the_kernel_does_not_bind() {
    let mut world = World::new();
    (world.ncm, world.configuration, world.kernel_binds) = (true, Some(5), false);
    world.look();
    assert_eq!(world.state(), State::Configured);
    world.pass(Policy::default().netdev);
    assert_eq!((world.state(), world.machine.userspace()), (State::Joined, Some(TAP)));
}

#[test]
fn a_driver_that_is_asked_for_is_taken_at_once() {
    let mut world = World::new();
    (world.ncm, world.configuration) = (true, Some(5));
    world.machine.want(Wanted { driver: Driver::Userspace, ..wanted() });
    world.look();
    assert_eq!((world.state(), world.machine.userspace()), (State::Joined, Some(TAP)));
}

#[test]
fn the_kernels_driver_alone_is_held_by_name_until_it_binds() {
    let mut world = World::new();
    (world.ncm, world.configuration, world.kernel_binds) = (true, Some(5), false);
    world.machine.want(Wanted { driver: Driver::Kernel, ..wanted() });
    world.look().pass(10 * SECOND);
    assert_eq!((world.state(), world.reason()), (State::Held, "no-netdev"));
    world.kernel_binds = true;
    assert_eq!(world.look().state(), State::Joined);
}

#[test]
fn a_driver_that_ends_is_started_again_and_then_told() {
    let mut world = World::new();
    (world.ncm, world.configuration) = (true, Some(5));
    world.machine.want(Wanted { driver: Driver::Userspace, ..wanted() });
    world.look();
    for _ in 0..4 {
        (world.tap, world.master) = (false, None);
        world.event(Event::UserspaceEnded("the phone refused".to_owned()));
        assert_eq!(world.pass(3 * SECOND).state(), State::Joined);
    }
    (world.tap, world.master) = (false, None);
    world.event(Event::UserspaceEnded("the phone refused".to_owned()));
    assert_eq!((world.state(), world.reason()), (State::Held, "failing"));
}

#[test]
fn a_bridge_is_waited_for_and_rejoined_under_another_index() {
    let mut world = World::new();
    world.bridge = None;
    world.look().leave_bus().come_back(true).pass(SECOND);
    assert_eq!((world.state(), world.reason()), (State::Held, "bridge-missing"));
    world.bridge = Some(3);
    assert_eq!(world.look().state(), State::Joined);
    for index in 4..20 {
        (world.bridge, world.master) = (None, None);
        assert_eq!(world.look().state(), State::Held);
        world.bridge = Some(index);
        assert_eq!(world.look().state(), State::Joined, "a bridge that was made anew {index}");
    }
}

#[test]
fn an_interface_that_is_no_bridge_is_told_and_joined_once_it_is_one() {
    let mut world = World::new();
    (world.bridge, world.no_bridge) = (None, true);
    world.look().leave_bus().come_back(true).pass(SECOND);
    assert_eq!((world.state(), world.reason()), (State::Held, "not-a-bridge"));
    world.no_bridge = false;
    world.look();
    assert_eq!((world.state(), world.reason()), (State::Held, "bridge-missing"));
    world.bridge = Some(3);
    assert_eq!((world.look().state(), world.master), (State::Joined, Some(3)));
}

#[test]
fn a_forward_delay_is_named_and_ends() {
    let mut world = World::new();
    (world.ncm, world.configuration, world.port_state) = (true, Some(5), PortState::Listening);
    world.look();
    assert_eq!((world.state(), world.reason()), (State::NetdevUp, "forward-delay"));
    world.pass(20 * SECOND);
    world.port_state = PortState::Forwarding;
    assert_eq!((world.look().state(), world.reason()), (State::Joined, ""));

    let mut world = World::new();
    (world.ncm, world.configuration, world.port_state) = (true, Some(5), PortState::Learning);
    world.look().pass(36 * SECOND);
    assert_eq!((world.state(), world.reason()), (State::Held, "not-forwarding"));
}

#[test]
fn another_bridge_is_wanted() {
    let mut world = World::joined();
    world.bridge = Some(9);
    world.machine.want(Wanted { bridge: "br1".to_owned(), ..wanted() });
    world.look();
    assert_eq!((world.state(), world.master), (State::Joined, Some(9)));
}

#[test]
fn a_bridge_that_is_wanted_no_longer_is_left_though_the_other_one_is_not_there() {
    let reload = |world: &mut World| {
        world.bridge = None;
        world.machine.want(Wanted { bridge: "br1".to_owned(), ..wanted() });
        world.event(Event::Refresh);
        assert_eq!((world.state(), world.reason(), world.master), (State::Held, "bridge-missing", None));
        world.bridge = Some(9);
        world.look();
        assert_eq!((world.state(), world.master), (State::Joined, Some(9)));
    };
    reload(&mut World::joined());

    let mut world = World::joined();
    world.bridge = None;
    world.look();
    assert_eq!(world.master, Some(3), "one without an answer from the kernel is not left");
    world.bridge = Some(3);
    reload(world.look());
}

#[test]
fn another_driver_is_wanted() {
    let mut world = World::new();
    (world.ncm, world.configuration) = (true, Some(5));
    for driver in [Driver::Userspace, Driver::Kernel, Driver::Userspace, Driver::Kernel] {
        world.machine.want(Wanted { driver, ..wanted() });
        world.event(Event::Refresh).look().pass(SECOND);
        let userspace = (driver == Driver::Userspace).then_some(TAP);
        assert_eq!(
            (world.state(), world.machine.userspace(), world.tap),
            (State::Joined, userspace, userspace.is_some())
        );
    }
}

#[test]
fn isolation_is_wanted_before_and_after_it_joined() {
    let mut world = World::new();
    (world.ncm, world.configuration, world.port_state) = (true, Some(5), PortState::Listening);
    world.look();
    for (isolated, state) in
        [(true, PortState::Listening), (false, PortState::Forwarding), (true, PortState::Forwarding)]
    {
        world.port_state = state;
        world.machine.want(Wanted { isolated, ..wanted() });
        world.event(Event::Refresh);
        let joined = if state == PortState::Forwarding { State::Joined } else { State::NetdevUp };
        assert_eq!((world.state(), world.isolated), (joined, isolated));
    }
}

#[test]
fn what_belongs_to_others_is_left_alone() {
    let mut world = World::new();
    (world.ncm, world.configuration, world.master) = (true, Some(5), Some(77));
    world.look();
    assert_eq!((world.state(), world.reason(), world.master), (State::Held, "other-bridge", Some(77)));
    world.machine.want(Wanted { refusal: Some(Reason::NotAllowed), ..wanted() });
    let begun = world.begun.len();
    world.look().event(Event::Stop { keep: false });
    assert_eq!((world.begun.len(), world.forgotten), (begun, true));
}
