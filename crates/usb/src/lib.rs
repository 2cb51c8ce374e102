//! What both ends of an iPhone's USB cable share.
//!
//! | file | what |
//! |---|---|
//! | [`descriptor`] | device, configuration, interface, endpoint and CDC descriptors: read and built |
//! | [`function`] | the NCM functions of a configuration, and which one is private |
//! | [`mode`] | the phone's modes, GET_MODE and SET_MODE |
//! | [`setup`] | setup packets, and the standard requests |
//! | [`ncm`] | NCM class requests, NTB parameters, notifications |
//! | [`ntb`] | NTB16: frames in blocks |
//! | [`string`] | string descriptors, and text of a device made fit for people and logs |
//! | [`udid`] | a serial string as UDID |
//! | [`mac`] | iMACAddress, and the phone's address on the private link |
//!
//! All of it is sans-IO: no input makes it panic, and what a device can make it hold is bounded.
//!
//! Source: protocol.md §1; USB 2.0 chapter 9; CDC 1.2; NCM 1.0.
#![deny(
    missing_docs,
    unsafe_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod bytes;
pub mod descriptor;
pub mod function;
pub mod mac;
pub mod mode;
pub mod ncm;
pub mod ntb;
pub mod setup;
pub mod string;
pub mod udid;

pub use descriptor::{Configuration, DescriptorError, Descriptors, Device};
pub use function::{FunctionError, NcmFunction};
pub use mac::{Mac, MacError};
pub use mode::{Mode, ModeReply};
pub use setup::Setup;
pub use udid::{Udid, UdidError};

/// Apple. Source: protocol.md §1.1.
pub const VENDOR: u16 = 0x05ac;

/// Whether a product id of Apple's is a phone's or a tablet's, in its ordinary state. Source: protocol.md §1.1.
#[must_use]
pub fn is_phone(vendor: u16, product: u16) -> bool {
    vendor == VENDOR && (0x1290..=0x12af).contains(&product)
}
