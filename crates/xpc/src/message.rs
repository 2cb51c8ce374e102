//! Messages: the 24-byte wrapper, its flags, and collecting messages from a stream's bytes.

use bytes::{Buf, Bytes, BytesMut};

use crate::{
    limits::Limits,
    object::{DecodeError, EncodeError, Object, View},
};

/// First word of each wrapper. Source: protocol.md §3.2.
pub const WRAPPER_MAGIC: u32 = 0x29b0_0b92;
/// Bytes in a wrapper. Source: protocol.md §3.2.
pub const WRAPPER_LENGTH: usize = 24;

/// The flag word of a wrapper; bits without a name are kept as they came.
///
/// Source: protocol.md §3.2.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flags(pub u32);

impl Flags {
    /// Protocol version 1, set in each message ever captured.
    pub const ALWAYS_SET: Self = Self(0x0000_0001);
    /// The wrapper is followed by a body that means something.
    pub const DATA_PRESENT: Self = Self(0x0000_0100);
    /// Only ever seen as 0x0201, in the opening of a session.
    pub const TERM: Self = Self(0x0000_0200);
    /// The sender expects a reply with the same id.
    pub const WANTING_REPLY: Self = Self(0x0001_0000);
    /// Answers the message of the same id.
    pub const REPLY: Self = Self(0x0002_0000);
    /// Opens a stream that carries a file from the side that opens it.
    pub const FILE_TX_STREAM_REQUEST: Self = Self(0x0010_0000);
    /// Opens or answers a stream that carries a file towards the side that says so.
    pub const FILE_TX_STREAM_RESPONSE: Self = Self(0x0020_0000);
    /// Opens the reply stream.
    pub const INIT_HANDSHAKE: Self = Self(0x0040_0000);

    /// Whether every bit of `other` is set here.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets of bits.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl std::fmt::Debug for Flags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

/// The header of a message.
///
/// Source: protocol.md §3.2 (magic, flags, body length, message id; little endian).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wrapper {
    /// The flag word, unknown bits included.
    pub flags: Flags,
    /// Bytes of body that follow; 0 for a wrapper alone.
    pub body_length: u64,
    /// The message id, by which replies find their request.
    pub id: u64,
}

impl Wrapper {
    /// Reads a wrapper from its 24 bytes; errors when the magic is another.
    pub fn parse(bytes: [u8; WRAPPER_LENGTH]) -> Result<Self, MessageError> {
        let mut rest = bytes.as_slice();
        let magic = rest.get_u32_le();
        if magic != WRAPPER_MAGIC {
            return Err(MessageError::BadMagic { found: magic });
        }
        Ok(Self { flags: Flags(rest.get_u32_le()), body_length: rest.get_u64_le(), id: rest.get_u64_le() })
    }

    /// The wrapper's 24 bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; WRAPPER_LENGTH] {
        let mut out = [0; WRAPPER_LENGTH];
        let fields = WRAPPER_MAGIC
            .to_le_bytes()
            .into_iter()
            .chain(self.flags.0.to_le_bytes())
            .chain(self.body_length.to_le_bytes())
            .chain(self.id.to_le_bytes());
        out.iter_mut().zip(fields).for_each(|(slot, byte)| *slot = byte);
        out
    }
}

/// The body of a received message: its bytes, already checked whole.
///
/// Cheap to clone and to pass on unchanged; decode it into an [`Object`] or read it in place.
#[derive(Clone, PartialEq, Eq)]
pub struct Body(Bytes);

impl Body {
    /// Checks `bytes` (magic, version and one object) and keeps them.
    pub fn parse(bytes: Bytes, limits: &Limits) -> Result<Self, DecodeError> {
        View::parse(&bytes, limits)?;
        Ok(Self(bytes))
    }

    /// The object in place.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View::of_checked(&self.0)
    }

    /// The object as an owned value.
    #[must_use]
    pub fn object(&self) -> Object {
        Object::from(self.view())
    }

    /// The body as it came, magic and version included.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.object().fmt(f)
    }
}

/// A whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The flag word, unknown bits included.
    pub flags: Flags,
    /// The message id.
    pub id: u64,
    /// The object, where there is one.
    pub body: Option<Body>,
}

/// Encodes a message with an object.
pub fn encode(flags: Flags, id: u64, object: &Object, limits: &Limits) -> Result<Bytes, EncodeError> {
    let mut out = vec![0; WRAPPER_LENGTH];
    object.encode_into(&mut out, limits)?;
    let body_length = u64::try_from(out.len().saturating_sub(WRAPPER_LENGTH)).unwrap_or(u64::MAX);
    let wrapper = Wrapper { flags, body_length, id }.encode();
    out.iter_mut().zip(wrapper).for_each(|(slot, byte)| *slot = byte);
    Ok(out.into())
}

/// Collects messages from the bytes of one stream, however they are cut.
///
/// Holds at most one message of [`Limits::message`] bytes; memory grows with the bytes that arrived, never by
/// a length from the wire.
#[derive(Debug, Default)]
pub struct Assembler {
    buffer: BytesMut,
}

impl Assembler {
    /// Adds bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether a message has begun and is not complete.
    #[must_use]
    pub fn in_message(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Looks at the wrapper at the front without taking it.
    pub fn peek(&self) -> Result<Option<Wrapper>, MessageError> {
        self.buffer.first_chunk::<WRAPPER_LENGTH>().map(|head| Wrapper::parse(*head)).transpose()
    }

    /// Takes the next message, when it is complete.
    pub fn next(&mut self, limits: &Limits) -> Result<Option<Message>, MessageError> {
        let Some(wrapper) = self.peek()? else { return Ok(None) };
        let length = usize::try_from(wrapper.body_length).unwrap_or(usize::MAX);
        if length > limits.message {
            return Err(MessageError::TooLong { found: wrapper.body_length, limit: limits.message });
        }
        if self.buffer.len() < WRAPPER_LENGTH.saturating_add(length) {
            return Ok(None);
        }
        self.buffer.advance(WRAPPER_LENGTH);
        let bytes = self.buffer.split_to(length).freeze();
        self.release();
        let body = match length {
            0 => None,
            _ => Some(
                Body::parse(bytes, limits).map_err(|source| MessageError::Body { id: wrapper.id, source })?,
            ),
        };
        Ok(Some(Message { flags: wrapper.flags, id: wrapper.id, body }))
    }

    /// What is there, not taken.
    #[must_use]
    pub fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    /// Takes what is there as it is, for a stream that turns from messages to raw bytes.
    pub fn take_rest(&mut self) -> Bytes {
        std::mem::take(&mut self.buffer).freeze()
    }

    /// Takes the wrapper at the front alone.
    pub fn take_wrapper(&mut self) {
        self.buffer.advance(WRAPPER_LENGTH.min(self.buffer.len()));
    }

    // An idle session keeps no buffer.
    fn release(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }
}

/// A message that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The wrapper does not begin with its magic.
    #[error(
        "expected a message wrapper beginning with {WRAPPER_MAGIC:#010x}, found {found:#010x}: the peer is not speaking RemoteXPC, or the stream lost its place"
    )]
    BadMagic {
        /// The word that stood there.
        found: u32,
    },
    /// The wrapper announces more than the limit.
    #[error(
        "a message of {found} bytes is announced, over the limit of {limit}: raise Limits::message if the peer is trusted"
    )]
    TooLong {
        /// Bytes announced.
        found: u64,
        /// Bytes allowed.
        limit: usize,
    },
    /// The body is not one whole object.
    #[error("the body of message {id} can't be read: {source}")]
    Body {
        /// The message's id.
        id: u64,
        /// What is wrong with it.
        source: DecodeError,
    },
}
