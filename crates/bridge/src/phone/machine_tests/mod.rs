//! The machine against a scripted world: what is there, and what work does to it.

mod faults;
mod joining;
mod leaving;
mod random;

use std::sync::LazyLock;
use std::time::Duration;

use iosmux_usb::Mode;

use super::*;
use crate::phone::policy::Driver;
use crate::phone::{Layout, Ncm, Outcome};
use crate::ports::{Bridge, Function, Holder, Netdev, Port, PortState};

const SECOND: Duration = Duration::from_secs(1);
const KERNEL: u32 = 10;
const TAP: u32 = 20;

/// What is there.
struct World {
    machine: Machine,
    now: Duration,
    address: u8,
    here: bool,
    ncm: bool,
    configuration: Option<u8>,
    named: bool,
    kernel_binds: bool,
    tap: bool,
    bridge: Option<u32>,
    no_bridge: bool,
    master: Option<u32>,
    isolated: bool,
    port_state: PortState,
    meddlers: Vec<Holder>,
    /// Failures of the next pieces of work, by what they are.
    failures: Vec<(Work, Failure)>,
    begun: Vec<Work>,
    entered: Vec<State>,
    forgotten: bool,
}

static FUNCTION: LazyLock<Function> = LazyLock::new(|| {
    let layout = iosmux_usb::Descriptors::parse(&descriptors()).unwrap();
    layout.ncm_configuration().unwrap().1
});

/// Mode 3 as far as this needs it: one configuration with the private function.
fn descriptors() -> Vec<u8> {
    use iosmux_usb::descriptor::{ConfigurationBuilder, endpoint, interface};
    use iosmux_usb::descriptor::{Ethernet, Functional};
    let ethernet =
        Ethernet { mac_string: 9, statistics: 0, max_segment: 1514, multicast_filters: 0, power_filters: 0 };
    let configuration = ConfigurationBuilder::new(5, 0, 0xc0, 250)
        .with(&interface((4, 0), 0, [2, 0x0d, 0], 0))
        .with(&Functional::Union { control: 4, data: 5 }.to_bytes())
        .with(&Functional::Ethernet(ethernet).to_bytes())
        .with(&interface((5, 0), 0, [10, 0, 1], 0))
        .with(&interface((5, 1), 2, [10, 0, 1], 0))
        .with(&endpoint(0x06, 2, 512, 0))
        .with(&endpoint(0x87, 2, 512, 0));
    let mut bytes = vec![18, 1, 0, 2, 0, 0, 0, 64, 0xac, 5, 0xa8, 0x12, 4, 0x14, 1, 2, 3, 1];
    bytes.extend(configuration.build());
    bytes
}

fn wanted() -> Wanted {
    Wanted {
        refusal: None,
        bridge: "virbr0".to_owned(),
        mode: Mode::Ncm,
        driver: Driver::Auto,
        isolated: false,
    }
}

fn address(device: u8) -> Address {
    Address { id: "1-2".to_owned(), bus: 1, device }
}

impl World {
    /// A phone in mode 1 that was just plugged in, on a machine with a bridge.
    fn new() -> Self {
        Self::remembering(Memory::default())
    }

    fn remembering(memory: Memory) -> Self {
        Self {
            machine: Machine::new(Policy::default(), wanted(), memory, address(1)),
            now: 100 * SECOND,
            address: 1,
            here: true,
            ncm: false,
            configuration: Some(4),
            named: true,
            kernel_binds: true,
            tap: false,
            bridge: Some(3),
            no_bridge: false,
            master: None,
            isolated: false,
            port_state: PortState::Forwarding,
            meddlers: Vec::new(),
            failures: Vec::new(),
            begun: Vec::new(),
            entered: Vec::new(),
            forgotten: false,
        }
    }

    fn picture(&self) -> Picture {
        let ncm = self.ncm.then(|| Ncm { configuration: 5, function: *FUNCTION });
        let bound = self.ncm && self.configuration == Some(5) && self.kernel_binds;
        let netdev = || Netdev {
            interface: 4,
            index: KERNEL,
            name: "iosmux0".to_owned(),
            mac: [0xbe, 0x5a, 0x3e, 0xc4, 0x9b, 0x16],
            named: self.named,
        };
        let usb = Usb {
            address: address(self.address),
            configuration: self.configuration,
            layout: Ok(Layout { mode: None, ncm }),
            drivers: Vec::new(),
            netdevs: bound.then(netdev).into_iter().collect(),
        };
        let index = if self.tap { Some(TAP) } else { (self.here && bound).then_some(KERNEL) };
        let bridge = |index| Bridge { index, mac: [2; 6], up: true, stp: false, forward_delay: 15 * SECOND };
        Picture {
            usb: self.here.then_some(usb),
            bridge: self.bridge.map(bridge),
            no_bridge: self.no_bridge,
            unknown: None,
            port: index.map(|index| Port {
                index,
                name: "iosmux0".to_owned(),
                mac: [2; 6],
                up: self.master.is_some(),
                master: self.master,
                state: self.master.map(|_| self.port_state),
                isolated: self.isolated,
                no_addresses: self.master.is_some(),
            }),
        }
    }

    /// Carries an event and all work that follows from it out.
    fn event(&mut self, event: Event) -> &mut Self {
        let mut events = std::collections::VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in self.machine.on(self.now, event) {
                match action {
                    Action::Begin(work) => events.extend(self.work(work)),
                    Action::Entered(state, _) => self.entered.push(state),
                    Action::Forget => self.forgotten = true,
                    Action::Abandon | Action::Close => {}
                }
            }
        }
        self
    }

    fn work(&mut self, work: Work) -> Option<Event> {
        self.begun.push(work);
        if let Some(at) = self.failures.iter().position(|(fails, _)| *fails == work) {
            return Some(Event::Failed(self.failures.remove(at).1));
        }
        Some(Event::Done(match work {
            Work::Look => return Some(Event::Looked(Box::new(self.picture()))),
            Work::Open => Outcome::Opened,
            Work::GetMode => Outcome::Mode(vec![3, 3, 3, 0]),
            Work::SetMode(_) => Outcome::ModeSet(vec![0]),
            Work::SetConfiguration(value) => {
                self.configuration = Some(value);
                Outcome::ConfigurationSet
            }
            Work::FindMeddlers => Outcome::Meddlers(self.meddlers.clone()),
            Work::StartUserspace(_) => {
                self.tap = true;
                Outcome::UserspaceStarted(TAP)
            }
            Work::StopUserspace => {
                (self.tap, self.master) = (false, None);
                Outcome::UserspaceStopped
            }
            Work::Attach { bridge, isolated, .. } => {
                (self.master, self.isolated) = (Some(bridge), isolated);
                Outcome::Attached
            }
            Work::Detach { .. } => {
                self.master = None;
                Outcome::Detached
            }
            Work::Inspect => Outcome::Inspected(None),
        }))
    }

    fn look(&mut self) -> &mut Self {
        let picture = self.picture();
        self.event(Event::Looked(Box::new(picture)))
    }

    /// Lets so much time pass, with every tick that is wanted.
    fn pass(&mut self, time: Duration) -> &mut Self {
        let end = self.now + time;
        while let Some(deadline) = self.machine.deadline().filter(|deadline| *deadline <= end) {
            assert!(deadline > self.now, "{deadline:?} is not after {:?} in {:?}", self.now, self.machine);
            self.now = deadline;
            self.event(Event::Tick);
        }
        self.now = end;
        self
    }

    /// The phone leaves the bus.
    fn leave_bus(&mut self) -> &mut Self {
        (self.here, self.master, self.tap) = (false, None, false);
        self.look()
    }

    /// It comes back at another address.
    fn come_back(&mut self, ncm: bool) -> &mut Self {
        self.address += 1;
        (self.here, self.ncm) = (true, ncm);
        self.configuration = Some(if ncm { 1 } else { 4 });
        self.look()
    }

    fn joined() -> Self {
        let mut world = Self::new();
        world.look().leave_bus().come_back(true).pass(SECOND);
        assert_eq!(world.state(), State::Joined);
        world
    }

    fn state(&self) -> State {
        self.machine.state()
    }

    fn reason(&self) -> &'static str {
        self.machine.reason().map_or("", Reason::name)
    }

    fn count(&self, work: Work) -> usize {
        self.begun.iter().filter(|begun| **begun == work).count()
    }
}
