//! Why a command fails, and with which exit code.

use std::error::Error;
use std::io;

use iosmux_pairing::store::StoreError;
use iosmux_service::Exit;
use iosmux_service::config::ConfigError;
use iosmux_tunneld::daemon::StartError;

/// Why a command fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The reason is among the results already.
    #[error("the reason was told")]
    Told,
    /// There are no settings to run with.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The daemon does not start.
    #[error("{error}{holder}")]
    Start {
        /// Why.
        error: StartError,
        /// Who has what it needs.
        holder: String,
    },
    /// The system refused.
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
            Self::Io(error) => of(error),
            Self::Start { error, .. } => of(error),
        }
    }
}

/// By what stands in an error's chain of causes.
fn of(error: &(dyn Error + 'static)) -> Exit {
    Exit::of(error, |cause| {
        matches!(cause.downcast_ref(), Some(StoreError::Permissions { .. })).then_some(Exit::Permission)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use iosmux_tunneld::http::BindError;

    fn start(error: impl Into<StartError>) -> Exit {
        Failure::Start { error: error.into(), holder: String::new() }.exit()
    }

    fn socket(kind: io::ErrorKind) -> BindError {
        BindError::Socket { path: "x".into(), source: io::Error::from(kind) }
    }

    #[test]
    fn a_cause_anywhere_in_the_chain_decides() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(Failure::from(denied()).exit(), Exit::Permission);
        let store = StoreError::Io { action: "open", path: "x".into(), source: denied() };
        assert_eq!(start(store), Exit::Permission);
        let open = StoreError::Permissions { path: "x".into(), mode: 0o755, wanted: 0o700 };
        assert_eq!(start(open), Exit::Permission);
        assert_eq!(start(socket(io::ErrorKind::PermissionDenied)), Exit::Permission);
        assert_eq!(start(socket(io::ErrorKind::Unsupported)), Exit::UnsupportedHere);
        assert_eq!(start(socket(io::ErrorKind::AddrInUse)), Exit::Failure);
    }
}
