//! How a command ends: the exit codes that scripts rely on.

use std::io;
use std::process::ExitCode;

use crate::lab::Unsupported;

/// The exit codes of every iosmux command. 2 is given by the argument parser, 5 by commands that need a pairing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Failure = 1,
    DeviceNotFound = 3,
    Permission = 4,
    UnsupportedHere = 6,
}

/// No phone answered, or not as many as were asked for.
#[derive(Debug, thiserror::Error)]
#[error("{found} of {wanted} phones were found by mDNS within {seconds} s")]
pub(crate) struct PhonesMissing {
    pub(crate) found: usize,
    pub(crate) wanted: usize,
    pub(crate) seconds: u64,
}

impl Exit {
    /// The code for an error, by what stands in its chain of causes.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        for cause in error.chain() {
            if cause.is::<Unsupported>() {
                return Self::UnsupportedHere;
            }
            if cause.is::<PhonesMissing>() {
                return Self::DeviceNotFound;
            }
            if cause
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
            {
                return Self::Permission;
            }
        }
        Self::Failure
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

    #[test]
    fn a_cause_anywhere_in_the_chain_decides() {
        let missing = PhonesMissing { found: 0, wanted: 1, seconds: 10 };
        assert_eq!(Exit::of(&anyhow::Error::new(missing).context("in the lab")), Exit::DeviceNotFound);
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(Exit::of(&anyhow::Error::new(denied).context("create the file")), Exit::Permission);
        let unsupported = Unsupported { what: "x", why: "y", found: "z".to_owned(), fix: "w".to_owned() };
        assert_eq!(Exit::of(&unsupported.into()), Exit::UnsupportedHere);
        assert_eq!(Exit::of(&anyhow::anyhow!("other")), Exit::Failure);
    }
}
