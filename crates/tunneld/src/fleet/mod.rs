//! All phones: which there are, what happens to each, and what others ask.
//!
//! | file | what |
//! |---|---|
//! | `handle` | what the rest of the program holds: a picture, and commands |
//! | `actor` | the one task that owns all machines: events in, actions out |
//! | `holders` | which attachment has a phone, when several say that they are it |
//! | `attachment` | one attached phone: its machine, and what its hops found |
//! | `publish` | the picture of all phones, and what happens to each |
//! | `verdict` | whether a phone gets a tunnel at all |
//! | `roster` | which UDIDs there are, and which attachment is whose |
//! | `waiters` | who waits for a tunnel |
//! | `runner` | the task that walks the hops of one attachment |
//! | `dial`, `rsd`, `trust`, `open` | the hops |

mod actor;
mod attachment;
mod config;
mod dial;
mod handle;
mod holders;
mod open;
mod publish;
mod roster;
mod rsd;
mod runner;
mod trust;
mod verdict;
mod waiters;

pub use actor::run;
pub use config::FleetConfig;
pub use handle::{Command, CommandError, Fleet, Inbox, channel};
