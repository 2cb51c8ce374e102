//! A simulated iPhone for tests and demos: an iPhone's side of the network link, of pairing and of tunnels, made of
//! captured Handshakes.
//!
//! It is trusted nowhere that a real client or a capture doesn't agree, and it makes nothing up: where no source tells
//! what a phone does next it stops with a [`NotSourced`](iosmux_xpc::NotSourced) and counts it ([`not_sourced`]).

pub mod accessory;
pub mod fault;
pub mod identity;
pub mod lockdown;
pub mod net;
pub mod not_sourced;
pub mod usb;
mod version;

pub use version::{IosVersion, VersionError};
