//! What the daemon asks of the world: USB, links, the userspace driver. Plain data and traits, so that tests can stand in.
//!
//! Pictures, not messages: [`UsbHost::list`] and [`LinkControl`] tell what is there now, and a change only says that
//! looking again is worth it. So nothing depends on an event that was missed, and a start finds what a killed run left.
//!
//! Every method returns within [`LONGEST`], with an error where the world does not answer; dropping a future abandons it.

use std::future::Future;
use std::io;
use std::time::Duration;

mod link;
mod ncm;
mod usb;

pub use link::{Bridge, Dropped, LinkControl, LinkError, Port, PortState};
pub use ncm::{Counters, Function, RunningNcm, UserspaceNcm};
pub use usb::{
    Address, Attached, Bound, Holder, MAX_DESCRIPTORS, Netdev, Phones, UsbDevice, UsbError, UsbHost, named,
};

/// The longest that a method of these traits takes.
pub const LONGEST: Duration = Duration::from_secs(3);

/// Says when looking again is worth it.
pub trait Changes: Send {
    /// Waits until something may have changed; many changes may be told as one, and cancelling loses none.
    ///
    /// # Errors
    /// When changes are followed no longer; the daemon then polls.
    fn changed(&mut self) -> impl Future<Output = io::Result<()>> + Send;
}
