//! The sending half of a session.

use std::ops::Bound;

use bytes::Bytes;

use super::{
    Role, Session, SessionError,
    codec::{Frame, Settings},
    error::code,
    flow::{DEFAULT_WINDOW, ReceiveWindow, SendWindow},
    opening::{self, Step},
    stream::{Purpose, ROOT, Stream},
};
use crate::{
    message::{self, Flags, Wrapper},
    object::Object,
};

/// Output that is enough to write at once; more is encoded when this much is taken.
const OUTPUT_MARK: usize = 256 << 10;

impl Session {
    /// Sends an object on the root stream and answers its message id.
    ///
    /// With `wants_reply` the answer comes as [`Event::Reply`](super::Event::Reply) of that id.
    pub fn send(&mut self, object: &Object, wants_reply: bool) -> Result<u64, SessionError> {
        self.ready()?;
        let mut flags = Flags::ALWAYS_SET.with(Flags::DATA_PRESENT);
        if wants_reply {
            flags = flags.with(Flags::WANTING_REPLY);
        }
        // Encoded before an id is taken: a refused object leaves the session as it was.
        let limits = &self.config.limits;
        let bytes = message::encode(flags, self.ids.next(), object, limits)?;
        let id = self.ids.allot(wants_reply)?;
        self.offer(object);
        self.enqueue_message(bytes);
        Ok(id)
    }

    /// Replies to the message `id`, which must have asked for it.
    ///
    /// Replies go on the root stream, as a phone sends them. Source: protocol.md §3.2.
    pub fn reply(&mut self, id: u64, object: &Object) -> Result<(), SessionError> {
        self.ready()?;
        let flags = Flags::ALWAYS_SET.with(Flags::DATA_PRESENT).with(Flags::REPLY);
        let bytes = message::encode(flags, id, object, &self.config.limits)?;
        self.ids.answer(id)?;
        self.offer(object);
        self.enqueue_message(bytes);
        Ok(())
    }

    /// Notes the files that a message of ours announces, so that the client may ask for them.
    fn offer(&mut self, object: &Object) {
        let files = count_files(object).min(self.config.limits.file_transfers);
        if files > 0 && self.role == Role::Server {
            self.offered = u32::try_from(files).unwrap_or(u32::MAX);
            // Each announcing message counts its files from stream 2 again.
            self.last_asked_file = 0;
        }
    }

    fn enqueue_message(&mut self, bytes: Bytes) {
        if let Some(root) = self.streams.get_mut(&ROOT) {
            root.enqueue(bytes, false);
        }
        self.pump();
    }

    /// Whether a message can be sent now.
    fn ready(&self) -> Result<(), SessionError> {
        if self.ended {
            return Err(SessionError::Ended);
        }
        if self.role == Role::Server && !self.is_open() {
            return Err(SessionError::NotOpen);
        }
        let (queued, limit) = (self.queued(), self.config.limits.outbound_queue);
        if queued > limit { Err(SessionError::QueueFull { queued, limit }) } else { Ok(()) }
    }

    /// Bytes that wait to be sent: for a window, or to be taken with [`Session::take_output`].
    #[must_use]
    pub fn queued(&self) -> usize {
        self.streams.values().map(Stream::queued).fold(self.codec.output_len(), usize::saturating_add)
    }

    /// Takes bytes to write to the peer; empty when there are none now.
    pub fn take_output(&mut self) -> Bytes {
        let output = self.codec.take_output();
        self.pump();
        output
    }

    /// Says goodbye to the peer; only what was queued before may still be written.
    pub fn close(&mut self) {
        if !self.ended {
            self.goaway(code::NO_ERROR);
        }
    }

    /// Ends the session for `error` and tells the peer, unless the peer ended it.
    pub(super) fn fail(&mut self, error: SessionError) -> SessionError {
        let by_peer = matches!(
            error,
            SessionError::GoAway { .. } | SessionError::Reset { .. } | SessionError::Closed { .. }
        );
        if by_peer || self.ended {
            self.ended = true;
        } else {
            self.goaway(error.code());
        }
        self.streams.clear();
        error
    }

    fn goaway(&mut self, code: u32) {
        self.ended = true;
        self.frame(Frame::GoAway { code, debug: Bytes::new() });
    }

    /// A client's opening.
    pub(super) fn begin(&mut self) {
        for step in opening::client_steps() {
            self.step(step);
        }
    }

    /// Sends a step of the opening, before anything else.
    pub(super) fn step(&mut self, step: Step) {
        match step {
            Step::Settings => {
                self.frame(Frame::Settings(Settings {
                    max_concurrent_streams: Some(self.config.max_concurrent_streams),
                    initial_window_size: Some(self.config.window),
                }));
                let increment = self.config.window.saturating_sub(DEFAULT_WINDOW);
                if increment > 0 {
                    self.frame(Frame::WindowUpdate { stream: 0, increment });
                }
            }
            Step::Headers(id) => self.open(id, Purpose::Messages),
            Step::Data(id, bytes) => {
                if let Some(stream) = self.streams.get_mut(&id) {
                    stream.enqueue(bytes, false);
                }
                self.pump();
            }
        }
    }

    /// The state of a stream, made when it is first spoken of.
    pub(super) fn stream(&mut self, id: u32, purpose: Purpose) -> &mut Stream {
        let (send, receive) = (SendWindow::new(self.peer_window), ReceiveWindow::new(self.config.window));
        self.streams.entry(id).or_insert_with(|| Stream::new(purpose, send, receive))
    }

    /// Sends our HEADERS on a stream, once.
    pub(super) fn open(&mut self, id: u32, purpose: Purpose) {
        if !std::mem::replace(&mut self.stream(id, purpose).opened_by_us, true) {
            self.frame(Frame::Headers { stream: id, end: false });
        }
    }

    /// Queues a wrapper without a body on a stream.
    pub(super) fn enqueue_wrapper(&mut self, id: u32, flags: Flags, message: u64) {
        let wrapper = Wrapper { flags: Flags::ALWAYS_SET.with(flags), body_length: 0, id: message };
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.enqueue(Bytes::copy_from_slice(&wrapper.encode()), false);
        }
    }

    /// Encodes a frame; the codec takes all that is built here.
    pub(super) fn frame(&mut self, frame: Frame) {
        if let Err(error) = self.codec.send(frame) {
            tracing::error!(%error, "the frame codec refused a frame of ours");
            self.ended = true;
        }
    }

    /// Moves what the windows allow into the output, one frame a stream in turn.
    pub(super) fn pump(&mut self) {
        while self.codec.output_len() < OUTPUT_MARK {
            let Some((id, payload, end)) = self.next_frame() else { return };
            self.send.spend(payload.len());
            self.last_served = id;
            self.frame(Frame::Data { stream: id, payload, end });
            if end {
                // What the peer still says there is counted as stray.
                self.streams.remove(&id);
            }
        }
    }

    fn next_frame(&mut self) -> Option<(u32, Bytes, bool)> {
        let window = self.send;
        let after = (Bound::Excluded(self.last_served), Bound::Unbounded);
        let take = |(id, stream): (&u32, &mut Stream)| {
            stream.next_frame(window).map(|(payload, end)| (*id, payload, end))
        };
        let found = self.streams.range_mut(after).find_map(take);
        found.or_else(|| self.streams.range_mut(..=self.last_served).find_map(take))
    }
}

/// Files that an object announces; it was encoded before, so that its depth is bounded.
fn count_files(object: &Object) -> usize {
    match object {
        Object::FileTransfer { .. } => 1,
        Object::Array(items) => items.iter().map(count_files).fold(0, usize::saturating_add),
        Object::Dictionary(entries) => {
            entries.iter().map(|(_, value)| count_files(value)).fold(0, usize::saturating_add)
        }
        _ => 0,
    }
}
