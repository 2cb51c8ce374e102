//! The USB face: an iPhone on a cable, whose private NCM function leads to the network face.
//!
//! | file | what |
//! |---|---|
//! | [`device`] | the phone as a USB device: control requests and endpoints; without I/O, clock or kernel |
//! | [`descriptors`] | what it has in each mode: captured bytes, and configuration 5 |
//! | [`strings`] | its string table |
//! | [`fault`] | how it can misbehave on USB |

//! | [`server`] | the device behind USB/IP: pending transfers; without I/O |
//! | `vhci` (Linux) | plugging into the kernel's virtual host controller |
//! | `tap` (Linux) | the phone's own network interface |
//! | `phone` (Linux) | all of it together: [`UsbPhone`] |
//!
//! PTP and usbmux are there and stay quiet: what is sent to them is taken, nothing ever comes back.

pub mod descriptors;
pub mod device;
pub mod fault;
pub mod strings;

pub use device::{Departure, Device, DeviceConfig, Stall};
pub use fault::UsbFault;
