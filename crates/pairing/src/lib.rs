//! RemotePairing without I/O, both roles: the host (controller) that pairs with a phone, and the device (accessory).
//!
//! The way of a conversation: a handshake, pair-verify with a known peer ([`verify`]), else pair-setup ([`setup`], SRP-6a
//! in [`srp`]), then an encrypted channel ([`channel`]) on which the host asks for a remote unlock key and for a listener
//! ([`listener`]). [`control`] is the whole dialogue as one state machine per role. Its messages ([`message`]) travel in
//! one of two envelopes ([`envelope`]): RemoteXPC dictionaries, or JSON after the magic `RPPairing`.
//!
//! Unlike the clients it was learnt from, the host checks the device's signatures and pins its identity.
//!
//! Everything is sans-IO: bytes, time (a [`Duration`](std::time::Duration) since an epoch of the caller's choice) and
//! randomness are arguments, no input makes it panic, and secrets are wiped when dropped and never shown. What
//! touches a disk or a connection is behind the feature `io`: [`store`] and [`io`].
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

pub mod auth_tag;
pub mod channel;
pub mod control;
pub mod envelope;
pub mod error;
pub mod identity;
pub mod info;
#[cfg(feature = "io")]
pub mod io;
pub mod keys;
pub mod listener;
pub mod message;
pub mod not_sourced;
pub mod opack;
pub mod record;
pub mod setup;
pub mod srp;
#[cfg(feature = "io")]
pub mod store;
pub mod tlv8;
pub mod verify;
