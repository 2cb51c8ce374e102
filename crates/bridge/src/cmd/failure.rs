//! Why a command fails, and with which exit code.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use iosmux_bridge::oneoff::ModeError;
use iosmux_bridge::ports::UsbError;
use iosmux_bridge::privileges;
use iosmux_service::Exit;
use iosmux_service::config::ConfigError;

/// Why a command fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The reason is among the results already.
    #[error("the reason was told")]
    Told,
    /// There are no settings to run with.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The process may too much, or too little.
    #[error(transparent)]
    Privileges(#[from] privileges::Error),
    /// A mode is not as it was asked for.
    #[error(transparent)]
    Mode(#[from] ModeError),
    /// A daemon has the phone.
    #[error(
        "{udid} belongs to a running iosmux-bridge (process {pid}), which would switch it again: stop that, or leave the phone \
         out of its `allow`"
    )]
    Taken {
        /// Which phone.
        udid: String,
        /// The daemon.
        pid: u32,
    },
    /// A daemon has every phone.
    #[error(
        "iosmux-bridge runs already (process {pid}) and takes phones that are plugged in: stop it, or name phones that its \
         `allow` leaves out with --udid"
    )]
    Running {
        /// The daemon.
        pid: u32,
    },
    /// Another one takes phones.
    #[error(
        "iosmux-bridge runs already (process {}, which has {}): stop it, or give each its own phones (--udid, or `allow` and \
         `state-file`)", .pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string()), .path.display()
    )]
    Second {
        /// It, if it told.
        pid: Option<u32>,
        /// What it has locked.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{action}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// The results can't be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Failure {
    /// Whether the reason has to be told yet.
    pub(crate) fn is_news(&self) -> bool {
        !matches!(self, Self::Told)
    }

    /// The exit code, for an error of the system by its kind.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Told => Exit::Usage,
            Self::Config(error) => error.exit(),
            Self::Privileges(error) => of(error),
            Self::Mode(error) => of(error),
            Self::Taken { .. } | Self::Running { .. } | Self::Second { .. } => Exit::Failure,
            Self::System { source, .. } => of(source),
            Self::Io(error) => of(error),
        }
    }
}

/// By what stands in an error's chain of causes.
fn of(error: &(dyn Error + 'static)) -> Exit {
    Exit::of(error, |cause| match (cause.downcast_ref(), cause.downcast_ref(), cause.downcast_ref()) {
        (Some(ModeError::NotFound(_)), ..) => Some(Exit::DeviceNotFound),
        (_, Some(UsbError::Denied { .. }), _) => Some(Exit::Permission),
        // What a unit or a command line has wrong stays so however often it is tried.
        (_, _, Some(privileges::Error::Root | privileges::Error::Caller { .. })) => Some(Exit::Usage),
        (_, _, Some(privileges::Error::NoNetAdmin)) => Some(Exit::Permission),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use iosmux_usb::Mode;

    #[test]
    fn each_kind_of_trouble_has_its_code() {
        let udid: iosmux_usb::Udid = "00008020-0000000000001234".parse().unwrap();
        let denied = UsbError::Denied { node: "/dev/bus/usb/001/004".to_owned() };
        let usb = ModeError::Usb { udid: udid.clone(), mode: Mode::Ncm, source: denied };
        assert_eq!(Failure::from(ModeError::NotFound(udid)).exit(), Exit::DeviceNotFound);
        assert_eq!(Failure::from(usb).exit(), Exit::Permission);
        assert_eq!(Failure::from(privileges::Error::Root).exit(), Exit::Usage);
        assert_eq!(Failure::from(privileges::Error::NoNetAdmin).exit(), Exit::Permission);
        let source = io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(Failure::System { action: "x", source }.exit(), Exit::Permission);
    }
}
