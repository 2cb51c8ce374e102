//! RemoteXPC without I/O: objects, messages, the HTTP/2 session and the RSD handshake.
//!
//! RemoteXPC is how Apple's `remoted` and CoreDevice talk over a network link: XPC objects ([`object`]) in messages with
//! a 24-byte wrapper, carried by HTTP/2 streams with prior knowledge. RSD ([`rsd`]) is the first conversation on such a
//! connection: both sides say who they are and which services listen where.
//!
//! Everything here is sans-IO: bytes, time and randomness are arguments, no input makes it panic, and what a peer can
//! make it hold is bounded by [`Limits`]. What no source supports stops with [`NotSourced`].
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

#[cfg(feature = "io")]
pub mod io;
pub mod limits;
pub mod message;
pub mod not_sourced;
pub mod object;
pub mod rsd;
pub mod session;

pub use limits::Limits;
pub use message::{Body, Flags, Message};
pub use not_sourced::NotSourced;
pub use object::json;
pub use object::{DecodeError, Dictionary, EncodeError, Kind, Object, View};
