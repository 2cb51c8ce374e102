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

pub use guard::{Share, Shared, SuspendError, Suspension, Watchdog};

use crate::config::SuspendRemoted;

/// Every hop to every phone shares one: each would resume remoted under the others.
static REMOTED: Shared = Shared::new();

/// Suspends remoted if the settings say so and this is a Mac where it runs, for [`guard::LONGEST`] at most from when the first
/// hop began. Blocks for some milliseconds.
///
/// The program of this process must have the command [`watchdog::COMMAND`].
///
/// # Errors
/// [`SuspendError`]; remoted runs then.
pub fn suspend(setting: SuspendRemoted) -> Result<Option<Share>, SuspendError> {
    let remoted = match setting {
        SuspendRemoted::Never => None,
        SuspendRemoted::Auto => find::remoted(),
    };
    let begin =
        |process| REMOTED.join(|| Suspension::begin(&Watchdog::ourselves()?, process, guard::LONGEST));
    remoted.map(begin).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(not(target_os = "macos"))]
    fn elsewhere_than_on_macos_nothing_is_suspended() {
        for setting in [SuspendRemoted::Never, SuspendRemoted::Auto] {
            assert!(suspend(setting).unwrap().is_none());
        }
    }
}
