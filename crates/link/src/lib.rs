//! The interfaces of this computer and their link-local addresses, followed as they come and go.
//!
//! | file | what |
//! |---|---|
//! | [`interface`] | one interface at one moment |
//! | [`selection`] | which interfaces are meant |
//! | [`change`] | what differs between two looks; without I/O |
//! | [`follow`] | all interfaces, followed: by rtnetlink on Linux, by looking each second elsewhere |
//! | `netlink`, `poll` | how the kernel is asked |
//! | `watch` (Linux) | one interface's link-local address, with every moment that it was away |

pub mod change;
pub mod follow;
pub mod interface;
#[cfg(target_os = "linux")]
mod netlink;
mod poll;
pub mod selection;
#[cfg(target_os = "linux")]
mod watch;

pub use change::Change;
pub use follow::Interfaces;
pub use interface::{Interface, Kind};
pub use selection::{Pattern, PatternError, Selection};
#[cfg(target_os = "linux")]
pub use watch::{LinkAddress, LinkError, LinkWatch};
