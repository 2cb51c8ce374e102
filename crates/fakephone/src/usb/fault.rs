//! Faults of the USB face, by name.

use std::str::FromStr;
use std::time::Duration;

use crate::fault::Fault;

/// One way to misbehave on USB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsbFault {
    /// `refuse-mode`: SET_MODE is answered with 1, and nothing changes. `refuse-mode:stall`: it stalls.
    RefuseMode {
        /// Whether it stalls.
        stall: bool,
    },
    /// `slow-reenumeration:SECONDS`: after SET_MODE it stays away for so long.
    SlowReenumeration(Duration),
    /// `vanish:FRAMES`: it leaves the bus in the middle of the transfer after so many frames from the host, once, and stays away
    /// until it is plugged in again.
    Vanish(u64),
    /// `wrong-descriptors`: configuration 5 can't be read. `wrong-descriptors:mac`: the private function's iMACAddress names a
    /// string that is no MAC. `wrong-descriptors:no-private`: there is the tethering function only.
    WrongDescriptors(WrongDescriptors),
    /// `long-strings`: each string has 4 KB, and would do harm in a path, a log or a terminal.
    LongStrings,
    /// `stall`: every vendor and class request stalls, and every bulk transfer; it can be enumerated and nothing else.
    Stall,
    /// `stay`: SET_MODE is accepted, and nothing changes.
    Stay,
    /// `forget-mode`: SET_MODE is accepted, and it comes back in mode 1. `forget-mode:configured`: it comes back as it was told, and
    /// leaves for mode 1 as soon as the NCM configuration is set.
    ForgetMode {
        /// Whether it waits for the configuration.
        configured: bool,
    },
    /// `suspend:SECONDS`: so long after the NCM configuration was set it is back in mode 1, as after a suspend of its host.
    Suspend(Duration),
    /// `mode-drift`: after SET_MODE 3 there is one configuration more, the NCM configuration has number 6, and GET_MODE answers
    /// what was never seen. Source: protocol.md §1.2 (several SET_MODEs give odd sets).
    ModeDrift,
    /// `mute`: from its first vendor or class request on no control request is answered, and none is refused: each waits until its
    /// host gives it up. `mute:configured`: from when the NCM configuration is set; `mute:FRAMES`: while the private function is
    /// open, after so many frames from the host. Enumerated anew, it answers again until then.
    Mute(Mute),
}

/// From when on a phone is mute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mute {
    /// Its first request beyond those of USB.
    Asked,
    /// Its NCM configuration.
    Configured,
    /// So many frames from the host.
    Frames(u64),
}

/// What is wrong with configuration 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrongDescriptors {
    /// A bLength that ends beyond the configuration.
    Lengths,
    /// No MAC behind iMACAddress.
    Mac,
    /// No private function.
    NoPrivate,
}

impl UsbFault {
    /// The names, as help and errors list them.
    pub const NAMES: &str = "refuse-mode[:stall], slow-reenumeration:SECONDS, vanish:FRAMES, \
                             wrong-descriptors[:mac|:no-private], long-strings, stall, stay, forget-mode[:configured], \
                             suspend:SECONDS, mode-drift, mute[:configured|:FRAMES]";

    /// The fault of a name; `None` when it is no USB fault.
    #[must_use]
    pub fn from_name(text: &str) -> Option<UsbFault> {
        Some(match text {
            "refuse-mode" => UsbFault::RefuseMode { stall: false },
            "refuse-mode:stall" => UsbFault::RefuseMode { stall: true },
            "wrong-descriptors" => UsbFault::WrongDescriptors(WrongDescriptors::Lengths),
            "wrong-descriptors:mac" => UsbFault::WrongDescriptors(WrongDescriptors::Mac),
            "wrong-descriptors:no-private" => UsbFault::WrongDescriptors(WrongDescriptors::NoPrivate),
            "long-strings" => UsbFault::LongStrings,
            "stall" => UsbFault::Stall,
            "stay" => UsbFault::Stay,
            "forget-mode" => UsbFault::ForgetMode { configured: false },
            "forget-mode:configured" => UsbFault::ForgetMode { configured: true },
            "mode-drift" => UsbFault::ModeDrift,
            "mute" => UsbFault::Mute(Mute::Asked),
            "mute:configured" => UsbFault::Mute(Mute::Configured),
            _ => {
                let (name, number) = text.split_once(':')?;
                let number = u64::from(number.parse::<u32>().ok()?);
                match name {
                    "slow-reenumeration" => UsbFault::SlowReenumeration(Duration::from_secs(number)),
                    "suspend" => UsbFault::Suspend(Duration::from_secs(number)),
                    "vanish" => UsbFault::Vanish(number),
                    "mute" => UsbFault::Mute(Mute::Frames(number)),
                    _ => return None,
                }
            }
        })
    }
}

/// A fault of the network face or of the USB face: one phone has both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultOfEitherFace {
    /// On the network.
    Net(Fault),
    /// On USB.
    Usb(UsbFault),
}

/// A text that names no fault of either face.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{network}; or, on USB, one of {}", UsbFault::NAMES)]
pub struct UsbFaultError {
    network: crate::fault::FaultError,
}

impl FromStr for FaultOfEitherFace {
    type Err = UsbFaultError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match UsbFault::from_name(text) {
            Some(fault) => Ok(FaultOfEitherFace::Usb(fault)),
            None => text.parse().map(FaultOfEitherFace::Net).map_err(|network| UsbFaultError { network }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_name_is_read() {
        for listed in UsbFault::NAMES.split(", ") {
            let listed = listed.replace(":SECONDS", ":3").replace(":FRAMES", ":4");
            let (name, options) = listed.split_once('[').unwrap_or((&listed, ""));
            assert!(UsbFault::from_name(name).is_some(), "{name}");
            for option in options.trim_end_matches(']').split('|').filter(|option| !option.is_empty()) {
                assert!(UsbFault::from_name(&format!("{name}{option}")).is_some(), "{name}{option}");
            }
        }
        assert_eq!(UsbFault::from_name("vanish:4"), Some(UsbFault::Vanish(4)));
    }

    #[test]
    fn faults_of_both_faces_are_told_apart_and_others_are_refused_with_the_lists() {
        assert_eq!("silent".parse(), Ok(FaultOfEitherFace::Net(Fault::Silent)));
        assert_eq!("stall".parse(), Ok(FaultOfEitherFace::Usb(UsbFault::Stall)));
        for text in ["", "vanish", "vanish:", "suspend:x", "refuse-mode:", "Stall"] {
            let error = text.parse::<FaultOfEitherFace>().unwrap_err().to_string();
            assert!(error.contains("no-announce") && error.contains("long-strings"), "{error}");
        }
    }
}
