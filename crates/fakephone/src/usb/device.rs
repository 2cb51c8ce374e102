//! The phone as a USB device: control requests and endpoints. No I/O, no clock, no kernel: whoever has it carries transfers to it,
//! and unplugs it when it says so.

mod control;
mod function;

use std::collections::BTreeMap;
use std::time::Duration;

use iosmux_usb::{Configuration, Mac, Mode, Setup, Udid};

use self::function::Function;
use super::descriptors::{ModeDescriptors, PRIVATE, TETHERING};
use super::fault::UsbFault;
use super::strings::{Strings, derived_macs};
use crate::not_sourced::Gaps;

/// How long a phone stays on the bus after it took a mode. Inferred: only that it leaves is known (protocol.md §1.2).
const LEAVES_AFTER: Duration = Duration::from_millis(50);

/// Who the phone is on USB, and how it behaves.
#[derive(Debug, Clone)]
pub struct DeviceConfig {
    /// Its UDID, and so its serial string.
    pub udid: Udid,
    /// iMACAddress of the tethering function.
    pub tethering_mac: Mac,
    /// iMACAddress of the private function.
    pub private_mac: Mac,
    /// The mode that it has at first, and after each replug: 1 or 3.
    pub mode: Mode,
    /// How long it is away when it changes its mode. Source: protocol.md §1.2 (about 0.3 s).
    pub reenumeration: Duration,
    /// How it misbehaves.
    pub faults: Vec<UsbFault>,
}

impl DeviceConfig {
    /// A phone in mode 1 without faults, whose MACs follow from its UDID.
    #[must_use]
    pub fn new(udid: Udid) -> DeviceConfig {
        let [tethering_mac, private_mac] = derived_macs(&udid);
        DeviceConfig {
            udid,
            tethering_mac,
            private_mac,
            mode: Mode::Initial,
            reenumeration: Duration::from_millis(300),
            faults: Vec::new(),
        }
    }
}

/// The device answers a transfer with STALL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the phone stalled the transfer")]
pub struct Stall;

/// The device leaves the bus by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Departure {
    /// From now until it is gone; at zero even the transfer that it is in gets no answer.
    pub after: Duration,
    /// From then until it is back; `None`: when it is plugged in again.
    pub away: Option<Duration>,
    /// The mode that it comes back in.
    pub mode: Mode,
}

/// What went through the device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Frames from the host on the private function.
    pub from_host: u64,
    /// Frames to the host on the private function.
    pub to_host: u64,
    /// Frames that had no room, nowhere to go, or a length that is none.
    pub dropped: u64,
    /// Blocks that were none, and those out of sequence.
    pub bad_blocks: u64,
    /// Frames from the host on the tethering function, which leads nowhere.
    pub tethering: u64,
}

/// A phone on a cable.
#[derive(Debug)]
pub struct Device {
    config: DeviceConfig,
    strings: Strings,
    mode: Mode,
    descriptors: ModeDescriptors,
    configuration: u8,
    alternates: BTreeMap<u8, u8>,
    /// Those that can be used now.
    endpoints: Vec<u8>,
    tethering: Function,
    private: Function,
    departure: Option<Departure>,
    vanished: bool,
    /// Whether a vendor or class request has come since it was enumerated.
    asked: bool,
    gaps: Gaps,
}

impl Device {
    /// A phone that is about to be plugged in.
    #[must_use]
    pub fn new(config: DeviceConfig) -> Device {
        let strings = Strings::new(&config.udid, config.tethering_mac, config.private_mac, &config.faults);
        Device {
            strings,
            mode: config.mode,
            descriptors: ModeDescriptors::new(config.mode, &config.faults),
            configuration: 0,
            alternates: BTreeMap::new(),
            endpoints: Vec::new(),
            tethering: Function::tethering(),
            private: Function::private(),
            departure: None,
            vanished: false,
            asked: false,
            gaps: Gaps::default(),
            config,
        }
    }

    /// Counts the gaps that it meets there.
    #[must_use]
    pub fn with_gaps(mut self, gaps: Gaps) -> Device {
        self.gaps = gaps;
        self
    }

    /// Who it is.
    #[must_use]
    pub fn config(&self) -> &DeviceConfig {
        &self.config
    }

    /// Its mode now.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// bConfigurationValue of its configuration now; 0 is none.
    #[must_use]
    pub fn configuration(&self) -> u8 {
        self.configuration
    }

    /// What it has in this mode.
    #[must_use]
    pub fn descriptors(&self) -> &ModeDescriptors {
        &self.descriptors
    }

    /// On the bus anew, unconfigured, in a mode.
    pub fn replug(&mut self, mode: Mode) {
        self.mode = mode;
        self.descriptors = ModeDescriptors::new(mode, &self.config.faults);
        self.set_configuration(0);
        self.departure = None;
        self.asked = false;
    }

    /// That it leaves by itself, told once.
    pub fn departure(&mut self) -> Option<Departure> {
        self.departure.take()
    }

    /// A control transfer: `data` comes from the host; what goes to it is given, at most wLength bytes.
    ///
    /// # Errors
    /// [`Stall`].
    pub fn control(&mut self, setup: Setup, data: &[u8]) -> Result<Vec<u8>, Stall> {
        let mut answer = self.request(setup, data)?;
        answer.truncate(if setup.is_in() { setup.length.into() } else { 0 });
        Ok(answer)
    }

    /// One bulk transfer from the host, or a part of one that fills its packets: it ends with a shorter one, if need be of no bytes.
    ///
    /// # Errors
    /// [`Stall`]; also when the endpoint isn't there now.
    pub fn bulk_out(&mut self, endpoint: u8, bytes: &[u8]) -> Result<(), Stall> {
        self.usable(endpoint)?;
        if endpoint == self.tethering.bulk_out() {
            self.tethering.take_block(bytes);
        } else if endpoint == self.private.bulk_out() {
            self.private.take_block(bytes);
            self.vanish()?;
        }
        Ok(())
    }

    /// What an endpoint has for the host, at most `max` bytes of it; `None` while there is nothing.
    ///
    /// # Errors
    /// [`Stall`]; also when the endpoint isn't there now.
    pub fn bulk_in(&mut self, endpoint: u8, max: usize) -> Result<Option<Vec<u8>>, Stall> {
        self.usable(endpoint)?;
        for function in [&mut self.tethering, &mut self.private] {
            if function.status_in() == Some(endpoint) {
                return Ok(function.notification(max));
            }
            if function.bulk_in() == endpoint {
                return Ok(function.block(max));
            }
        }
        // PTP and usbmux stay quiet.
        Ok(None)
    }

    /// A frame from the phone's own interface to the host; dropped while the host has not opened the private function.
    pub fn send_frame(&mut self, frame: &[u8]) {
        self.private.send(frame);
    }

    /// Whether a frame to the host would not be dropped for want of room.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.private.has_room()
    }

    /// The next frame from the host for the phone's own interface.
    pub fn take_frame(&mut self) -> Option<Vec<u8>> {
        self.private.take_frame()
    }

    /// Whether the host has opened the private function: the phone's interface has a cable then.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.private.is_open()
    }

    /// What went through it since it was made.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        Traffic { tethering: self.tethering.traffic().from_host, ..self.private.traffic() }
    }

    fn has(&self, fault: UsbFault) -> bool {
        self.config.faults.contains(&fault)
    }

    /// Refuses endpoints of settings that are not chosen, and all of them with the fault.
    fn usable(&self, endpoint: u8) -> Result<(), Stall> {
        if self.endpoints.contains(&endpoint) && !self.has(UsbFault::Stall) { Ok(()) } else { Err(Stall) }
    }

    /// The configuration now. What `wrong-descriptors` made can't be read: no host can use it.
    fn active(&self) -> Result<Configuration, Stall> {
        let active = self.descriptors.of_value(self.configuration).ok_or(Stall)?;
        Configuration::parse(active).map_err(|_| Stall)
    }

    /// The endpoints of the settings that are chosen.
    fn find_endpoints(&mut self) {
        let settings = self.active().map(|configuration| configuration.settings).unwrap_or_default();
        let chosen = settings.iter().filter(|setting| self.alternate(setting.interface) == setting.alternate);
        self.endpoints = chosen.flat_map(|setting| &setting.endpoints).map(|one| one.address).collect();
    }

    fn alternate(&self, interface: u8) -> u8 {
        self.alternates.get(&interface).copied().unwrap_or_default()
    }

    fn set_configuration(&mut self, value: u8) {
        self.configuration = value;
        self.alternates.clear();
        self.find_endpoints();
        self.tethering.reset();
        self.private.reset();
    }

    /// Chooses an alternate setting, which begins the function behind it anew.
    fn set_interface(&mut self, interface: u8, alternate: u8) {
        self.alternates.insert(interface, alternate);
        self.find_endpoints();
        for (function, [_, data]) in [(&mut self.tethering, TETHERING), (&mut self.private, PRIVATE)] {
            if self.descriptors.ncm == Some(self.configuration) && interface == data {
                function.set_open(alternate == 1);
            }
        }
    }

    /// Plays [`UsbFault::Vanish`].
    fn vanish(&mut self) -> Result<(), Stall> {
        let seen = self.private.traffic().from_host;
        let due = |fault: &UsbFault| matches!(fault, UsbFault::Vanish(frames) if seen >= *frames);
        if self.vanished || !self.config.faults.iter().any(due) {
            return Ok(());
        }
        self.vanished = true;
        self.departure = Some(Departure { after: Duration::ZERO, away: None, mode: self.config.mode });
        Err(Stall)
    }

    /// Leaves for another mode.
    fn leave(&mut self, after: Duration, away: Duration, mode: Mode) {
        self.departure = Some(Departure { after, away: Some(away), mode });
    }
}
