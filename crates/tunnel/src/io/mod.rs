//! Transports, the pump and the devices.
//!
//! A host opens a tunnel with [`connect_tcp`], [`connect_quic`] or [`connect_stream`], a simulated device answers with
//! [`accept_tcp`], [`QuicListener`] or [`accept_stream`]; either way the result is a [`TunnelLink`], and
//! [`Tunnel::run`] moves packets between it and a [`PacketDevice`]: a [`TunDevice`], or one end of a [`channel`].

mod address;
mod connect;
mod device;
mod error;
mod handshake;
mod link;
mod pump;
mod quic;
mod quic_identity;
mod quic_pump;
mod quic_tls;
mod stream;
mod suite;
mod tls;
mod tls_link;
mod tun;
mod tun_file;
mod tunnel;

pub use address::Clash;
pub use connect::{
    HANDSHAKE_TIMEOUT, SILENCE, TunnelLink, accept_stream, accept_tcp, accept_tcp_with, connect_stream,
    connect_tcp, connect_tcp_with,
};
pub use device::{ChannelDevice, ChannelEnd, Delivery, PacketDevice, channel};
pub use error::{QuicError, TlsError, TunnelError};
pub use quic::{QuicListener, connect_quic};
pub use quic_identity::QuicIdentity;
pub use stream::Stream;
pub use suite::Suite;
pub use tun::{TunDevice, TunError};
pub use tunnel::{Ended, Meter, Options, Tunnel, TunnelCounters};
