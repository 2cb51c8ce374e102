//! What can go wrong in a session.

use std::time::Duration;

use crate::{message::MessageError, object::EncodeError};

/// HTTP/2 error codes that are sent. Source: RFC 9113 §7.
pub(super) mod code {
    pub(in crate::session) const NO_ERROR: u32 = 0;
    pub(in crate::session) const PROTOCOL_ERROR: u32 = 1;
    pub(in crate::session) const FLOW_CONTROL_ERROR: u32 = 3;
    pub(in crate::session) const STREAM_CLOSED: u32 = 5;
    pub(in crate::session) const ENHANCE_YOUR_CALM: u32 = 11;
}

/// Bytes that are not the frames of HTTP/2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A client that does not begin with the HTTP/2 preface.
    #[error(
        "expected the HTTP/2 preface, found byte {found:#04x} at offset {offset}: the peer speaks another protocol"
    )]
    BadPreface {
        /// The byte that stood there.
        found: u8,
        /// Its offset in the preface.
        offset: usize,
    },
    /// A frame against the rules of HTTP/2.
    #[error("the peer sent a frame that HTTP/2 forbids (error {code}, {detail})")]
    Refused {
        /// HTTP/2 error code.
        code: u32,
        /// The stream, where only one is concerned.
        stream: Option<u32>,
        /// What the frame codec says of it.
        detail: String,
    },
    /// A frame that the codec does not take.
    #[error("can't encode a frame: {0}")]
    Unsendable(String),
}

/// Why a session ended, or why it refused a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Not HTTP/2.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Not a RemoteXPC message.
    #[error("stream {stream}: {source}")]
    Message {
        /// The stream that carried it.
        stream: u32,
        /// What is wrong.
        source: MessageError,
    },
    /// An object that can't be sent.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A frame where the session expects another.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What should have come.
        expected: &'static str,
        /// What came.
        found: &'static str,
    },
    /// DATA beyond the window that was granted.
    #[error(
        "{sent} bytes of DATA came on stream {stream}, {window} were allowed: the peer ignores flow control"
    )]
    FlowControl {
        /// The stream.
        stream: u32,
        /// Bytes still allowed.
        window: u32,
        /// Bytes that came.
        sent: u64,
    },
    /// A window enlarged past 2^31-1. Source: RFC 9113 §6.9.1.
    #[error("the peer enlarged the window of stream {stream} past 2147483647 bytes")]
    WindowOverflow {
        /// The stream; 0 is the connection.
        stream: u32,
    },
    /// A stream that the peer may not open or use.
    #[error("invalid stream_id {stream}: {why}")]
    InvalidStream {
        /// The stream.
        stream: u32,
        /// The rule it breaks.
        why: &'static str,
    },
    /// More streams at once than the limit.
    #[error("more than {limit} streams are open: the peer does not finish its transfers")]
    TooManyStreams {
        /// Streams allowed.
        limit: usize,
    },
    /// More of something than a well-meaning peer sends.
    #[error("more than {limit} {what} within {per:?}: the peer floods")]
    Flood {
        /// What came too often.
        what: &'static str,
        /// How many are allowed.
        limit: u32,
        /// In which time.
        per: Duration,
    },
    /// The opening did not complete.
    #[error("the RemoteXPC opening did not complete within {after:?}; still missing: {missing}")]
    HandshakeTimeout {
        /// The time allowed.
        after: Duration,
        /// What the peer has not sent.
        missing: &'static str,
    },
    /// A message that began and never ended.
    #[error("a message on stream {stream} was not complete {after:?} after it began")]
    MessageTimeout {
        /// The stream.
        stream: u32,
        /// The time allowed.
        after: Duration,
    },
    /// The peer ended the session.
    #[error("the peer ended the session: GOAWAY {code} {debug:?}")]
    GoAway {
        /// HTTP/2 error code.
        code: u32,
        /// The peer's words, at most 256 characters.
        debug: String,
    },
    /// The peer reset a stream that the session can't do without.
    #[error("the peer reset stream {stream} (error {code}): another client may have taken its place")]
    Reset {
        /// The stream.
        stream: u32,
        /// HTTP/2 error code.
        code: u32,
    },
    /// The connection closed in the middle of something.
    #[error("the connection closed {during}")]
    Closed {
        /// What was going on.
        during: &'static str,
    },
    /// Too much waits to be sent.
    #[error("{queued} bytes wait for the peer to read them, over the limit of {limit}")]
    QueueFull {
        /// Bytes that wait.
        queued: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Too many requests are without an answer.
    #[error("{limit} requests wait for a reply already")]
    TooManyRequests {
        /// Requests allowed.
        limit: usize,
    },
    /// A reply to a message that did not ask for one makes a phone abort. Source: protocol.md §3.2.
    #[error("message {id} did not ask for a reply, or has one already")]
    NotAsked {
        /// The message id.
        id: u64,
    },
    /// A call that only makes sense after the opening.
    #[error("the session is not open yet")]
    NotOpen,
    /// The session ended earlier.
    #[error("the session has ended")]
    Ended,
}

impl SessionError {
    /// The HTTP/2 error code that tells the peer.
    pub(super) fn code(&self) -> u32 {
        match self {
            Self::Frame(FrameError::Refused { code, .. }) => *code,
            Self::FlowControl { .. } | Self::WindowOverflow { .. } => code::FLOW_CONTROL_ERROR,
            Self::TooManyStreams { .. } | Self::Flood { .. } | Self::TooManyRequests { .. } => {
                code::ENHANCE_YOUR_CALM
            }
            Self::HandshakeTimeout { .. } | Self::MessageTimeout { .. } => code::NO_ERROR,
            _ => code::PROTOCOL_ERROR,
        }
    }
}
