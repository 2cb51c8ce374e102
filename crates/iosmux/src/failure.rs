//! Why a command fails, and with which exit code.

use std::error::Error;

use iosmux_pairing::store::StoreError;
use iosmux_service::Exit;

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

/// The code for an error, by what stands in its chain of causes.
pub(crate) fn exit(error: &anyhow::Error) -> Exit {
    Exit::of(error.as_ref(), of_cause)
}

fn of_cause(cause: &(dyn Error + 'static)) -> Option<Exit> {
    #[cfg(target_os = "linux")]
    if cause.is::<iosmux_lab::Unsupported>() {
        return Some(Exit::UnsupportedHere);
    }
    if cause.is::<PhonesMissing>() || cause.is::<NoPhone>() {
        return Some(Exit::DeviceNotFound);
    }
    if let Some(Told(exit)) = cause.downcast_ref() {
        return Some(*exit);
    }
    if let Some(failed) = cause.downcast_ref::<PhoneFailed>() {
        return Some(failed.exit);
    }
    matches!(cause.downcast_ref(), Some(StoreError::Permissions { .. })).then_some(Exit::Permission)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

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
        assert_eq!(exit(&anyhow::Error::new(missing).context("in the lab")), Exit::DeviceNotFound);
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(exit(&anyhow::Error::new(denied).context("create the file")), Exit::Permission);
        assert_eq!(exit(&anyhow::Error::new(failed(None)).context("demo")), Exit::NotPaired);
        let open = StoreError::Permissions { path: "x".into(), mode: 0o755, wanted: 0o700 };
        assert_eq!(exit(&open.into()), Exit::Permission);
        assert_eq!(exit(&Told(Exit::UnsupportedHere).into()), Exit::UnsupportedHere);
        assert_eq!(exit(&anyhow::anyhow!("other")), Exit::Failure);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_machine_without_a_lab_is_unsupported() {
        let unsupported =
            iosmux_lab::Unsupported { what: "x", why: "y", found: "z".to_owned(), fix: "w".to_owned() };
        assert_eq!(exit(&unsupported.into()), Exit::UnsupportedHere);
    }

    #[test]
    fn a_phone_that_failed_is_a_sentence_with_the_next_step() {
        assert!(failed(None).to_string().ends_with("1234: the device rejected the pairing"));
        assert!(failed(Some("tap Trust")).to_string().ends_with("the pairing. Next: tap Trust"));
    }
}
