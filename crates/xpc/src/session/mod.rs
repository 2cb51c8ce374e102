//! The HTTP/2 session that carries messages, as a state machine for both roles.
//!
//! Bytes and the time go in ([`Session::receive`], [`Session::tick`]), bytes and [`Event`]s come out
//! ([`Session::take_output`], [`Session::poll_event`]). The time is a [`Duration`] since any fixed moment.

mod codec;
mod error;
mod flow;
mod guard;
mod ids;
mod opening;
mod receive;
mod send;
mod stream;
mod transfer;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;

pub use self::error::{FrameError, SessionError};
use self::{
    codec::FrameCodec,
    flow::{DEFAULT_WINDOW, ReceiveWindow, SendWindow},
    guard::Guard,
    ids::MessageIds,
    opening::Opening,
    stream::{FIRST_FILE, Stream},
};
use crate::{limits::Limits, message::Body};

/// Which end of the connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Opened the connection: a host towards a phone, CoreDeviceService towards the backend.
    Client,
    /// Accepted it: a phone, or the backend.
    Server,
}

/// What a session announces, and its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    /// SETTINGS_MAX_CONCURRENT_STREAMS. Source: protocol.md §3.1 (100).
    pub max_concurrent_streams: u32,
    /// SETTINGS_INITIAL_WINDOW_SIZE and the connection's window, bytes. Source: protocol.md §3.1 (1048576).
    pub window: u32,
    /// What the peer may make us hold or do.
    pub limits: Limits,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self { max_concurrent_streams: 100, window: 1_048_576, limits: Limits::default() }
    }
}

/// What a session tells its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The opening is complete: a server may send now.
    Opened,
    /// A message that answers nothing.
    Message {
        /// Its id, for the reply.
        id: u64,
        /// Whether the peer waits for a reply.
        wants_reply: bool,
        /// The object, checked whole.
        body: Body,
    },
    /// The answer to a request of ours.
    Reply {
        /// The id that the request got.
        id: u64,
        /// The object, checked whole.
        body: Body,
    },
    /// The peer begins to send a file.
    FileBegin {
        /// Names the transfer until its end.
        stream: u32,
        /// The transfer id that the announcing message carries.
        transfer: u64,
    },
    /// Bytes of a file.
    FileData {
        /// The transfer.
        stream: u32,
        /// The next bytes, never empty.
        bytes: Bytes,
    },
    /// All of a file has come.
    FileEnd {
        /// The transfer.
        stream: u32,
    },
    /// The peer asks for the file that an earlier message of ours announced.
    FileWanted {
        /// On which to send it, with [`Session::file_data`].
        stream: u32,
        /// Its position among the files of the announcing message, from 0.
        index: u32,
    },
    /// The peer gave a transfer up.
    FileAborted {
        /// The transfer.
        stream: u32,
        /// HTTP/2 error code.
        code: u32,
    },
    /// The peer closed the connection in good order.
    Closed,
}

/// Things that happened without ending the session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Replies to no request of ours.
    pub unmatched_replies: u64,
    /// Messages whose flags say that they carry nothing.
    pub idle_messages: u64,
    /// DATA frames on streams that had ended.
    pub stray_frames: u64,
}

/// One end of a RemoteXPC connection.
pub struct Session {
    role: Role,
    config: SessionConfig,
    codec: FrameCodec,
    opening: Opening,
    streams: BTreeMap<u32, Stream>,
    /// The stream after which the next round of sending begins.
    last_served: u32,
    send: SendWindow,
    receive: ReceiveWindow,
    peer_window: u32,
    next_file: u32,
    /// Highest stream on which the peer sends, or was asked for, a file.
    last_peer_file: u32,
    /// Highest stream on which the peer asked for a file.
    last_asked_file: u32,
    /// Files in the last message of ours that announced any.
    offered: u32,
    ids: MessageIds,
    guard: Guard,
    events: VecDeque<Event>,
    counters: Counters,
    since: Duration,
    ended: bool,
}

impl Session {
    /// A new session; a client has its opening ready to be written at once.
    #[must_use]
    pub fn new(role: Role, config: SessionConfig, now: Duration) -> Self {
        let mut session = Self {
            role,
            codec: FrameCodec::new(role == Role::Client, config.limits.header_list),
            opening: Opening::default(),
            streams: BTreeMap::new(),
            last_served: 0,
            send: SendWindow::new(DEFAULT_WINDOW),
            receive: ReceiveWindow::new(config.window),
            peer_window: DEFAULT_WINDOW,
            next_file: FIRST_FILE,
            last_peer_file: 0,
            last_asked_file: 0,
            offered: 0,
            ids: MessageIds::new(role, config.limits.pending_requests),
            guard: Guard::new(&config.limits),
            events: VecDeque::new(),
            counters: Counters::default(),
            since: now,
            ended: false,
            config,
        };
        if role == Role::Client {
            session.begin();
        }
        session
    }

    /// The next event, in order.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Which end this is.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether the opening is complete.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.opening.is_done()
    }

    /// What happened besides events.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// When [`Session::tick`] has something to do next; `None` while nothing is awaited.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let limits = &self.config.limits;
        if !self.opening.is_done() {
            return Some(self.since.saturating_add(limits.handshake_deadline));
        }
        let begun = self.streams.values().filter_map(|stream| stream.message_since).min();
        begun.map(|since| since.saturating_add(limits.message_deadline))
    }

    /// Looks at the deadlines.
    pub fn tick(&mut self, now: Duration) -> Result<(), SessionError> {
        match self.deadline() {
            Some(deadline) if now >= deadline && !self.ended => Err(self.fail(self.overdue())),
            _ => Ok(()),
        }
    }

    fn overdue(&self) -> SessionError {
        let limits = &self.config.limits;
        let slowest = self.streams.iter().filter_map(|(id, stream)| Some((stream.message_since?, *id))).min();
        match slowest {
            Some((_, stream)) if self.opening.is_done() => {
                SessionError::MessageTimeout { stream, after: limits.message_deadline }
            }
            _ => SessionError::HandshakeTimeout {
                after: limits.handshake_deadline,
                missing: self.opening.missing(self.role),
            },
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("role", &self.role)
            .field("open", &self.is_open())
            .field("streams", &self.streams.keys())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
