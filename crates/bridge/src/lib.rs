//! The daemon that makes a phone on the cable a port of a bridge: layer 2 only, no tunnels, no pairing.

pub mod link;
pub mod ncm;
pub mod phone;
pub mod ports;
pub mod privileges;
pub mod usb;
