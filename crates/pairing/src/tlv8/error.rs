//! Why bytes are not a TLV8, or not the step that was expected.

use super::MAX_LEN;

/// Why bytes are not a TLV8.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlvError {
    /// The input is longer than [`MAX_LEN`].
    #[error("a pairing TLV of {got} bytes is longer than the {MAX_LEN} that are read")]
    TooLong {
        /// Bytes that came.
        got: usize,
    },
    /// An item says that it is longer than what is left.
    #[error("pairing TLV item 0x{tag:02x} at offset {offset} wants {wanted} bytes, {left} are left")]
    Truncated {
        /// The type of the item.
        tag: u8,
        /// Where the item starts.
        offset: usize,
        /// The length that it states.
        wanted: usize,
        /// The bytes that follow.
        left: usize,
    },
    /// A type byte without a length.
    #[error("pairing TLV ends after the type byte 0x{tag:02x} at offset {offset}")]
    NoLength {
        /// The type of the item.
        tag: u8,
        /// Where the item starts.
        offset: usize,
    },
    /// A step lacks an item.
    #[error("{step} lacks its {item}: the peer speaks another version or left the step out")]
    Missing {
        /// The step, for example `M2`.
        step: &'static str,
        /// The item by name.
        item: &'static str,
    },
    /// An item has another length than the protocol gives it.
    #[error("{step} has a {item} of {got} bytes where {expected} are expected")]
    WrongLength {
        /// The step, for example `M2`.
        step: &'static str,
        /// The item by name.
        item: &'static str,
        /// The length of the protocol.
        expected: usize,
        /// The length that came.
        got: usize,
    },
    /// A step came out of order or twice.
    #[error(
        "expected {step} (state {expected}), the peer sent state {got:?}: a step came twice or out of order"
    )]
    WrongState {
        /// The step that was expected.
        step: &'static str,
        /// Its state number.
        expected: u8,
        /// The state number that came, if any.
        got: Option<u8>,
    },
    /// An item that must be text is not UTF-8.
    #[error("{step} has a {item} that is not UTF-8")]
    NotText {
        /// The step.
        step: &'static str,
        /// The item by name.
        item: &'static str,
    },
}
