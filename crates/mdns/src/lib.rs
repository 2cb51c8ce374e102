//! DNS-SD browse and announce on one link: IPv6 multicast DNS on one interface, chosen by its index.
//!
//! | file | what |
//! |---|---|
//! | [`name`], [`message`] | what a message says, without its bytes |
//! | [`codec`] | bytes ⇄ message; the only file that knows hickory-proto |
//! | [`browser`] | asks, caches, expires, reports instances; no I/O, no clock |
//! | [`responder`] | announces, answers, says goodbye; no I/O, no clock |
//! | [`io`] (feature `io`) | sockets and the tokio tasks that drive the two state machines |
//!
//! Source: protocol.md §2 for what is announced; RFC 6762 (mDNS) and RFC 6763 (DNS-SD) for how.
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

pub mod browser;
pub mod codec;
mod error;
#[cfg(feature = "io")]
pub mod io;
mod lease;
mod limits;
pub mod message;
pub mod name;
pub mod responder;
mod rng;
mod service;

use std::net::{Ipv6Addr, SocketAddrV6};

pub use error::{CodecError, NameError, ServiceError};
pub use limits::Limits;
pub use service::{Service, service_type};

/// The UDP port of multicast DNS. Source: RFC 6762 §3.
pub const PORT: u16 = 5353;

/// The link-local IPv6 group of multicast DNS. Source: RFC 6762 §3.
pub const GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);

/// True when `from` is a neighbour on the link with this interface index: a link-local unicast address whose scope
/// the kernel filled with the interface the packet came in on.
pub fn is_on_link(from: &SocketAddrV6, interface_index: u32) -> bool {
    from.ip().is_unicast_link_local() && from.scope_id() == interface_index
}
