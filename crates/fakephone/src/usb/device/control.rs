//! Control requests: those of USB, those of NCM, and the phone's own. What it doesn't know it stalls. Source: USB 2.0 §9.2.7, §9.4.

use std::time::Duration;

use iosmux_usb::descriptor::{CONFIGURATION, DEVICE, STRING};
use iosmux_usb::mode::{ACCEPTED, GET_MODE, SET_MODE};
use iosmux_usb::setup::{
    CLEAR_FEATURE, GET_CONFIGURATION, GET_DESCRIPTOR, GET_INTERFACE, GET_STATUS, IN_CLASS_INTERFACE,
    IN_DEVICE, IN_ENDPOINT, IN_INTERFACE, IN_VENDOR_DEVICE, OUT_CLASS_INTERFACE, OUT_DEVICE, OUT_ENDPOINT,
    OUT_INTERFACE, SET_ADDRESS, SET_CONFIGURATION, SET_FEATURE, SET_INTERFACE,
};
use iosmux_usb::{Mode, ModeReply, Setup};

use super::{Device, LEAVES_AFTER, Stall};
use crate::not_sourced::{USB_MODE, USB_NCM_INTERFACE_FLAGS};
use crate::usb::descriptors::{PRIVATE, TETHERING};
use crate::usb::fault::{Mute, UsbFault};

/// What GET_MODE answers with the fault `mode-drift`: never seen of a phone.
const DRIFTED: ModeReply = ModeReply([6, 9, 9, 0]);
/// Apple's NCM request for the interface's flags. Source: protocol.md §1.6.
const INTERFACE_FLAGS: u8 = 0xa0;
/// Asks Apple's Ethernet function for the host's MAC; ipheth takes the interface when it is answered. No frame ever comes from it.
/// Source: Linux, drivers/net/usb/ipheth.c (IPHETH_CMD_GET_MACADDR).
const GET_MACADDR: u8 = 0x00;
/// Class and subclass of Apple's Ethernet function. Source: protocol.md §1.4.
const ETHERNET: (u8, u8) = (0xff, 0xfd);
/// The kinds of request, without direction and recipient. Source: USB 2.0 table 9-2.
const KIND: u8 = 0x60;

impl Device {
    /// Whether a control request gets an answer at all, be it a STALL.
    pub fn answers(&mut self, setup: Setup) -> bool {
        self.asked |= setup.request_type & KIND != 0;
        !self.is_mute()
    }

    /// Plays [`UsbFault::Mute`]: whether it answers no control request any more.
    #[must_use]
    pub fn is_mute(&self) -> bool {
        self.config.faults.iter().any(|fault| match fault {
            UsbFault::Mute(Mute::Asked) => self.asked,
            UsbFault::Mute(Mute::Configured) => self.descriptors.ncm == Some(self.configuration),
            UsbFault::Mute(Mute::Frames(frames)) => self.is_open() && self.traffic().from_host >= *frames,
            _ => false,
        })
    }

    pub(super) fn request(&mut self, setup: Setup, data: &[u8]) -> Result<Vec<u8>, Stall> {
        if setup.request_type & KIND != 0 && self.has(UsbFault::Stall) {
            return Err(Stall);
        }
        // Interfaces, endpoints, alternates and configurations have numbers of one byte.
        let (Ok(value), Ok(index)) = (u8::try_from(setup.value), u8::try_from(setup.index)) else {
            return self.descriptor(setup);
        };
        match (setup.request_type, setup.request) {
            (IN_DEVICE, GET_DESCRIPTOR) => self.descriptor(setup),
            (OUT_DEVICE, SET_CONFIGURATION) => self.choose_configuration(value),
            (IN_DEVICE, GET_CONFIGURATION) => Ok(vec![self.configuration]),
            (OUT_INTERFACE, SET_INTERFACE) => self.choose_interface(index, value),
            (IN_INTERFACE, GET_INTERFACE) => {
                self.setting(index, 0)?;
                Ok(vec![self.alternate(index)])
            }
            // Self-powered, and nothing is halted.
            (IN_DEVICE, GET_STATUS) => Ok(vec![1, 0]),
            (IN_INTERFACE | IN_ENDPOINT, GET_STATUS) => Ok(vec![0, 0]),
            (OUT_DEVICE | OUT_INTERFACE | OUT_ENDPOINT, CLEAR_FEATURE | SET_FEATURE) => Ok(Vec::new()),
            (OUT_DEVICE, SET_ADDRESS) => Ok(Vec::new()),
            (IN_VENDOR_DEVICE, _) => self.vendor(setup, index),
            (IN_CLASS_INTERFACE | OUT_CLASS_INTERFACE, _) => self.class(setup, index, data),
            _ => Err(Stall),
        }
    }

    fn descriptor(&self, setup: Setup) -> Result<Vec<u8>, Stall> {
        let [kind, number] = setup.value.to_be_bytes();
        match (setup.request_type, setup.request, kind) {
            (IN_DEVICE, GET_DESCRIPTOR, DEVICE) => Ok(self.descriptors.device.clone()),
            (IN_DEVICE, GET_DESCRIPTOR, CONFIGURATION) => {
                self.descriptors.configurations.get(usize::from(number)).cloned().ok_or(Stall)
            }
            (IN_DEVICE, GET_DESCRIPTOR, STRING) => self.strings.descriptor(number).ok_or(Stall),
            // No qualifier, no BOS: the captured phone says USB 2.00, and no dump has them.
            _ => Err(Stall),
        }
    }

    fn choose_configuration(&mut self, value: u8) -> Result<Vec<u8>, Stall> {
        if value != 0 && self.descriptors.of_value(value).is_none() {
            return Err(Stall);
        }
        self.set_configuration(value);
        tracing::info!(configuration = value, "configuration chosen");
        if self.descriptors.ncm == Some(value) {
            self.leave_for_the_initial_mode();
        }
        Ok(Vec::new())
    }

    /// Plays the faults that begin with the NCM configuration.
    fn leave_for_the_initial_mode(&mut self) {
        let after = self.config.faults.iter().find_map(|fault| match fault {
            UsbFault::ForgetMode { configured: true } => Some(LEAVES_AFTER),
            UsbFault::Suspend(after) => Some(*after),
            _ => None,
        });
        if let Some(after) = after {
            self.leave(after, self.config.reenumeration, Mode::Initial);
        }
    }

    fn choose_interface(&mut self, interface: u8, alternate: u8) -> Result<Vec<u8>, Stall> {
        self.setting(interface, alternate)?;
        self.set_interface(interface, alternate);
        tracing::debug!(interface, alternate, "alternate setting chosen");
        Ok(Vec::new())
    }

    /// Refuses settings that the configuration doesn't have.
    fn setting(&self, interface: u8, alternate: u8) -> Result<(), Stall> {
        self.active()?.setting(interface, alternate).map(|_| ()).ok_or(Stall)
    }

    /// The phone's own requests. Source: protocol.md §1.2; of Apple's Ethernet function Linux, drivers/net/usb/ipheth.c.
    fn vendor(&mut self, setup: Setup, index: u8) -> Result<Vec<u8>, Stall> {
        match setup.request {
            request if request == GET_MODE.request => Ok(self.mode_reply().0.to_vec()),
            SET_MODE => self.set_mode(index),
            GET_MACADDR
                if self.active()?.settings.iter().any(|one| (one.class, one.subclass) == ETHERNET) =>
            {
                Ok(self.config.tethering_mac.0.to_vec())
            }
            _ => Err(Stall),
        }
    }

    fn mode_reply(&self) -> ModeReply {
        match self.mode {
            Mode::Ncm if self.has(UsbFault::ModeDrift) => DRIFTED,
            Mode::Ncm => ModeReply::NCM,
            _ => ModeReply::INITIAL,
        }
    }

    fn set_mode(&mut self, number: u8) -> Result<Vec<u8>, Stall> {
        let mode = match Mode::from_number(number.into()) {
            Some(mode @ (Mode::Initial | Mode::Ncm)) => mode,
            _ => {
                self.gaps.count(USB_MODE, "SET_MODE");
                return Err(Stall);
            }
        };
        if self.has(UsbFault::RefuseMode { stall: true }) {
            return Err(Stall);
        }
        if self.has(UsbFault::RefuseMode { stall: false }) {
            return Ok(vec![1]);
        }
        if self.has(UsbFault::Stay) {
            return Ok(vec![ACCEPTED]);
        }
        let slow = self.config.faults.iter().find_map(|fault| match fault {
            UsbFault::SlowReenumeration(away) => Some(*away),
            _ => None,
        });
        let forgets = self.has(UsbFault::ForgetMode { configured: false });
        let away: Duration = slow.unwrap_or(self.config.reenumeration);
        tracing::info!(%mode, "mode taken: re-enumerating");
        self.leave(LEAVES_AFTER, away, if forgets { Mode::Initial } else { mode });
        Ok(vec![ACCEPTED])
    }

    /// Requests to an NCM function. Source: NCM 1.0 §6.2.
    fn class(&mut self, setup: Setup, interface: u8, data: &[u8]) -> Result<Vec<u8>, Stall> {
        if self.descriptors.ncm != Some(self.configuration) {
            return Err(Stall);
        }
        self.setting(interface, 0)?;
        let function = match interface {
            control if control == TETHERING[0] => &mut self.tethering,
            control if control == PRIVATE[0] => &mut self.private,
            _ => return Err(Stall),
        };
        if setup.is_in() && setup.request == INTERFACE_FLAGS {
            self.gaps.count(USB_NCM_INTERFACE_FLAGS, "NCM");
            return Err(Stall);
        }
        function.request(setup, data)
    }
}
