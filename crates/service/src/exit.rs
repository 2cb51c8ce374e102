//! The exit codes that scripts rely on: the same in every program.

use std::error::Error;
use std::io;
use std::process::ExitCode;

/// Why a program ends without success. 2 is given by the argument parser as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// What has no code of its own.
    Failure = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// No phone, or not the one that was asked for.
    DeviceNotFound = 3,
    /// The system does not let this user do it.
    Permission = 4,
    /// The phone does not trust this computer.
    NotPaired = 5,
    /// This machine can't do it.
    UnsupportedHere = 6,
}

impl Exit {
    /// The code for an error: the first in its chain of causes that `known` or the kind of an error of the system decides.
    pub fn of(error: &(dyn Error + 'static), known: impl Fn(&(dyn Error + 'static)) -> Option<Self>) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            let system = || error.downcast_ref().and_then(Self::of_system);
            if let Some(exit) = known(error).or_else(system) {
                return exit;
            }
            cause = error.source();
        }
        Self::Failure
    }

    fn of_system(error: &io::Error) -> Option<Self> {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Some(Self::Permission),
            io::ErrorKind::Unsupported => Some(Self::UnsupportedHere),
            _ => None,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt;

    #[derive(Debug)]
    struct Around(io::Error);

    impl fmt::Display for Around {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("around")
        }
    }

    impl Error for Around {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn a_cause_anywhere_in_the_chain_decides() {
        let of = |kind| Exit::of(&Around(io::Error::from(kind)), |_| None);
        assert_eq!(of(io::ErrorKind::PermissionDenied), Exit::Permission);
        assert_eq!(of(io::ErrorKind::Unsupported), Exit::UnsupportedHere);
        assert_eq!(of(io::ErrorKind::AddrInUse), Exit::Failure);
    }

    #[test]
    fn what_the_program_knows_comes_before_what_lies_below() {
        let known = |error: &(dyn Error + 'static)| error.is::<Around>().then_some(Exit::NotPaired);
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(Exit::of(&Around(denied()), known), Exit::NotPaired);
        assert_eq!(Exit::of(&denied(), known), Exit::Permission);
    }
}
