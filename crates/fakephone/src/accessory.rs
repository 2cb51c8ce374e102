//! The accessory role of RemotePairing: whom the phone trusts, and what it says to a host that wants to be trusted.
//!
//! | file | what |
//! |---|---|
//! | [`policy`] | what its user does when a host asks |
//! | `trust` | the phone's long-term identity and the hosts that it paired with |
//! | `dialogue` | one control channel, whichever wire it is on |

mod dialogue;
pub mod policy;
mod trust;

pub(crate) use dialogue::{Channel, DialogueError, Opener, Refusal, run};
pub use policy::{PairPolicy, Pin, PolicyError};
pub(crate) use trust::Accessory;
pub use trust::{AccessoryError, PairingConfig};
