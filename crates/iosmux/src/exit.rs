//! How a command ends: the exit codes that scripts rely on.

use std::io;
use std::process::ExitCode;

use iosmux_pairing::store::StoreError;

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
#[error("{found} of {wanted} phones were found by mDNS within {seconds} s{trouble}")]
pub(crate) struct PhonesMissing {
    pub(crate) found: usize,
    pub(crate) wanted: usize,
    pub(crate) seconds: u64,
    /// What prevents the search, in words.
    pub(crate) trouble: String,
}

/// The daemon knows of no phone.
#[derive(Debug, thiserror::Error)]
#[error(
    "the daemon at {address} sees no phone: plug one in and unlock it; `iosmux doctor` says what else may be wrong"
)]
pub(crate) struct NoPhone {
    pub(crate) address: String,
}

/// A phone that will not get its tunnel, in the daemon's words.
#[derive(Debug, thiserror::Error)]
#[error("{device}: {reason}{}", next_step.as_ref().map(|step| format!(". Next: {step}")).unwrap_or_default())]
pub(crate) struct PhoneFailed {
    /// Its UDID, or its address while that is not known.
    pub(crate) device: String,
    pub(crate) reason: String,
    pub(crate) next_step: Option<String>,
    pub(crate) exit: Exit,
}

/// The reason stands in the result: only the exit code is left to give.
#[derive(Debug, thiserror::Error)]
#[error("the reason was told")]
pub(crate) struct Told(pub(crate) Exit);

impl Exit {
    /// The code for an error, by what stands in its chain of causes.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        error.chain().find_map(Self::of_cause).unwrap_or(Self::Failure)
    }

    fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Self> {
        #[cfg(target_os = "linux")]
        if cause.is::<iosmux_lab::Unsupported>() {
            return Some(Self::UnsupportedHere);
        }
        if cause.is::<PhonesMissing>() || cause.is::<NoPhone>() {
            return Some(Self::DeviceNotFound);
        }
        if let Some(Told(exit)) = cause.downcast_ref() {
            return Some(*exit);
        }
        if let Some(failed) = cause.downcast_ref::<PhoneFailed>() {
            return Some(failed.exit);
        }
        let denied =
            cause.downcast_ref::<io::Error>().map(io::Error::kind) == Some(io::ErrorKind::PermissionDenied);
        let open = matches!(cause.downcast_ref(), Some(StoreError::Permissions { .. }));
        (denied || open).then_some(Self::Permission)
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

    fn failed(next_step: Option<&str>) -> PhoneFailed {
        PhoneFailed {
            device: "00008020-0000000000001234".to_owned(),
            reason: "the device rejected the pairing".to_owned(),
            next_step: next_step.map(str::to_owned),
            exit: Exit::NotPaired,
        }
    }

    #[test]
    fn a_cause_anywhere_in_the_chain_decides() {
        let missing = PhonesMissing { found: 0, wanted: 1, seconds: 10, trouble: String::new() };
        assert_eq!(Exit::of(&anyhow::Error::new(missing).context("in the lab")), Exit::DeviceNotFound);
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(Exit::of(&anyhow::Error::new(denied).context("create the file")), Exit::Permission);
        assert_eq!(Exit::of(&anyhow::Error::new(failed(None)).context("demo")), Exit::NotPaired);
        let open = StoreError::Permissions { path: "x".into(), mode: 0o755, wanted: 0o700 };
        assert_eq!(Exit::of(&open.into()), Exit::Permission);
        assert_eq!(Exit::of(&Told(Exit::UnsupportedHere).into()), Exit::UnsupportedHere);
        assert_eq!(Exit::of(&anyhow::anyhow!("other")), Exit::Failure);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_machine_without_a_lab_is_unsupported() {
        let unsupported =
            iosmux_lab::Unsupported { what: "x", why: "y", found: "z".to_owned(), fix: "w".to_owned() };
        assert_eq!(Exit::of(&unsupported.into()), Exit::UnsupportedHere);
    }

    #[test]
    fn a_phone_that_failed_is_a_sentence_with_the_next_step() {
        assert!(failed(None).to_string().ends_with("1234: the device rejected the pairing"));
        assert!(failed(Some("tap Trust")).to_string().ends_with("the pairing. Next: tap Trust"));
    }
}
