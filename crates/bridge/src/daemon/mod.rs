//! Runs the machines: looks at the world when it may have changed, hands pictures in and carries work out.
//!
//! One task decides; each piece of work is a task of its own, so that a phone that does not answer delays no other.
//!
//! | file | what |
//! |---|---|
//! | `handle` | what others see and ask |
//! | `actor` | the task that decides |
//! | `look` | pictures of the world |
//! | `attachment` | one phone: its machine, its handle, its driver |
//! | `work` | carrying work out |

mod actor;
mod attachment;
mod handle;
mod look;
mod work;

use std::io;
use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, watch};

use crate::config::Settings;
use crate::phone::Policy;
use crate::ports::{LinkControl, UsbHost, UserspaceNcm};
use crate::state::Report;

pub use handle::{Ended, Handle, Happening};

/// Commands that may wait.
const COMMANDS: usize = 16;
/// Happenings that a slow reader may miss no sooner.
const HAPPENINGS: usize = 256;

/// The world.
#[derive(Debug)]
pub struct Ports<U, L, N> {
    /// USB.
    pub usb: U,
    /// Links.
    pub links: L,
    /// The userspace driver.
    pub ncm: N,
}

/// A daemon that follows the world already; it works in [`Daemon::run`].
pub struct Daemon<U, L, N>
where
    U: UsbHost,
    L: LinkControl,
    N: UserspaceNcm<Device = U::Device>,
{
    actor: actor::Actor<U, L, N>,
}

impl<U, L, N> Daemon<U, L, N>
where
    U: UsbHost,
    L: LinkControl,
    N: UserspaceNcm<Device = U::Device>,
{
    /// Begins to follow the world. Must be called in the runtime.
    ///
    /// # Errors
    /// When neither changes of USB nor of links can be followed.
    pub fn start(ports: Ports<U, L, N>, settings: Settings, policy: Policy) -> io::Result<(Self, Handle)> {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let (report, reports) = watch::channel(Arc::new(Report::new(Vec::new())));
        let (happenings, _) = broadcast::channel(HAPPENINGS);
        let handle = Handle { commands, reports, happenings: happenings.clone() };
        let out = actor::Out { report, happenings, looked: false };
        Ok((Self { actor: actor::Actor::new(Arc::new(ports), settings, policy, inbox, out)? }, handle))
    }

    /// Works until `shutdown` comes; then takes every phone out of its bridge and gives it back, each within its deadline.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        self.actor.run(shutdown).await;
    }
}
