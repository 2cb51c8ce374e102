//! Control messages over a plain stream: the magic `RPPairing`, a big-endian length and JSON.
//!
//! Source: protocol.md §5.1 item 2.

use super::Envelope;
use crate::message::{MessageError, Wiped, json};

/// Starts every packet. Source: protocol.md §5.1.
pub const MAGIC: &[u8; 9] = b"RPPairing";
/// Magic and length, in bytes.
const HEADER: usize = 11;
/// The longest JSON of a packet, in bytes: the length has 16 bits.
pub const MAX_JSON: usize = 0xffff;

/// Why a packet can't be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The bytes don't start with the magic.
    #[error("expected a packet that starts with RPPairing: the other side speaks something else")]
    Magic,
    /// A message is too long for a packet.
    #[error("a control message of {got} bytes doesn't fit into a packet of {MAX_JSON}")]
    TooLong {
        /// Bytes of JSON.
        got: usize,
    },
    /// The message inside is wrong.
    #[error(transparent)]
    Message(#[from] MessageError),
}

/// The packet of a control message.
///
/// # Errors
/// [`FrameError::TooLong`] and [`FrameError::Message`].
pub fn encode(envelope: &Envelope) -> Result<Vec<u8>, FrameError> {
    let json = json::write(&Wiped(envelope.to_object()).0)?;
    let len = u16::try_from(json.len()).map_err(|_| FrameError::TooLong { got: json.len() })?;
    let mut out = Vec::with_capacity(HEADER.saturating_add(json.len()));
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&json);
    Ok(out)
}

/// Cuts a stream into control messages; holds at most one packet and what was pushed.
#[derive(Default)]
pub struct Decoder {
    buffer: Vec<u8>,
}

impl Decoder {
    /// An empty decoder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, or `None` until more bytes come.
    ///
    /// # Errors
    /// [`FrameError`]; the stream can't be read on after [`FrameError::Magic`].
    pub fn next_envelope(&mut self) -> Result<Option<Envelope>, FrameError> {
        let seen = self.buffer.len().min(MAGIC.len());
        if self.buffer.get(..seen) != MAGIC.get(..seen) {
            return Err(FrameError::Magic);
        }
        let Some(&[high, low]) = self.buffer.get(MAGIC.len()..HEADER) else { return Ok(None) };
        let end = HEADER.saturating_add(usize::from(u16::from_be_bytes([high, low])));
        let Some(json) = self.buffer.get(HEADER..end) else { return Ok(None) };
        let envelope = json::read(json).and_then(|object| Envelope::from_object(&Wiped(object).0));
        self.buffer.drain(..end);
        Ok(Some(envelope?))
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("rppairing::Decoder").field("buffered", &self.buffer.len()).finish()
    }
}
