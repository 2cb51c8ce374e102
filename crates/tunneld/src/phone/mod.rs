//! The way of one attached phone to its tunnel and back, as a machine without I/O: events and time in, actions out.
//!
//! ```text
//!                        ┌──────────────────────────── Down (again by itself) ◀──┐
//!                        ▼                             ▲                         │
//!  Announced ──▶ RsdUntrusted ──▶ Pairing ──▶ Listening ──▶ TunnelUp ──▶ CatalogueKnown ◀──▶ Suspect
//!                        │            ▼
//!                     Locked     AwaitingTrust ──▶ Held (a person has to do something)
//! ```
//!
//! Every hop has a deadline; a failure takes everything of this phone down, and nothing of another one.

mod backoff;
mod event;
mod failure;
mod hop;
mod machine;
mod policy;

pub use event::{Action, Event};
pub(crate) use failure::printable;
pub use failure::{Failure, Kind};
pub use hop::Hop;
pub use machine::Machine;
pub use policy::Policy;
