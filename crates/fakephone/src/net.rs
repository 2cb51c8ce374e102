//! The network face: an iPhone on a netdev.
//!
//! | file | what |
//! |---|---|
//! | [`link`] | the netdev's link-local address, from the kernel |
//! | `phone` | attach and detach as the address comes and goes, announcement |
//! | `attach` | both RSD ports and who is connected |
//! | [`peers`] | which RSD connection lives and when listeners are replaced; without I/O |
//! | `rsd` | one RSD connection |
//! | `services`, [`kind`] | a port per service and what is spoken there |

mod attach;
pub mod kind;
pub mod link;
pub mod peers;
mod phone;
mod rsd;
mod services;
mod shared;

pub use attach::{ListenError, RSD_PORT};
pub use phone::{Error, Phone, PhoneConfig, Ready};
pub use shared::PhoneLimits;
