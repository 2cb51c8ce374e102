//! Why bytes are no object, and why an object can't become bytes.

use crate::NotSourced;

/// Bytes that are not a body of one XPC object. Offsets are bytes from the start of the body (its magic).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The body is longer than [`crate::Limits::message`].
    #[error(
        "expected a body of at most {limit} bytes, found {found}: raise Limits::message if the peer is honest"
    )]
    TooLarge {
        /// Most bytes allowed.
        limit: usize,
        /// Bytes given.
        found: usize,
    },
    /// The first word is not 0x42133742.
    #[error("expected body magic 0x42133742 at byte 0, found {found:#010x}: this is not an XPC body")]
    BadMagic {
        /// The word that came.
        found: u32,
    },
    /// The second word is not 5.
    #[error("expected body version 5 at byte 4, found {found}: no source describes another version")]
    BadVersion {
        /// The word that came.
        found: u32,
    },
    /// A type word that no list of XPC types holds.
    #[error(
        "expected a type word at byte {offset}, found unknown code {found:#x}: its length can't be known"
    )]
    UnknownType {
        /// Where the type word is.
        offset: usize,
        /// The word that came.
        found: u32,
    },
    /// A type of which only the code is known.
    #[error(transparent)]
    NotSourced(#[from] NotSourced),
    /// A fixed field, a stated length, a stated size or padding goes beyond the end of its container or of the body.
    #[error(
        "expected {expected} bytes at byte {offset}, found only {found} up to the end of what holds them"
    )]
    LengthBeyondEnd {
        /// Where the bytes should begin.
        offset: usize,
        /// Bytes stated or needed.
        expected: u64,
        /// Bytes left.
        found: usize,
    },
    /// A container states more items than its bytes could hold, at 4 bytes a value and 8 bytes a key with its value.
    #[error(
        "expected at most {limit} items in the {left} bytes left at byte {offset}, found a count of {found}"
    )]
    CountBeyondBytes {
        /// Where the count is.
        offset: usize,
        /// Most items that fit.
        limit: usize,
        /// Bytes left in the container.
        left: usize,
        /// The count that came.
        found: u32,
    },
    /// A string's last byte is not NUL, its stated length is 0, or a key does not end within its dictionary.
    #[error("expected a terminating NUL for the text at byte {offset}, found none in its {found} bytes")]
    MissingNul {
        /// Where the text begins.
        offset: usize,
        /// Bytes searched.
        found: usize,
    },
    /// A string has a NUL before its end.
    #[error("expected text without NUL at byte {offset}, found NUL {found} bytes into it")]
    InteriorNul {
        /// Where the text begins.
        offset: usize,
        /// Position of the NUL in the text.
        found: usize,
    },
    /// A string or key is not UTF-8.
    #[error("expected UTF-8 text at byte {offset}, found an invalid sequence {found} bytes into it")]
    InvalidUtf8 {
        /// Where the text begins.
        offset: usize,
        /// Bytes of the text that are valid.
        found: usize,
    },
    /// A bool's significant (first) byte is neither 0 nor 1.
    #[error("expected 0 or 1 in the bool at byte {offset}, found {found:#04x}")]
    BadBool {
        /// Where the bool's word is.
        offset: usize,
        /// The byte that came.
        found: u8,
    },
    /// A container's items end before its stated size does.
    #[error("expected the container at byte {offset} to fill its {expected} bytes, found items for {found}")]
    SizeMismatch {
        /// Where the size is.
        offset: usize,
        /// The size stated, counted from the count field.
        expected: usize,
        /// Bytes its count and items take.
        found: usize,
    },
    /// A file_transfer is not followed by a dictionary.
    #[error("expected a dictionary (0xf000) for the file_transfer at byte {offset}, found type {found:#x}")]
    FileTransferInfo {
        /// Where the dictionary should begin.
        offset: usize,
        /// The type word that came.
        found: u32,
    },
    /// Bytes follow the object.
    #[error("expected the body to end at byte {offset}, found {found} bytes more")]
    TrailingBytes {
        /// Where the object ends.
        offset: usize,
        /// Bytes after it.
        found: usize,
    },
    /// More containers inside each other than [`crate::Limits::depth`].
    #[error("expected at most {limit} containers inside each other, found one more at byte {offset}")]
    TooDeep {
        /// Where the container that is too deep begins (its size).
        offset: usize,
        /// Most containers inside each other.
        limit: usize,
    },
    /// More values than [`crate::Limits::nodes`].
    #[error(
        "expected at most {limit} values in one message, found more: the count at byte {offset} passes it"
    )]
    TooManyNodes {
        /// Where the count that passes the limit is; for a lone value, where it begins.
        offset: usize,
        /// Most values.
        limit: usize,
    },
}

/// An object that has no encoding, or none within the limits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A string or key holds a NUL, which would end it early on the wire.
    #[error("expected text without NUL, found one {found} bytes into {text:?}")]
    InteriorNul {
        /// The text, or its first 64 characters.
        text: String,
        /// Position of the NUL in bytes.
        found: usize,
    },
    /// A string, data or container is longer than its 32-bit length field can say.
    #[error("expected a length of at most {} bytes, found {found}", u32::MAX)]
    LengthBeyondU32 {
        /// Bytes to be written.
        found: usize,
    },
    /// More containers inside each other than [`crate::Limits::depth`].
    #[error("expected at most {limit} containers inside each other, found more: flatten the object")]
    TooDeep {
        /// Most containers inside each other.
        limit: usize,
    },
    /// More values than [`crate::Limits::nodes`].
    #[error("expected at most {limit} values in one message, found more: split the message")]
    TooManyNodes {
        /// Most values.
        limit: usize,
    },
    /// The body is longer than [`crate::Limits::message`].
    #[error("expected a body of at most {limit} bytes, found at least {found}: send it as a file transfer")]
    TooLarge {
        /// Most bytes.
        limit: usize,
        /// Bytes when the encoder stopped.
        found: usize,
    },
}
