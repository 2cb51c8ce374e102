//! Every bound on what a peer can make this crate hold or do, in one place.

use std::time::Duration;

/// The largest container nesting any [`Limits`] can allow: the decoder's stack is an array of this size.
pub const MAX_DEPTH: usize = 64;

/// How much a peer may ask of us before the connection is refused with a typed error.
///
/// The defaults fit an iPhone's largest known messages (a trusted Handshake is about 15 KiB, about 540 nodes) with
/// three orders of magnitude to spare. Source: protocol.md §3.2 and §4.1 for the sizes; the bounds are our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Containers inside each other, the outermost counted. Values above [`MAX_DEPTH`] mean [`MAX_DEPTH`].
    pub depth: usize,
    /// Values in one message: every scalar and every container counts one; keys do not count.
    pub nodes: usize,
    /// Bytes of one message's body, without its 24-byte wrapper.
    pub message: usize,
    /// Streams open at the same time on one connection.
    pub streams: usize,
    /// RST_STREAM frames a peer may send within [`Limits::resets_window`].
    pub resets: u32,
    /// The window in which [`Limits::resets`] are counted.
    pub resets_window: Duration,
    /// SETTINGS and PING frames a peer may send in one second.
    pub control_frames_per_second: u32,
    /// DATA frames without payload a peer may send in one second.
    pub empty_data_frames_per_second: u32,
    /// From the first byte of a connection until its opening is complete.
    pub handshake_deadline: Duration,
    /// From the first byte of a message until its last.
    pub message_deadline: Duration,
    /// Bytes of one header block. RemoteXPC sends empty ones.
    pub header_list: usize,
    /// Bytes waiting to be sent on one connection, wrappers included.
    pub outbound_queue: usize,
    /// Requests of ours that wait for a reply on one connection.
    pub pending_requests: usize,
    /// File transfers under way on one connection, both directions together.
    pub file_transfers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            depth: MAX_DEPTH,
            nodes: 65_536,
            message: 16 << 20,
            streams: 16,
            resets: 20,
            resets_window: Duration::from_secs(10),
            control_frames_per_second: 32,
            empty_data_frames_per_second: 32,
            handshake_deadline: Duration::from_secs(10),
            message_deadline: Duration::from_secs(60),
            header_list: 4 << 10,
            outbound_queue: 32 << 20,
            pending_requests: 1024,
            file_transfers: 8,
        }
    }
}
