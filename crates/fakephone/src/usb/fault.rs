//! Faults of the USB face, by name.

use std::time::Duration;

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
                             wrong-descriptors[:mac|:no-private], long-strings, stall, forget-mode[:configured], \
                             suspend:SECONDS, mode-drift";

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
            "forget-mode" => UsbFault::ForgetMode { configured: false },
            "forget-mode:configured" => UsbFault::ForgetMode { configured: true },
            "mode-drift" => UsbFault::ModeDrift,
            _ => {
                let (name, number) = text.split_once(':')?;
                let number = u64::from(number.parse::<u32>().ok()?);
                match name {
                    "slow-reenumeration" => UsbFault::SlowReenumeration(Duration::from_secs(number)),
                    "suspend" => UsbFault::Suspend(Duration::from_secs(number)),
                    "vanish" => UsbFault::Vanish(number),
                    _ => return None,
                }
            }
        })
    }
}
