//! The USB face: an iPhone on a cable, whose private NCM function leads to the network face.
//!
//! | file | what |
//! |---|---|
//! | [`device`] | the phone as a USB device: control requests and endpoints; without I/O, clock or kernel |
//! | [`descriptors`] | what it has in each mode: captured bytes, and configuration 5 |
//! | [`strings`] | its string table |
//! | [`fault`] | how it can misbehave on USB |
//! | [`usbip`] | USB/IP messages; without I/O |
//! | [`server`] | the device behind USB/IP: transfers that wait; without I/O |
//! | `vhci` | plugging into the kernel's virtual host controller |
//! | `tap` | the phone's own network interface |
//! | `hand`, `state`, `error` | what is done to it, where it is then, and why it can't be |
//! | `phone`, `desk` | all of it together: [`UsbPhone`], and the task behind it |
//! | [`played`] | what hosts do to phones behind everybody's back, for tests |
//!
//! PTP and usbmux are there and stay quiet: what is sent to them is taken, nothing ever comes back.

mod cord;
pub mod descriptors;
mod desk;
pub mod device;
mod error;
pub mod fault;
mod hand;
mod phone;
pub mod played;
pub mod server;
mod state;
pub mod strings;
mod tap;
pub mod usbip;
mod vhci;

pub use device::{Departure, Device, DeviceConfig, Stall};
pub use error::UsbPhoneError;
pub use fault::{FaultOfEitherFace, UsbFault};
pub use hand::{Hand, HandError};
pub use phone::{UsbPhone, UsbPhoneConfig};
pub use state::UsbState;
pub use tap::TapError;
pub use vhci::VhciError;
