//! The network face: an iPhone on a netdev.
//!
//! | file | what |
//! |---|---|
//! | `phone` | attach and detach as the address comes and goes, announcement |
//! | `error` | why it can't be, or can't go on |
//! | `attach` | everything that listens while there is a link |
//! | `face` | an RSD and who is connected: the link has one, every tunnel another |
//! | [`peers`] | which RSD connection lives and when listeners are replaced; without I/O |
//! | `rsd` | one RSD connection |
//! | `services`, [`kind`] | a port per service and what is spoken there |
//! | `network` | `_remotepairing._tcp`, for hosts that are paired |
//! | `visits` | how often hosts came |
//! | `tunnels`, `tunnel` | the listeners that hosts ask for, and each tunnel with its interface |

mod attach;
mod error;
mod face;
pub mod kind;
mod network;
pub mod peers;
mod phone;
mod rsd;
mod services;
mod shared;
mod tunnel;
mod tunnels;
mod visits;

pub use attach::RSD_PORT;
pub use error::{Error, ListenError};
pub use phone::{Phone, PhoneConfig, Ready};
pub use shared::PhoneLimits;
pub use visits::Visits;
