//! File transfers: streams of raw bytes beside the messages.
//!
//! Source: protocol.md §3.4. A client sends on odd streams from 5 and receives on even ones: the n-th file of a message, n from
//! 0, on stream (n + 1) · 2.

use bytes::Bytes;

use super::{
    Event, Role, Session, SessionError,
    codec::Frame,
    error::code,
    stream::{Purpose, Stream},
};
use crate::message::{Flags, WRAPPER_LENGTH, WRAPPER_MAGIC};

impl Session {
    /// As a client, opens a stream for the file that a message of ours announced with `transfer`.
    ///
    /// The peer's reset after the last byte is part of the protocol and no error.
    pub fn send_file(&mut self, transfer: u64) -> Result<u32, SessionError> {
        self.may_transfer()?;
        if self.role == Role::Server {
            return Err(SessionError::InvalidStream {
                stream: 0,
                why: "a server sends a file when it is asked for",
            });
        }
        let id = self.next_file;
        self.next_file = self.next_file.saturating_add(2);
        self.open(id, Purpose::FileOut);
        self.enqueue_wrapper(id, Flags::FILE_TX_STREAM_REQUEST, transfer);
        self.pump();
        Ok(id)
    }

    /// Queues bytes of a file that we send; check [`Session::queued`] before the next call.
    pub fn file_data(&mut self, stream: u32, bytes: Bytes) -> Result<(), SessionError> {
        self.outgoing(stream)?.enqueue(bytes, false);
        self.pump();
        Ok(())
    }

    /// Ends a file that we send.
    pub fn file_end(&mut self, stream: u32) -> Result<(), SessionError> {
        self.outgoing(stream)?.enqueue(Bytes::new(), true);
        self.pump();
        Ok(())
    }

    /// As a client, asks for the file at `index` of a message, `size` bytes long.
    pub fn receive_file(&mut self, index: u32, size: u64) -> Result<u32, SessionError> {
        self.may_transfer()?;
        let id = index.saturating_add(1).saturating_mul(2);
        if self.role == Role::Server || self.streams.get(&id).is_some_and(|stream| stream.opened_by_us) {
            return Err(SessionError::InvalidStream {
                stream: id,
                why: "only a client asks for a file, and once",
            });
        }
        self.last_peer_file = self.last_peer_file.max(id);
        self.open(id, Purpose::FileIn { left: None, begun: false });
        self.enqueue_wrapper(id, Flags::FILE_TX_STREAM_RESPONSE, 0);
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.purpose = Purpose::FileIn { left: Some(size), begun: false };
        }
        self.on_file_bytes(id, &[], false)?;
        self.pump();
        Ok(id)
    }

    /// Says that `bytes` of a file that we receive are dealt with, so that as many more may come.
    pub fn file_consumed(&mut self, stream: u32, bytes: usize) {
        if !self.ended {
            self.give_back(stream, bytes);
        }
    }

    fn may_transfer(&self) -> Result<(), SessionError> {
        if self.ended {
            return Err(SessionError::Ended);
        }
        if !self.is_open() {
            return Err(SessionError::NotOpen);
        }
        self.room_for_file()
    }

    /// Whether one more transfer is within the limits.
    pub(super) fn room_for_file(&self) -> Result<(), SessionError> {
        let limits = &self.config.limits;
        let limit = limits.streams.min(limits.file_transfers.saturating_add(2));
        if self.streams.len() >= limit { Err(SessionError::TooManyStreams { limit }) } else { Ok(()) }
    }

    fn outgoing(&mut self, stream: u32) -> Result<&mut Stream, SessionError> {
        match self.streams.get_mut(&stream) {
            Some(found) if found.purpose == Purpose::FileOut => Ok(found),
            _ => Err(SessionError::InvalidStream { stream, why: "no file is being sent there" }),
        }
    }

    /// The preamble by which a client asks for a file.
    pub(super) fn on_asked(&mut self, id: u32) -> Result<(), SessionError> {
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
        let wrapper =
            stream.assembler.peek().map_err(|source| SessionError::Message { stream: id, source })?;
        let Some(wrapper) = wrapper else { return Ok(()) };
        if !wrapper.flags.contains(Flags::FILE_TX_STREAM_RESPONSE) {
            return Err(SessionError::InvalidStream {
                stream: id,
                why: "an even stream asks for a file, and this one does not",
            });
        }
        stream.assembler.take_wrapper();
        stream.message_since = None;
        stream.purpose = Purpose::FileOut;
        let index = (id / 2).saturating_sub(1);
        self.open(id, Purpose::FileOut);
        self.events.push_back(Event::FileWanted { stream: id, index });
        Ok(())
    }

    /// Bytes on a stream that carries a file to us, its preamble included.
    pub(super) fn on_file_bytes(&mut self, id: u32, bytes: &[u8], end: bool) -> Result<(), SessionError> {
        let role = self.role;
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
        let Purpose::FileIn { left, begun } = stream.purpose else { return Ok(()) };
        stream.assembler.push(bytes);
        stream.ended_by_peer |= end;
        // A phone may open the stream before we ask; its bytes wait, within the stream's window.
        if role == Role::Client && !stream.opened_by_us {
            return Ok(());
        }
        if !begun {
            let Some(transfer) = preamble(role, id, stream, left)? else { return Ok(()) };
            stream.purpose = Purpose::FileIn { left, begun: true };
            if let Some(transfer) = transfer {
                self.events.push_back(Event::FileBegin { stream: id, transfer });
            }
        }
        self.on_file_rest(id, left)
    }

    fn on_file_rest(&mut self, id: u32, left: Option<u64>) -> Result<(), SessionError> {
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
        let bytes = stream.assembler.take_rest();
        let came = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let left = match left.map(|left| left.checked_sub(came)) {
            Some(None) => {
                return Err(SessionError::InvalidStream {
                    stream: id,
                    why: "more bytes than the file was announced with",
                });
            }
            Some(Some(left)) => Some(left),
            None => None,
        };
        stream.purpose = Purpose::FileIn { left, begun: true };
        let ended = stream.ended_by_peer;
        if !bytes.is_empty() {
            self.events.push_back(Event::FileData { stream: id, bytes });
        }
        match left {
            Some(0) => self.finish_file(id),
            None if ended => self.finish_file(id),
            Some(_) if ended => {
                self.streams.remove(&id);
                self.events.push_back(Event::FileAborted { stream: id, code: code::STREAM_CLOSED });
            }
            _ => {}
        }
        Ok(())
    }

    /// A phone answers a file with the RESPONSE wrapper and resets the stream; both are normal.
    fn finish_file(&mut self, id: u32) {
        self.events.push_back(Event::FileEnd { stream: id });
        if self.role == Role::Server {
            self.open(id, Purpose::FileOut);
            self.enqueue_wrapper(id, Flags::FILE_TX_STREAM_RESPONSE, 0);
            self.pump();
            self.frame(Frame::Reset { stream: id, code: code::STREAM_CLOSED });
        }
        self.streams.remove(&id);
    }
}

/// Takes the preamble of a file stream: `None` while it is not decided, `Some(None)` where there is none.
fn preamble(
    role: Role,
    id: u32,
    stream: &mut Stream,
    left: Option<u64>,
) -> Result<Option<Option<u64>>, SessionError> {
    let buffered = stream.assembler.buffered();
    let magic = WRAPPER_MAGIC.to_le_bytes();
    let may_be_wrapper = buffered.len() < WRAPPER_LENGTH && magic.iter().zip(buffered).all(|(a, b)| a == b);
    let have = u64::try_from(buffered.len()).unwrap_or(u64::MAX);
    let more_may_come = !stream.ended_by_peer && left.is_none_or(|left| have < left);
    if may_be_wrapper && more_may_come {
        return Ok(None);
    }
    let request =
        stream.assembler.peek().ok().flatten().filter(|wrapper| {
            wrapper.flags.contains(Flags::FILE_TX_STREAM_REQUEST) && wrapper.body_length == 0
        });
    match (request, role) {
        (Some(wrapper), _) => {
            stream.assembler.take_wrapper();
            Ok(Some(Some(wrapper.id)))
        }
        // Towards a client the raw bytes may come at once (protocol.md §3.4).
        (None, Role::Client) => Ok(Some(None)),
        (None, Role::Server) => Err(SessionError::InvalidStream {
            stream: id,
            why: "a file stream begins with its wrapper (0x00100001)",
        }),
    }
}
