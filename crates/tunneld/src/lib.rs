//! The daemon that keeps a tunnel to every phone on its links and serves the registry that existing tools use.
//!
//! ```text
//!   discover ──sightings──▶ fleet ──events──▶ phone (one machine each)
//!                             │ ◀──actions───
//!                             ▼
//!                    snapshot, events, commands ──▶ http (registry faces)
//! ```
//!
//! | folder | what |
//! |---|---|
//! | [`phone`] | the state machine of one attached phone; without I/O |
//! | [`fleet`] | runs the machines: who is which phone, the hops to its tunnel, what others see and ask |
//! | [`discover`] | where phones may be: mDNS, neighbours, configuration, on interfaces as they come and go |
//! | [`http`] | the registry's faces: pymobiledevice3's, go-ios', our own |
//! | [`config`] | the configuration file |
//! | [`remoted`] | suspends macOS' remoted for a moment, and never leaves it so |

pub mod config;
pub mod daemon;
pub mod discover;
pub mod fleet;
pub mod http;
pub mod model;
pub mod phone;
pub mod remoted;
