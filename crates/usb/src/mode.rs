//! The phone's modes: sets of configurations, one of which it has at a time. Source: protocol.md §1.2, §1.3.

use std::fmt;

use crate::descriptor::Descriptors;
use crate::setup::{IN_VENDOR_DEVICE, Setup};

/// GET_MODE: four bytes come. Source: protocol.md §1.2.
pub const GET_MODE: Setup = Setup::new(IN_VENDOR_DEVICE, 0x45, 0, 0, 4);

/// SET_MODE's bRequest. Source: protocol.md §1.2.
pub const SET_MODE: u8 = 0x52;

/// SET_MODE's answer when the phone took the mode; it then leaves the bus and comes back. Source: protocol.md §1.2.
pub const ACCEPTED: u8 = 0;

/// A mode, by the number that SET_MODE takes. Source: protocol.md §1.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Mode {
    /// What a phone has at first: at most four configurations, none with NCM.
    Initial = 1,
    /// One more, for the screen.
    Valeria = 2,
    /// One more with PTP, usbmux and two NCM functions: what iosmux asks for.
    Ncm = 3,
    /// Another one with Apple's Ethernet and NCM.
    EthernetAndNcm = 4,
    /// NCM alone, without usbmux.
    NcmDirect = 5,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Mode; 5] =
        [Mode::Initial, Mode::Valeria, Mode::Ncm, Mode::EthernetAndNcm, Mode::NcmDirect];

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The mode of a number.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Mode> {
        Mode::ALL.into_iter().find(|mode| u16::from(mode.number()) == number)
    }

    /// SET_MODE: an IN request all the same, that answers one byte, [`ACCEPTED`] or not.
    #[must_use]
    pub const fn set(self) -> Setup {
        Setup::new(IN_VENDOR_DEVICE, SET_MODE, 0, u16::from_be_bytes([0, self.number()]), 1)
    }

    /// The mode that descriptors look like, told as usbmuxd does: by the number of configurations and what the last one has.
    /// Source: protocol.md §1.3.
    #[must_use]
    pub fn guess(descriptors: &Descriptors) -> Option<Mode> {
        let last = descriptors.configurations.iter().max_by_key(|configuration| configuration.value)?;
        let ncm = last.ncm_functions().iter().any(Result::is_ok);
        let valeria = last.settings.iter().any(|setting| (setting.class, setting.subclass) == (0xff, 0x2a));
        match descriptors.device.configurations {
            1 if ncm && !last.has_usbmux() => Some(Mode::NcmDirect),
            1..=4 => Some(Mode::Initial),
            5 if valeria => Some(Mode::Valeria),
            5 if ncm => Some(Mode::Ncm),
            6 => Some(Mode::EthernetAndNcm),
            _ => None,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number())
    }
}

/// What GET_MODE answered. What the four bytes mean is not known (docs/research/gaps.md); four answers have been seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ModeReply(pub [u8; 4]);

/// What a GET_MODE answer was seen to stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModeReading {
    /// As a phone is at first.
    Initial {
        /// Whether its hotspot is on.
        tethering: bool,
    },
    /// After SET_MODE 3.
    Ncm {
        /// Whether its hotspot is on.
        tethering: bool,
    },
    /// Never seen: believe the descriptors.
    Unknown,
}

impl ModeReply {
    /// At first. Source: protocol.md §1.2.
    pub const INITIAL: ModeReply = ModeReply([3, 3, 3, 0]);
    /// After SET_MODE 3. Source: protocol.md §1.2.
    pub const NCM: ModeReply = ModeReply([5, 3, 3, 0]);
    /// At first, with the hotspot on. Source: protocol.md §1.2.
    pub const INITIAL_TETHERING: ModeReply = ModeReply([4, 4, 3, 4]);
    /// After SET_MODE 3, with the hotspot on. Source: protocol.md §1.2.
    pub const NCM_TETHERING: ModeReply = ModeReply([5, 4, 3, 4]);

    /// From the bytes that came; `None` unless there are four.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<ModeReply> {
        bytes.try_into().ok().map(ModeReply)
    }

    /// What it was seen to stand for.
    #[must_use]
    pub fn reading(self) -> ModeReading {
        match self {
            ModeReply::INITIAL => ModeReading::Initial { tethering: false },
            ModeReply::INITIAL_TETHERING => ModeReading::Initial { tethering: true },
            ModeReply::NCM => ModeReading::Ncm { tethering: false },
            ModeReply::NCM_TETHERING => ModeReading::Ncm { tethering: true },
            _ => ModeReading::Unknown,
        }
    }
}

impl fmt::Display for ModeReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ModeReply([a, b, c, d]) = self;
        write!(f, "{a}:{b}:{c}:{d}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_mode_is_an_in_request_with_the_mode_as_index() {
        assert_eq!(Mode::Ncm.set().to_bytes(), [0xc0, 0x52, 0, 0, 3, 0, 1, 0]);
        assert_eq!(GET_MODE.to_bytes(), [0xc0, 0x45, 0, 0, 0, 0, 4, 0]);
        assert!(Mode::Ncm.set().is_in());
    }

    #[test]
    fn numbers_are_modes() {
        for mode in Mode::ALL {
            assert_eq!(Mode::from_number(mode.number().into()), Some(mode));
        }
        assert_eq!(Mode::from_number(0), None);
        assert_eq!(Mode::from_number(259), None);
    }

    #[test]
    fn only_the_seen_answers_mean_anything() {
        assert_eq!(ModeReply([5, 3, 3, 0]).reading(), ModeReading::Ncm { tethering: false });
        assert_eq!(ModeReply([4, 4, 3, 4]).reading(), ModeReading::Initial { tethering: true });
        assert_eq!(ModeReply([4, 3, 3, 0]).reading(), ModeReading::Unknown);
        assert_eq!(ModeReply([4, 4, 3, 4]).to_string(), "4:4:3:4");
        assert_eq!(ModeReply::from_bytes(&[1, 2, 3]), None);
    }
}
