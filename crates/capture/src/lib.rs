//! Records what connections carry, both directions and with time, into a pcapng file that Wireshark opens.
//!
//! Nothing is captured from a network: the bytes are taken where the program reads and writes them, and the TCP segments
//! around them are made up ([`flow`]). So no privileges are needed, and what is inside an encrypted transport can be
//! recorded as well.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! # let (local, peer) = ("[::1]:1".parse()?, "[::1]:2".parse()?);
//! # let (socket, _far) = tokio::io::duplex(64);
//! let recorder = iosmux_capture::Recorder::create("demo.pcapng")?;
//! let stream = recorder.connection(local, peer, socket); // use it in place of the socket
//! # drop(stream);
//! let summary = recorder.finish()?;
//! # Ok(()) }
//! ```
#![deny(
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

pub mod flow;
pub mod pcapng;

mod queue;
mod recorded;
mod recorder;
mod writer;

pub use recorded::Recorded;
pub use recorder::{Error, Recorder};
pub use writer::Summary;
