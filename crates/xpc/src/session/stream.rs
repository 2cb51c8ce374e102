//! One HTTP/2 stream of a session.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;

use super::{
    codec::MAX_FRAME,
    flow::{ReceiveWindow, SendWindow},
};
use crate::message::Assembler;

/// Carries messages, in both directions. Source: protocol.md §3.1.
pub(super) const ROOT: u32 = 1;
/// Opened beside the root stream; a peer may send replies on it. Source: protocol.md §3.1, §3.2.
pub(super) const REPLY: u32 = 3;
/// The first stream on which a client sends a file. Source: protocol.md §3.4.
pub(super) const FIRST_FILE: u32 = 5;

/// What a stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The root or the reply stream.
    Messages,
    /// A file that we send.
    FileOut,
    /// A file that we receive, after the peer's preamble.
    FileIn {
        /// Bytes still to come, where the size is known.
        left: Option<u64>,
        /// Whether the preamble was seen, or ruled out.
        begun: bool,
    },
    /// A stream by which the peer asks for a file, before its preamble.
    FileAsked,
}

/// Bytes that wait for a window.
#[derive(Debug)]
pub(super) struct Chunk {
    bytes: Bytes,
    end: bool,
}

/// State of one stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) purpose: Purpose,
    pub(super) send: SendWindow,
    pub(super) receive: ReceiveWindow,
    pub(super) assembler: Assembler,
    /// When the message under way began.
    pub(super) message_since: Option<Duration>,
    /// Whether our HEADERS went out.
    pub(super) opened_by_us: bool,
    /// Whether the peer's HEADERS came.
    pub(super) opened_by_peer: bool,
    /// Whether the peer ended its side.
    pub(super) ended_by_peer: bool,
    queue: VecDeque<Chunk>,
    queued: usize,
}

impl Stream {
    pub(super) fn new(purpose: Purpose, send: SendWindow, receive: ReceiveWindow) -> Self {
        Self {
            purpose,
            send,
            receive,
            assembler: Assembler::default(),
            message_since: None,
            opened_by_us: false,
            opened_by_peer: false,
            ended_by_peer: false,
            queue: VecDeque::new(),
            queued: 0,
        }
    }

    /// Adds bytes to send. Each call begins a DATA frame of its own, because clients look for a wrapper
    /// at the start of a frame (protocol.md §3.2: "several wrappers may share one DATA frame", which not all of them read).
    pub(super) fn enqueue(&mut self, bytes: Bytes, end: bool) {
        self.queued = self.queued.saturating_add(bytes.len());
        self.queue.push_back(Chunk { bytes, end });
    }

    /// Bytes that wait.
    pub(super) fn queued(&self) -> usize {
        self.queued
    }

    /// The next frame's payload within the windows, and whether it ends the stream.
    pub(super) fn next_frame(&mut self, connection: SendWindow) -> Option<(Bytes, bool)> {
        let chunk = self.queue.front_mut()?;
        let room = self.send.available().min(connection.available()).min(MAX_FRAME);
        if room == 0 && !chunk.bytes.is_empty() {
            return None;
        }
        let bytes = chunk.bytes.split_to(room.min(chunk.bytes.len()));
        let end = chunk.end && chunk.bytes.is_empty();
        if chunk.bytes.is_empty() {
            self.queue.pop_front();
            // An idle session keeps no queue.
            if self.queue.is_empty() {
                self.queue = VecDeque::new();
            }
        }
        self.queued = self.queued.saturating_sub(bytes.len());
        self.send.spend(bytes.len());
        Some((bytes, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(window: u32) -> Stream {
        Stream::new(Purpose::Messages, SendWindow::new(window), ReceiveWindow::new(10))
    }

    #[test]
    fn a_message_is_cut_by_the_smallest_window() {
        let mut stream = stream(5);
        stream.enqueue(Bytes::from_static(b"abcdefg"), false);
        assert_eq!(stream.next_frame(SendWindow::new(3)).unwrap().0, &b"abc"[..]);
        assert_eq!(stream.next_frame(SendWindow::new(9)).unwrap().0, &b"de"[..]);
        assert_eq!(stream.next_frame(SendWindow::new(9)), None);
        stream.send.shift(2, 1).unwrap();
        assert_eq!(stream.next_frame(SendWindow::new(9)).unwrap().0, &b"fg"[..]);
        assert_eq!(stream.queued(), 0);
    }

    #[test]
    fn two_messages_never_share_a_frame() {
        let mut stream = stream(100);
        stream.enqueue(Bytes::from_static(b"one"), false);
        stream.enqueue(Bytes::from_static(b"two"), true);
        let window = SendWindow::new(100);
        assert_eq!(stream.next_frame(window), Some((Bytes::from_static(b"one"), false)));
        assert_eq!(stream.next_frame(window), Some((Bytes::from_static(b"two"), true)));
        assert_eq!(stream.next_frame(window), None);
    }

    #[test]
    fn an_empty_end_needs_no_window() {
        let mut stream = stream(0);
        stream.enqueue(Bytes::new(), true);
        assert_eq!(stream.next_frame(SendWindow::new(0)), Some((Bytes::new(), true)));
    }
}
