//! What can be wrong with a message, a name or a service description.

use thiserror::Error;

/// A datagram that is not a message this crate can act on, or a message that cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The message is longer than the limit.
    #[error("an mDNS message of at most {limit} bytes was expected, {got} came; drop it")]
    TooLarge {
        /// Limit in bytes ([`crate::Limits::message_bytes`]).
        limit: usize,
        /// Length in bytes.
        got: usize,
    },
    /// The header announces more entries than the limit.
    #[error("at most {limit} {what} were expected in one message, the header announces {got}; drop it")]
    TooMany {
        /// `questions` or `records`.
        what: &'static str,
        /// Limit in entries.
        limit: usize,
        /// Announced entries.
        got: usize,
    },
    /// The operation code isn't QUERY. Source: RFC 6762 §18.3.
    #[error("operation code 0 (query) was expected, {0} came; drop the message")]
    Opcode(u8),
    /// The response code isn't zero. Source: RFC 6762 §18.11.
    #[error("response code 0 was expected, {0} came; drop the message")]
    ResponseCode(u16),
    /// A field could not be read.
    #[error("{section} at byte {offset}: {reason}; drop the message")]
    Malformed {
        /// The section that was being read.
        section: &'static str,
        /// Offset in bytes from the start of the message.
        offset: usize,
        /// What the decoder said.
        reason: String,
    },
    /// Bytes follow the last record.
    #[error("the message ends at byte {end} by its header, but {extra} bytes follow; drop it")]
    TrailingBytes {
        /// Offset in bytes where the message ends.
        end: usize,
        /// Number of bytes after it.
        extra: usize,
    },
    /// The encoder refused.
    #[error("the message can't be encoded: {0}; shorten it")]
    Encode(String),
    /// A name in the message isn't a name.
    #[error(transparent)]
    Name(#[from] NameError),
}

/// A text or a list of labels that is not a domain name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NameError {
    /// A label without bytes.
    #[error("a label of 1 to 63 bytes was expected, an empty one came; remove the extra dot")]
    EmptyLabel,
    /// A label that is too long.
    #[error("a label of 1 to 63 bytes was expected, {0} bytes came; shorten it")]
    LabelTooLong(usize),
    /// A name that is too long.
    #[error("a name of at most 255 bytes was expected, {0} bytes came; shorten it")]
    TooLong(usize),
}

/// A service description that can't be announced or browsed for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// One of its names is not a name.
    #[error("{field} {value:?}: {source}")]
    Name {
        /// Which field.
        field: &'static str,
        /// Its text.
        value: String,
        /// What is wrong with it.
        source: NameError,
    },
    /// The service type isn't `_service._tcp` or `_service._udp`. Source: RFC 6763 §4.1.2.
    #[error(
        "a service type such as _remoted._tcp was expected, {0:?} came; write it as _name._tcp or _name._udp"
    )]
    Type(String),
    /// A TXT string that is too long or empty. Source: RFC 6763 §6.1.
    #[error("TXT strings of 1 to 255 bytes were expected, one of {0} bytes came; shorten it or leave it out")]
    TxtString(usize),
    /// The TXT strings together are too long.
    #[error("TXT data of at most {limit} bytes was expected, {got} came; shorten it")]
    TxtTooLong {
        /// Limit in bytes ([`crate::Limits::txt_bytes`]).
        limit: usize,
        /// Length in bytes.
        got: usize,
    },
    /// More addresses than the limit.
    #[error("at most {limit} addresses were expected, {got} came; announce fewer")]
    TooManyAddresses {
        /// Limit in addresses ([`crate::Limits::addresses`]).
        limit: usize,
        /// Number of addresses.
        got: usize,
    },
    /// Port 0.
    #[error("a port from 1 to 65535 was expected, 0 came; bind the listener first and announce its port")]
    PortZero,
}
