//! Suspends Apple's `remoted` on macOS while a phone is first asked, and never leaves it suspended.
//!
//! On a Mac with the phone's cable remoted owns the RSD link, and a phone resets a second one: other tools stop it with
//! SIGSTOP meanwhile. Everything that asks remoted hangs for that time, so it is short, and a second process resumes it
//! when this one dies. Source: protocol.md §7.
//!
//! | file | what |
//! |---|---|
//! | [`guard`] | suspends a process for as long as a value lives |
//! | [`watchdog`] | the second process |
//! | [`find`] | which process is remoted |

pub mod find;
pub mod guard;
pub mod watchdog;

use std::time::Duration;

pub use guard::{SuspendError, Suspension, Watchdog};

use crate::config::SuspendRemoted;

/// Suspends remoted if the settings say so and this is a Mac where it runs. Blocks for some milliseconds.
///
/// The program of this process must have the command [`watchdog::COMMAND`].
///
/// # Errors
/// [`SuspendError`]; remoted runs then.
pub fn suspend(setting: SuspendRemoted, longest: Duration) -> Result<Option<Suspension>, SuspendError> {
    let remoted = match setting {
        SuspendRemoted::Never => None,
        SuspendRemoted::Auto => find::remoted(),
    };
    remoted.map(|process| Suspension::begin(&Watchdog::ourselves()?, process, longest)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(not(target_os = "macos"))]
    fn elsewhere_than_on_macos_nothing_is_suspended() {
        for setting in [SuspendRemoted::Never, SuspendRemoted::Auto] {
            assert!(suspend(setting, Duration::from_secs(1)).unwrap().is_none());
        }
    }
}
