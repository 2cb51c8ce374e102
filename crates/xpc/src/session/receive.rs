//! The receiving half of a session.

use std::time::Duration;

use bytes::Bytes;

use super::{
    Event, Role, Session, SessionError,
    codec::{Frame, Settings},
    error::code,
    opening::Step,
    stream::{FIRST_FILE, Purpose, REPLY, ROOT},
};
use crate::message::{Flags, Message};

impl Session {
    /// Takes bytes from the peer. After an error the session is over; what is left to write says so to the peer.
    pub fn receive(&mut self, now: Duration, bytes: &[u8]) -> Result<(), SessionError> {
        if self.ended {
            return Err(SessionError::Ended);
        }
        self.read(now, bytes).map_err(|error| self.fail(error))
    }

    /// The peer will send no more.
    pub fn receive_eof(&mut self) -> Result<(), SessionError> {
        if self.ended {
            return Ok(());
        }
        let during = if !self.is_open() {
            "before the opening was complete"
        } else if self.streams.values().any(|stream| stream.assembler.in_message()) {
            "in the middle of a message"
        } else {
            self.ended = true;
            self.events.push_back(Event::Closed);
            return Ok(());
        };
        Err(self.fail(SessionError::Closed { during }))
    }

    fn read(&mut self, now: Duration, bytes: &[u8]) -> Result<(), SessionError> {
        self.codec.feed(bytes)?;
        while let Some(frame) = self.codec.next()? {
            self.on_frame(now, frame)?;
            if self.ended {
                break;
            }
        }
        self.pump();
        Ok(())
    }

    fn on_frame(&mut self, now: Duration, frame: Frame) -> Result<(), SessionError> {
        match frame {
            Frame::Settings(settings) => {
                self.guard.control(now)?;
                self.on_settings(settings)
            }
            Frame::Data { stream, payload, end } => self.on_data(now, stream, &payload, end),
            Frame::Headers { stream, .. } => {
                self.guard.control(now)?;
                self.on_headers(stream)
            }
            Frame::WindowUpdate { stream: 0, increment } => self.send.shift(increment.into(), 0),
            Frame::WindowUpdate { stream: id, increment } => match self.streams.get_mut(&id) {
                Some(stream) => stream.send.shift(increment.into(), id),
                None => Ok(()),
            },
            Frame::Reset { stream, code } => {
                self.guard.reset(now)?;
                self.on_reset(stream, code)
            }
            Frame::Ping(payload) => {
                self.guard.control(now)?;
                self.frame(Frame::Pong(payload));
                Ok(())
            }
            Frame::SettingsAck | Frame::Pong(_) | Frame::Priority => self.guard.control(now),
            Frame::GoAway { code, debug } => self.on_goaway(code, &debug),
            Frame::PushPromise { stream } => {
                Err(SessionError::InvalidStream { stream, why: "nobody pushes in RemoteXPC" })
            }
        }
    }

    fn on_settings(&mut self, settings: Settings) -> Result<(), SessionError> {
        if let Some(step) = self.opening.on_settings(self.role) {
            self.step(step);
        }
        self.frame(Frame::SettingsAck);
        if let Some(size) = settings.initial_window_size {
            let shift = i64::from(size).saturating_sub(self.peer_window.into());
            self.peer_window = size;
            for (id, stream) in &mut self.streams {
                stream.send.shift(shift, *id)?;
            }
        }
        self.complete_opening();
        Ok(())
    }

    fn on_headers(&mut self, id: u32) -> Result<(), SessionError> {
        if !self.opening.has_settings() {
            return Err(SessionError::Unexpected { expected: "SETTINGS", found: "HEADERS" });
        }
        if id == ROOT || id == REPLY {
            self.stream(id, Purpose::Messages).opened_by_peer = true;
            if let Some(Step::Headers(id)) = self.opening.on_headers(self.role, id) {
                self.open(id, Purpose::Messages);
            }
            return Ok(());
        }
        if self.streams.contains_key(&id) || self.was_open(id) {
            return Ok(());
        }
        let purpose = self.purpose_of_new(id)?;
        self.room_for_file()?;
        match purpose {
            Purpose::FileAsked => self.last_asked_file = id,
            _ => self.last_peer_file = id,
        }
        self.stream(id, purpose).opened_by_peer = true;
        Ok(())
    }

    /// What the peer may open a stream for.
    fn purpose_of_new(&self, id: u32) -> Result<Purpose, SessionError> {
        let even = id.is_multiple_of(2);
        let incoming = Purpose::FileIn { left: None, begun: false };
        match self.role {
            Role::Server if !even && id >= FIRST_FILE => Ok(incoming),
            Role::Server if even && id / 2 <= self.offered => Ok(Purpose::FileAsked),
            Role::Server if even => Err(SessionError::InvalidStream {
                stream: id,
                why: "no file was offered on this even stream",
            }),
            Role::Client if even => Ok(incoming),
            _ => Err(SessionError::InvalidStream { stream: id, why: "only the client opens odd streams" }),
        }
    }

    /// Whether a stream that is not there now has been.
    fn was_open(&self, id: u32) -> bool {
        match (self.role, id.is_multiple_of(2)) {
            (Role::Client, false) => id < self.next_file,
            (Role::Server, false) | (Role::Client, true) => id <= self.last_peer_file,
            (Role::Server, true) => id <= self.last_asked_file,
        }
    }

    fn on_data(&mut self, now: Duration, id: u32, payload: &Bytes, end: bool) -> Result<(), SessionError> {
        if !self.opening.has_settings() {
            return Err(SessionError::Unexpected { expected: "SETTINGS", found: "DATA" });
        }
        if payload.is_empty() && !end {
            self.guard.empty_data(now)?;
        }
        self.receive.take(payload.len(), 0)?;
        let was_open = self.was_open(id);
        match self.streams.get_mut(&id) {
            Some(stream) => stream.receive.take(payload.len(), id)?,
            None if was_open => {
                self.counters.stray_frames = self.counters.stray_frames.saturating_add(1);
                self.guard.stray(now)?;
            }
            None => return Err(SessionError::InvalidStream { stream: id, why: "DATA before HEADERS" }),
        }
        self.on_payload(now, id, payload, end)?;
        self.consumed(id, payload.len());
        Ok(())
    }

    fn on_payload(&mut self, now: Duration, id: u32, payload: &Bytes, end: bool) -> Result<(), SessionError> {
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
        match stream.purpose {
            Purpose::Messages => {
                stream.assembler.push(payload);
                self.on_messages(now, id)?;
                if end && id == ROOT {
                    self.ended = true;
                    self.events.push_back(Event::Closed);
                }
                Ok(())
            }
            Purpose::FileIn { .. } => self.on_file_bytes(id, payload, end),
            Purpose::FileAsked => {
                stream.assembler.push(payload);
                stream.message_since.get_or_insert(now);
                self.on_asked(id)
            }
            // The peer's answer to the preamble says nothing new.
            Purpose::FileOut => Ok(()),
        }
    }

    fn on_messages(&mut self, now: Duration, id: u32) -> Result<(), SessionError> {
        loop {
            let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
            let next = stream.assembler.next(&self.config.limits);
            let Some(message) = next.map_err(|source| SessionError::Message { stream: id, source })? else {
                stream.message_since =
                    stream.assembler.in_message().then(|| stream.message_since.unwrap_or(now));
                return Ok(());
            };
            stream.message_since = None;
            self.on_message(id, message)?;
        }
    }

    fn on_message(&mut self, stream: u32, message: Message) -> Result<(), SessionError> {
        if let Some(answer) = self.opening.on_message(self.role, stream, &message) {
            if let Some(step) = answer {
                self.step(step);
            }
            self.complete_opening();
            return Ok(());
        }
        let Message { flags, id, body: Some(body) } = message else {
            self.counters.idle_messages = self.counters.idle_messages.saturating_add(1);
            return Ok(());
        };
        self.opening.on_traffic(self.role);
        self.complete_opening();
        if flags.contains(Flags::REPLY) {
            // Matched by id and flags: which stream carries replies differs (protocol.md §3.2).
            if self.ids.answered(id) {
                self.events.push_back(Event::Reply { id, body });
            } else {
                self.counters.unmatched_replies = self.counters.unmatched_replies.saturating_add(1);
            }
            return Ok(());
        }
        let wants_reply = flags.contains(Flags::WANTING_REPLY);
        if wants_reply {
            self.ids.asked(id)?;
        }
        self.events.push_back(Event::Message { id, wants_reply, body });
        Ok(())
    }

    fn complete_opening(&mut self) {
        if self.opening.completes(self.role) {
            self.events.push_back(Event::Opened);
        }
    }

    /// Gives back what is dealt with; the bytes of a file are only when their reader says so.
    fn consumed(&mut self, id: u32, bytes: usize) {
        if self.ended {
            return;
        }
        if let Some(increment) = self.receive.consume(bytes) {
            self.frame(Frame::WindowUpdate { stream: 0, increment });
        }
        if !self.streams.get(&id).is_some_and(|stream| matches!(stream.purpose, Purpose::FileIn { .. })) {
            self.give_back(id, bytes);
        }
    }

    pub(super) fn give_back(&mut self, id: u32, bytes: usize) {
        let increment = self.streams.get_mut(&id).and_then(|stream| stream.receive.consume(bytes));
        if let Some(increment) = increment {
            self.frame(Frame::WindowUpdate { stream: id, increment });
        }
    }

    fn on_reset(&mut self, id: u32, code: u32) -> Result<(), SessionError> {
        if id == ROOT || id == REPLY {
            return Err(SessionError::Reset { stream: id, code });
        }
        if self.streams.remove(&id).is_some() {
            self.events.push_back(Event::FileAborted { stream: id, code });
        }
        Ok(())
    }

    fn on_goaway(&mut self, code: u32, debug: &[u8]) -> Result<(), SessionError> {
        if code == code::NO_ERROR {
            self.ended = true;
            self.events.push_back(Event::Closed);
            return Ok(());
        }
        let debug = String::from_utf8_lossy(debug).chars().take(256).collect();
        Err(SessionError::GoAway { code, debug })
    }
}
