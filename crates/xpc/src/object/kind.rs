//! Type codes, and which of them have an encoding that anyone documents.

use std::fmt;

use crate::not_sourced::{self, NotSourced};

/// First word of every body. Source: protocol.md §3.3.
pub const BODY_MAGIC: u32 = 0x4213_3742;
/// Second word of every body. Source: protocol.md §3.3.
pub const BODY_VERSION: u32 = 5;

/// Type words with a known encoding. Source: protocol.md §3.3.
pub(crate) mod code {
    pub(crate) const NULL: u32 = 0x1000;
    pub(crate) const BOOL: u32 = 0x2000;
    pub(crate) const INT64: u32 = 0x3000;
    pub(crate) const UINT64: u32 = 0x4000;
    pub(crate) const DOUBLE: u32 = 0x5000;
    pub(crate) const DATE: u32 = 0x7000;
    pub(crate) const DATA: u32 = 0x8000;
    pub(crate) const STRING: u32 = 0x9000;
    pub(crate) const UUID: u32 = 0xa000;
    pub(crate) const FD: u32 = 0xb000;
    pub(crate) const SHMEM: u32 = 0xc000;
    pub(crate) const ARRAY: u32 = 0xe000;
    pub(crate) const DICTIONARY: u32 = 0xf000;
    pub(crate) const FILE_TRANSFER: u32 = 0x1_a000;
}

/// The gap behind a type word of which only the code is known. Source: protocol.md §3.3.
pub(crate) fn gap(code: u32) -> Option<NotSourced> {
    Some(match code {
        0x6000 => not_sourced::XPC_TYPE_POINTER,
        0xd000 => not_sourced::XPC_TYPE_MACH_SEND,
        0x1_0000 => not_sourced::XPC_TYPE_ERROR,
        0x1_1000 => not_sourced::XPC_TYPE_CONNECTION,
        0x1_2000 => not_sourced::XPC_TYPE_ENDPOINT,
        0x1_3000 => not_sourced::XPC_TYPE_SERIALIZER,
        0x1_4000 => not_sourced::XPC_TYPE_PIPE,
        0x1_5000 => not_sourced::XPC_TYPE_MACH_RECV,
        0x1_6000 => not_sourced::XPC_TYPE_BUNDLE,
        0x1_7000 => not_sourced::XPC_TYPE_SERVICE,
        0x1_8000 => not_sourced::XPC_TYPE_SERVICE_INSTANCE,
        0x1_9000 => not_sourced::XPC_TYPE_ACTIVITY,
        _ => return None,
    })
}

/// The type of an XPC value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// No value.
    Null,
    /// True or false.
    Bool,
    /// Signed integer.
    Int64,
    /// Unsigned integer; what Apple uses for nearly every number.
    Uint64,
    /// IEEE 754 binary64.
    Double,
    /// Nanoseconds since 1970.
    Date,
    /// Bytes.
    Data,
    /// UTF-8 text without NUL.
    String,
    /// 16 bytes in text order.
    Uuid,
    /// A file descriptor's number.
    Fd,
    /// Shared memory.
    Shmem,
    /// Ordered values.
    Array,
    /// Ordered keys and values.
    Dictionary,
    /// A file that travels on a stream of its own.
    FileTransfer,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Null => "null",
            Kind::Bool => "bool",
            Kind::Int64 => "int64",
            Kind::Uint64 => "uint64",
            Kind::Double => "double",
            Kind::Date => "date",
            Kind::Data => "data",
            Kind::String => "string",
            Kind::Uuid => "uuid",
            Kind::Fd => "fd",
            Kind::Shmem => "shmem",
            Kind::Array => "array",
            Kind::Dictionary => "dictionary",
            Kind::FileTransfer => "file_transfer",
        })
    }
}
