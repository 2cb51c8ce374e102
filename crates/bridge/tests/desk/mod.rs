//! A desk: a computer with bridges, phones that are plugged in and pulled out, and the daemon on it, all in one process.
//!
//! The phones are fakephone's device model, so they answer as the simulated phone on a real kernel does. What is played is the
//! rest of the computer: sysfs, netlink, and the kernel's NCM driver.

#![allow(dead_code, reason = "each test binary uses a part")]

mod links;
mod ncm;
mod usb;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use iosmux_bridge::config::Settings;
use iosmux_bridge::daemon::{Daemon, Handle, Happening, Ports};
use iosmux_bridge::phone::Policy;
use iosmux_bridge::ports::{Bridge, Holder, Port};
use iosmux_bridge::state::{Phone, Report};
use iosmux_fakephone::usb::{Device, DeviceConfig, UsbFault};
use iosmux_usb::mode::Mode;
use iosmux_usb::{Setup, Udid};
use tokio::sync::{broadcast, oneshot, watch};
use tokio::task::JoinHandle;

pub(crate) use links::FakeLinks;
pub(crate) use ncm::FakeNcm;
pub(crate) use usb::FakeUsb;

pub(crate) const UDID: &str = "00008020-0000000000001234";
pub(crate) const OTHER: &str = "00008020-0000000000005678";
pub(crate) const BRIDGE: &str = "virbr0";

/// How long a test waits for something, in the time of the test's clock.
const PATIENCE: Duration = Duration::from_secs(600);

/// A phone on the desk.
pub(crate) struct Plugged {
    pub(crate) device: Device,
    /// Its number on the bus; none while it is away.
    pub(crate) number: Option<u8>,
    /// The network interfaces that the kernel made, by control interface.
    pub(crate) netdevs: BTreeMap<u8, u32>,
    /// Whether it answers nothing any more.
    pub(crate) silent: bool,
    /// Whether the kernel makes who reads its attributes wait.
    pub(crate) locked: bool,
    /// Who has an interface of it.
    pub(crate) holders: Vec<Holder>,
}

/// What is on the desk.
pub(crate) struct State {
    pub(crate) phones: BTreeMap<String, Plugged>,
    pub(crate) bridges: BTreeMap<String, Bridge>,
    /// Whether netlink fails.
    pub(crate) no_netlink: bool,
    /// Interfaces that are no bridges.
    pub(crate) others: BTreeSet<String>,
    pub(crate) ports: BTreeMap<u32, Port>,
    /// Whether the kernel's cdc_ncm binds a function without a status endpoint.
    pub(crate) binds_private: bool,
    /// Whether udev finishes with names.
    pub(crate) names: bool,
    /// What `meddlers` finds.
    pub(crate) meddlers: Vec<Holder>,
    /// Whether a newer usbmuxd runs, which sends phones in mode 3 back.
    pub(crate) usbmuxd: bool,
    /// How long sysfs makes who reads it wait.
    pub(crate) sysfs_takes: Duration,
    /// Whether nodes may be opened.
    pub(crate) may_open: bool,
    /// Whether who opens one panics.
    pub(crate) open_panics: bool,
    pub(crate) open_handles: usize,
    pub(crate) drivers: usize,
    /// Every mode that was asked for.
    pub(crate) modes: Vec<u8>,
    pub(crate) configurations: Vec<u8>,
    pub(crate) attaches: usize,
    next_number: u8,
    next_index: u32,
}

/// The desk; clones are the same one.
#[derive(Clone)]
pub(crate) struct Desk {
    state: Arc<Mutex<State>>,
    changes: watch::Sender<u64>,
}

impl Desk {
    /// An empty desk with a bridge, on a kernel that binds both functions.
    pub(crate) fn new() -> Self {
        let state = State {
            phones: BTreeMap::new(),
            bridges: BTreeMap::new(),
            no_netlink: false,
            others: BTreeSet::new(),
            ports: BTreeMap::new(),
            binds_private: true,
            names: true,
            meddlers: Vec::new(),
            usbmuxd: false,
            sysfs_takes: Duration::ZERO,
            may_open: true,
            open_panics: false,
            open_handles: 0,
            drivers: 0,
            modes: Vec::new(),
            configurations: Vec::new(),
            attaches: 0,
            next_number: 1,
            next_index: 1,
        };
        let desk = Self { state: Arc::new(Mutex::new(state)), changes: watch::channel(0).0 };
        desk.make_bridge(BRIDGE);
        desk
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Tells everybody who follows changes.
    pub(crate) fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Changes something of it, and tells that.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state());
        self.changed();
        result
    }

    pub(crate) fn make_bridge(&self, name: &str) -> u32 {
        self.change(|state| {
            let index = state.index();
            let bridge =
                Bridge { index, mac: [2; 6], up: true, stp: false, forward_delay: Duration::from_secs(15) };
            state.bridges.insert(name.to_owned(), bridge);
            index
        })
    }

    pub(crate) fn remove_bridge(&self, name: &str) {
        self.change(|state| {
            let gone = state.bridges.remove(name).map(|bridge| bridge.index);
            for port in state.ports.values_mut().filter(|port| port.master == gone) {
                (port.master, port.state) = (None, None);
            }
        });
    }

    /// Plugs a phone in.
    pub(crate) fn plug(&self, id: &str, udid: &str, faults: &[UsbFault]) {
        let mut config = DeviceConfig::new(udid.parse::<Udid>().unwrap());
        config.faults = faults.to_vec();
        let device = Device::new(config);
        let plugged = Plugged {
            device,
            number: None,
            netdevs: BTreeMap::new(),
            silent: false,
            locked: false,
            holders: Vec::new(),
        };
        self.state().phones.insert(id.to_owned(), plugged);
        self.arrive(id, Mode::Initial);
    }

    /// Pulls it out.
    pub(crate) fn unplug(&self, id: &str) {
        self.change(|state| {
            state.away(id);
            state.phones.remove(id);
        });
    }

    /// It is on the bus, in a mode; the kernel chooses a configuration.
    fn arrive(&self, id: &str, mode: Mode) {
        let switched_back = self.change(|state| {
            let number = state.next_number;
            state.next_number = state.next_number.wrapping_add(1);
            let Some(phone) = state.phones.get_mut(id) else { return false };
            phone.device.replug(mode);
            phone.number = Some(number);
            let _ = phone.device.control(Setup::set_configuration(1), &[]);
            state.usbmuxd && mode == Mode::Ncm
        });
        if switched_back {
            let (desk, id) = (self.clone(), id.to_owned());
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                desk.control(&id, Mode::Initial.set());
            });
        }
    }

    /// A control request, and what the phone does after it.
    pub(crate) fn control(&self, id: &str, setup: Setup) -> Option<Vec<u8>> {
        let (answer, departure) = {
            let mut state = self.state();
            let phone = state.phones.get_mut(id)?;
            (phone.device.control(setup, &[]).ok(), phone.device.departure())
        };
        if let Some(departure) = departure {
            let (desk, id) = (self.clone(), id.to_owned());
            tokio::spawn(async move {
                tokio::time::sleep(departure.after).await;
                desk.change(|state| state.away(&id));
                if let Some(away) = departure.away {
                    tokio::time::sleep(away).await;
                    desk.arrive(&id, departure.mode);
                }
            });
        }
        answer
    }

    /// The kernel sets a configuration: its drivers make network interfaces.
    pub(crate) fn configure(&self, id: &str, value: u8) {
        self.control(id, Setup::set_configuration(value));
        self.change(|state| {
            state.forget_netdevs(id);
            let binds_private = state.binds_private;
            let Some(phone) = state.phones.get(id) else { return };
            let is_ncm = phone.device.descriptors().ncm == Some(value);
            if is_ncm && phone.number.is_some() {
                state.add_netdev(id, 2);
                if binds_private {
                    state.add_netdev(id, 4);
                }
            }
        });
    }

    /// The mode of a phone now.
    pub(crate) fn mode(&self, id: &str) -> Mode {
        self.state().phones[id].device.mode()
    }

    /// Handles and drivers that are open.
    pub(crate) fn left(&self) -> (usize, usize) {
        let state = self.state();
        (state.open_handles, state.drivers)
    }

    /// How many modes and configurations were asked for.
    pub(crate) fn asked(&self) -> (usize, usize) {
        let state = self.state();
        (state.modes.len(), state.configurations.len())
    }

    /// The bridge that the phone's private interface is a port of.
    pub(crate) fn bridge_of(&self, id: &str) -> Option<u32> {
        let state = self.state();
        let index = state.phones.get(id)?.netdevs.get(&4).copied()?;
        state.ports.get(&index)?.master
    }
}

impl State {
    fn index(&mut self) -> u32 {
        self.next_index += 1;
        self.next_index
    }

    /// The phone left the bus.
    fn away(&mut self, id: &str) {
        self.forget_netdevs(id);
        if let Some(phone) = self.phones.get_mut(id) {
            phone.number = None;
        }
    }

    fn forget_netdevs(&mut self, id: &str) {
        let Some(phone) = self.phones.get_mut(id) else { return };
        for index in std::mem::take(&mut phone.netdevs).into_values() {
            self.ports.remove(&index);
        }
    }

    fn add_netdev(&mut self, id: &str, control: u8) {
        let index = self.index();
        let Some(phone) = self.phones.get_mut(id) else { return };
        let config = phone.device.config();
        let mac = if control == 4 { config.private_mac } else { config.tethering_mac };
        phone.netdevs.insert(control, index);
        self.add_port(index, mac.0);
    }

    pub(crate) fn add_port(&mut self, index: u32, mac: [u8; 6]) {
        let port = Port {
            index,
            name: format!("iosmux{index}"),
            mac,
            up: false,
            master: None,
            state: None,
            isolated: false,
            no_addresses: false,
        };
        self.ports.insert(index, port);
    }
}

/// The daemon at work on a desk.
pub(crate) struct Running {
    pub(crate) handle: Handle,
    pub(crate) happenings: broadcast::Receiver<Happening>,
    reports: watch::Receiver<Arc<Report>>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// Starts it.
pub(crate) fn run(desk: &Desk, settings: &str) -> Running {
    let settings = Settings::from_text(None, settings).unwrap();
    let ports =
        Ports { usb: FakeUsb(desk.clone()), links: FakeLinks(desk.clone()), ncm: FakeNcm(desk.clone()) };
    let (daemon, handle) = Daemon::start(ports, settings, Policy::default()).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let (happenings, reports) = (handle.happenings(), handle.watch());
    let task = tokio::spawn(daemon.run(async { drop(stopped.await) }));
    Running { handle, happenings, reports, stop: Some(stop), task }
}

impl Running {
    /// Waits until a report is as it should be.
    pub(crate) async fn until(&mut self, what: &str, is_so: impl Fn(&Report) -> bool) -> Arc<Report> {
        let wait = self.reports.wait_for(|report| is_so(report));
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(report) => report.unwrap().clone(),
            Err(_) => panic!("{what} was waited for; this came: {:#?}", self.handle.report()),
        }
    }

    /// Waits until a phone is in a state.
    pub(crate) async fn until_state(&mut self, id: &str, state: &str) -> Phone {
        let is_so =
            |report: &Report| phone(report, id).is_some_and(|one| one.state.as_deref() == Some(state));
        let report = self.until(&format!("{id} {state}"), is_so).await;
        phone(&report, id).unwrap().clone()
    }

    /// Waits until a phone is held, and says why.
    pub(crate) async fn until_held(&mut self, id: &str) -> (String, String) {
        let phone = self.until_state(id, "held").await;
        let reason = phone.reason.unwrap();
        (reason.name.clone(), format!("{}. Next: {}", reason.text, reason.next_step))
    }

    /// Waits until it is not known any more.
    pub(crate) async fn until_gone(&mut self, id: &str) {
        self.until(&format!("{id} gone"), |report| phone(report, id).is_none()).await;
    }

    /// Stops it as a signal does, and waits for the end.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        tokio::time::timeout(PATIENCE, self.task).await.expect("the daemon ends").unwrap();
    }

    /// Ends it as SIGKILL does: nothing is given back.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }

    /// The states that a phone entered since this was last asked.
    pub(crate) fn states(&mut self) -> Vec<&'static str> {
        let mut states = Vec::new();
        while let Ok(happening) = self.happenings.try_recv() {
            states.push(happening.state.name());
        }
        states
    }
}

fn phone<'a>(report: &'a Report, id: &str) -> Option<&'a Phone> {
    report.phones.iter().find(|phone| phone.id == id)
}
