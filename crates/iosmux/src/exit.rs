//! How a command ends: the exit codes that scripts rely on.

use std::io;
use std::process::ExitCode;

use iosmux_pairing::error::ControlError;
use iosmux_pairing::io::host::HostError;
use iosmux_pairing::store::StoreError;

use iosmux_lab::Unsupported;

/// The exit codes of every iosmux command. 2 is given by the argument parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Failure = 1,
    DeviceNotFound = 3,
    Permission = 4,
    NotPaired = 5,
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
            if cause.downcast_ref::<HostError>().is_some_and(is_not_paired) {
                return Self::NotPaired;
            }
            if matches!(cause.downcast_ref(), Some(StoreError::Permissions { .. })) {
                return Self::Permission;
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

/// Whether there is no trust between the two; all else is a failure on the way to it.
fn is_not_paired(error: &HostError) -> bool {
    match error {
        HostError::NoPin => true,
        HostError::Control(error) => matches!(
            error,
            ControlError::Rejected { .. }
                | ControlError::BackOff { .. }
                | ControlError::WrongPin { .. }
                | ControlError::Refused { .. }
                | ControlError::IdentityChanged { .. }
                | ControlError::NotPaired
                | ControlError::PairSetupNotAllowed
        ),
        _ => false,
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
        let rejected = HostError::from(ControlError::Rejected { description: None });
        assert_eq!(Exit::of(&anyhow::Error::new(rejected).context("pair")), Exit::NotPaired);
        let closed = HostError::from(ControlError::Closed { waiting_for: "M2" });
        assert_eq!(Exit::of(&closed.into()), Exit::Failure);
        let open = StoreError::Permissions { path: "x".into(), mode: 0o755, wanted: 0o700 };
        assert_eq!(Exit::of(&open.into()), Exit::Permission);
        assert_eq!(Exit::of(&anyhow::anyhow!("other")), Exit::Failure);
    }
}
