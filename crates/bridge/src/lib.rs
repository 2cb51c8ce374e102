//! The daemon that makes a phone on the cable a port of a bridge: layer 2 only, no tunnels, no pairing.
//!
//! ```text
//!   usb (sysfs, nusb) ─┐              ┌──actions──▶ usb, link, ncm
//!                      ├─pictures──▶ daemon ◀──▶ phone (one machine each)
//!   link (netlink) ────┘              └──report──▶ state file, systemd, people
//! ```
//!
//! | folder | what |
//! |---|---|
//! | [`phone`] | the state machine of one attached phone; without I/O |
//! | [`daemon`] | runs the machines: pictures in, work out |
//! | [`ports`] | what the daemon asks of the world, as traits |
//! | [`usb`], [`link`], [`ncm`] | the world: sysfs and nusb, netlink, our own NCM driver |
//! | [`privileges`] | one capability and the phone's node, nothing else |
//! | [`config`] | the configuration file |
//! | [`oneoff`] | a mode changed once, by command |
//! | [`state`] | what others may read: the report and its file |

pub mod config;
pub mod daemon;
pub mod link;
pub mod ncm;
pub mod oneoff;
pub mod phone;
pub mod ports;
pub mod privileges;
pub mod state;
pub mod usb;
