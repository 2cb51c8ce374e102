//! Why bytes are not OPACK, or a value can't be written.

use super::{MAX_DEPTH, MAX_EXPANDED, MAX_LEN, MAX_NODES};
use crate::not_sourced::NotSourced;

/// Why bytes are not OPACK, or a value can't be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpackError {
    /// The input is longer than [`MAX_LEN`].
    #[error("OPACK of {got} bytes is longer than the {MAX_LEN} that are read")]
    TooLong {
        /// Bytes that came.
        got: usize,
    },
    /// Values nest deeper than [`MAX_DEPTH`].
    #[error("OPACK at offset {offset} nests deeper than {MAX_DEPTH}")]
    TooDeep {
        /// Where.
        offset: usize,
    },
    /// More values than [`MAX_NODES`].
    #[error("OPACK has more than {MAX_NODES} values")]
    TooManyNodes,
    /// Back references blow the value up beyond [`MAX_EXPANDED`].
    #[error("OPACK grows beyond {MAX_EXPANDED} bytes through back references")]
    TooBig,
    /// The input ends inside a value.
    #[error("OPACK ends at offset {offset}, {wanted} more bytes are wanted")]
    Truncated {
        /// Where the input ends.
        offset: usize,
        /// Bytes that lack.
        wanted: usize,
    },
    /// Bytes follow the value.
    #[error("{left} bytes follow the OPACK value")]
    Trailing {
        /// How many.
        left: usize,
    },
    /// Text is not UTF-8.
    #[error("OPACK text at offset {offset} is not UTF-8")]
    NotText {
        /// Where.
        offset: usize,
    },
    /// A key is not text.
    #[error("OPACK key at offset {offset} is not text")]
    KeyNotText {
        /// Where.
        offset: usize,
    },
    /// A back reference to nothing.
    #[error("OPACK back reference {index} at offset {offset}: only {known} values came before")]
    BadReference {
        /// Where.
        offset: usize,
        /// The number that it names.
        index: u64,
        /// How many there are.
        known: usize,
    },
    /// A terminator where a value should be.
    #[error("OPACK terminator at offset {offset} ends nothing")]
    StrayTerminator {
        /// Where.
        offset: usize,
    },
    /// No source tells what comes next.
    #[error("OPACK at offset {offset}, type 0x{tag:02x}: {gap}")]
    NotSourced {
        /// Where.
        offset: usize,
        /// The type byte.
        tag: u8,
        /// The gap.
        gap: NotSourced,
    },
    /// A value that no source shows how to write.
    #[error("an OPACK value can't be written: {0}")]
    Unwritable(NotSourced),
}
