//! The tunnel to an iPhone: CDTunnel, IPv6 packet rules, the TLS-PSK and QUIC transports, the packet pump and TUN.
//!
//! | file | what |
//! |---|---|
//! | [`cdtunnel`] | the two messages that open a tunnel, and their framing |
//! | [`parameters`] | what was agreed on, checked before anything is configured from it |
//! | [`packet`] | which packets may pass, and the counters of those that may not |
//! | [`framer`] | a stream of bytes, cut into IPv6 packets |
//! | [`coalesce`] | TCP segments in a row, as one packet for TUN |
//! | [`psk`] | the key of the TCP transport |
//! | [`transport`] | which transport an iOS version has |
//! | [`io`] (feature `io`) | TLS 1.2 PSK, QUIC, any other stream, the pump, TUN |
//!
//! All but [`io`] is sans-IO: no input makes it panic, and what a peer can make it hold is bounded by the MTU.
//!
//! Source: protocol.md §5.8 – §5.11.
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

pub mod cdtunnel;
pub mod coalesce;
pub mod framer;
#[cfg(feature = "io")]
pub mod io;
pub mod packet;
pub mod parameters;
pub mod psk;
pub mod transport;

pub use parameters::{DeviceParameters, Parameters, ParametersError};
pub use psk::Psk;
pub use transport::Transport;

/// The smallest MTU of a link that carries IPv6, in bytes. Source: RFC 8200 §5.
pub const MIN_MTU: u16 = 1280;

/// The MTU to ask for over TCP, in bytes: a packet and its TLS record then travel in one write.
/// Source: protocol.md §5.9 (what working clients ask for).
pub const TCP_MTU: u16 = 16_000;

/// The largest MTU to agree on over QUIC, in bytes: what a datagram in a UDP payload of 1452 bytes holds.
/// Source: protocol.md §5.9 (1400), platform.md (quinn has 1414 bytes of room).
pub const QUIC_MTU: u16 = 1400;

/// The largest MTU that this crate carries, in bytes: one packet is one TLS record. Source: RFC 5246 §6.2.1 (2^14).
pub const MAX_MTU: u16 = 16_384;
