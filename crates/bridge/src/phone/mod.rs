//! The way of one attached phone to the bridge and back, as a machine without I/O: pictures, outcomes and time in, actions
//! out. A drawing is in docs/architecture/bridge-phone.md.
//!
//! It acts on what is there, not on what happened: each decision starts from the newest picture (descriptors, configuration,
//! network interface, bridge, port), so a phone that is in the right mode already, configured by udev or joined by a run that
//! was killed needs nothing but the steps that are left. One piece of work is under way at a time, and each has a deadline.
//!
//! | file | what |
//! |---|---|
//! | `state` | where a phone is |
//! | `picture` | what a look finds |
//! | `event` | events, actions, work |
//! | `machine` | events in, actions out; time |
//! | `switch` | from any mode to one with NCM |
//! | `join` | from the NCM configuration to the bridge |
//! | `leave` | out of the bridge and back to mode 1 |
//! | `outcome` | what each piece of work's end means |
//! | `memory` | what is remembered of a phone while it is away |
//! | `reason` | why a phone is where it is, in words |
//! | `policy` | how long things may take |

mod event;
mod join;
mod leave;
mod machine;
mod memory;
mod outcome;
mod picture;
mod policy;
mod reason;
mod state;
mod switch;

pub use event::{Action, Event, Failure, Outcome, Work};
pub use machine::Machine;
pub use memory::Memory;
pub use picture::{Layout, Ncm, Picture, Usb};
pub use policy::{Driver, Policy, RE_ENUMERATION, Wanted};
pub use reason::Reason;
pub(crate) use reason::TUN;
pub use state::State;
