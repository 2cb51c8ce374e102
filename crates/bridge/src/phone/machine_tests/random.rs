//! Whatever happens, in whatever order.

use proptest::prelude::*;

use super::*;

/// One thing that happens, and how long after the last.
#[derive(Debug, Clone)]
enum Step {
    Leave,
    ComeBack(bool),
    Configuration(Option<u8>),
    Bridge(Option<u32>),
    Master(Option<u32>),
    PortState(PortState),
    Binds(bool),
    Named(bool),
    Meddler(bool),
    Fail(Failure),
    Answer,
    UserspaceEnded,
    Refresh,
    /// A reload: another driver, isolation or bridge.
    Want(Driver, bool, Option<Option<u32>>),
    Stop(bool),
    Tick,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Leave),
        4 => any::<bool>().prop_map(Step::ComeBack),
        2 => prop_oneof![Just(None), Just(Some(1)), Just(Some(5))].prop_map(Step::Configuration),
        2 => prop_oneof![Just(None), Just(Some(3)), Just(Some(4))].prop_map(Step::Bridge),
        1 => prop_oneof![Just(None), Just(Some(77))].prop_map(Step::Master),
        1 => prop_oneof![Just(PortState::Forwarding), Just(PortState::Learning), Just(PortState::Blocking),
                         Just(PortState::Disabled)].prop_map(Step::PortState),
        1 => any::<bool>().prop_map(Step::Binds),
        1 => any::<bool>().prop_map(Step::Named),
        1 => any::<bool>().prop_map(Step::Meddler),
        3 => prop_oneof![Just(Failure::Gone), Just(Failure::Late), Just(Failure::Refused),
                         Just(Failure::Busy { holders: Vec::new() }),
                         Just(Failure::Denied { what: String::new() }),
                         Just(Failure::Other(String::new()))].prop_map(Step::Fail),
        12 => Just(Step::Answer),
        1 => Just(Step::UserspaceEnded),
        1 => Just(Step::Refresh),
        1 => (driver(), any::<bool>(), prop_oneof![Just(None), Just(Some(None)), Just(Some(Some(5)))])
            .prop_map(|(driver, isolated, bridge)| Step::Want(driver, isolated, bridge)),
        1 => any::<bool>().prop_map(Step::Stop),
        6 => Just(Step::Tick),
    ]
}

/// The machine under test, with work that ends when a step says so.
struct Run {
    world: World,
    outstanding: Option<Work>,
    /// A mode that the phone consented to and has not left for, until when.
    consented: Option<Duration>,
}

impl Run {
    fn event(&mut self, event: Event) -> Result<(), TestCaseError> {
        if matches!(event, Event::Looked(_)) && self.outstanding == Some(Work::Look) {
            self.outstanding = None;
        }
        let gone = self.world.machine.state() == State::Gone;
        let actions = self.world.machine.on(self.world.now, event);
        prop_assert!(!gone || actions.is_empty(), "{actions:?} after the end");
        for action in actions {
            match action {
                Action::Begin(work) => {
                    prop_assert!(self.outstanding.is_none(), "{work} beside {:?}", self.outstanding);
                    if matches!(work, Work::SetMode(_)) {
                        let free = self.consented.is_none_or(|until| self.world.now >= until);
                        prop_assert!(free, "a second mode beside one that was consented to");
                    }
                    self.outstanding = Some(work);
                }
                Action::Abandon => {
                    prop_assert!(self.outstanding.is_some());
                    self.outstanding = None;
                }
                Action::Forget => self.world.forgotten = true,
                Action::Entered(..) | Action::Close => {}
            }
        }
        self.check()
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let machine = &self.world.machine;
        if let Some(deadline) = machine.deadline() {
            prop_assert!(deadline > self.world.now, "a tick must move it on: {machine:?}");
        }
        let waits = match machine.state() {
            State::Joined | State::Gone => true,
            State::Held => machine.reason().is_some(),
            _ => machine.deadline().is_some(),
        };
        prop_assert!(waits, "it waits for nothing that has a name or a time: {machine:?}");
        prop_assert_eq!(machine.state() == State::Gone, self.world.forgotten);
        Ok(())
    }

    fn look(&mut self) -> Result<(), TestCaseError> {
        let picture = self.world.picture();
        self.event(Event::Looked(Box::new(picture)))
    }

    /// The work that is outstanding ends well.
    fn answer(&mut self) -> Result<(), TestCaseError> {
        let Some(work) = self.outstanding.take() else { return Ok(()) };
        if let Work::SetMode(mode) = work
            && self.world.here
        {
            let until =
                if mode == 1 { Policy::default().departure } else { Policy::default().re_enumeration };
            self.consented = Some(self.world.now + until);
        }
        match self.world.work(work) {
            Some(event) => self.event(event),
            None => Ok(()),
        }
    }

    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Leave => {
                (self.world.here, self.world.master, self.world.tap) = (false, None, false);
                self.consented = None;
            }
            Step::ComeBack(ncm) => {
                self.world.address = self.world.address.wrapping_add(1);
                (self.world.here, self.world.ncm, self.world.master) = (true, ncm, None);
                (self.world.configuration, self.world.tap, self.consented) = (Some(1), false, None);
            }
            Step::Configuration(value) => self.world.configuration = value,
            Step::Bridge(index) => (self.world.bridge, self.world.master) = (index, None),
            Step::Master(master) => self.world.master = master,
            Step::PortState(state) => self.world.port_state = state,
            Step::Binds(binds) => self.world.kernel_binds = binds,
            Step::Named(named) => self.world.named = named,
            Step::Meddler(there) => {
                let holder = Holder::Process { pid: 1, name: "usbmuxd".to_owned() };
                self.world.meddlers = there.then_some(holder).into_iter().collect();
            }
            Step::Answer => return self.answer(),
            Step::Fail(failure) => {
                if self.outstanding.is_some_and(|work| work != Work::Look) {
                    self.outstanding = None;
                    return self.event(Event::Failed(failure));
                }
            }
            Step::UserspaceEnded => {
                if std::mem::take(&mut self.world.tap) && self.world.machine.userspace().is_some() {
                    self.world.master = None;
                    return self.event(Event::UserspaceEnded(String::new()));
                }
            }
            Step::Refresh => return self.event(Event::Refresh),
            Step::Want(driver, isolated, other) => {
                let mut bridge = self.world.machine.wanted().bridge.clone();
                if let Some(index) = other {
                    // The old one stays, and what is in it.
                    bridge.push('1');
                    self.world.bridge = index;
                }
                self.world.machine.want(Wanted { driver, isolated, bridge, ..wanted() });
                return self.event(Event::Refresh);
            }
            Step::Stop(keep) => return self.event(Event::Stop { keep }),
            Step::Tick => return self.event(Event::Tick),
        }
        self.look()
    }

    /// Lets only time pass, until nothing is waited for.
    fn settle(&mut self, most: Duration) -> Result<(), TestCaseError> {
        let end = self.world.now + most;
        while let Some(deadline) = self.world.machine.deadline().filter(|deadline| *deadline <= end) {
            self.world.now = deadline;
            self.event(Event::Tick)?;
        }
        Ok(())
    }
}

fn run(driver: Driver) -> Run {
    let mut world = World::new();
    world.machine.want(Wanted { driver, ..wanted() });
    Run { world, outstanding: None, consented: None }
}

fn story() -> impl Strategy<Value = Vec<(Step, u64)>> {
    proptest::collection::vec((step(), prop_oneof![4 => 0_u64..400, 1 => 0_u64..20_000]), 0..80)
}

fn driver() -> impl Strategy<Value = Driver> {
    prop_oneof![Just(Driver::Auto), Just(Driver::Kernel), Just(Driver::Userspace)]
}

fn tell(driver: Driver, story: Vec<(Step, u64)>) -> Result<Run, TestCaseError> {
    let mut run = run(driver);
    run.look()?;
    for (step, milliseconds) in story {
        let later = run.world.now + Duration::from_millis(milliseconds);
        // Ticks come when they are wanted.
        while let Some(deadline) = run.world.machine.deadline().filter(|deadline| *deadline <= later) {
            run.world.now = deadline;
            run.event(Event::Tick)?;
        }
        run.world.now = later;
        run.take(step)?;
    }
    Ok(run)
}

proptest! {
    /// One piece of work at a time, one mode at a time, a name or a time for every state, and silence after the end; and
    /// from wherever that leads, unplugging ends it.
    #[test]
    fn any_story_keeps_the_machine_whole_and_can_end(driver in driver(), story in story()) {
        let mut run = tell(driver, story)?;
        run.world.here = false;
        run.look()?;
        run.settle(Policy::default().restore + SECOND)?;
        prop_assert_eq!(run.world.state(), State::Gone);
    }

    /// The way back ends, though nothing answers any more.
    #[test]
    fn the_way_back_ends_by_itself(driver in driver(), story in story(), keep in any::<bool>()) {
        let mut run = tell(driver, story)?;
        run.event(Event::Stop { keep })?;
        run.settle(Policy::default().restore)?;
        prop_assert_eq!(run.world.state(), State::Gone);
    }
}
