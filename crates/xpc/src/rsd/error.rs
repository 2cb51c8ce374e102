//! Why an object is no RSD message.

use crate::{DecodeError, Kind};

/// An object that is not the RSD message it should be. Paths are keys joined with dots, from the message's own dictionary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RsdError {
    /// The bytes are no object at all.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A required key is not there.
    #[error(
        "expected {path} ({expected}), found no such key: the peer does not speak RSD as any source describes it"
    )]
    MissingKey {
        /// The key with where it should be.
        path: String,
        /// The type it should have.
        expected: Kind,
    },
    /// A known key has a value of another type.
    #[error("expected {expected} at {path}, found {found}")]
    WrongType {
        /// The key with where it is.
        path: String,
        /// The type that every source gives it.
        expected: Kind,
        /// The type that came.
        found: Kind,
    },
    /// A port that is not a decimal number from 1 to 65535.
    #[error("expected a decimal port from 1 to 65535 at {path}, found {found:?}")]
    BadPort {
        /// The key with where it is.
        path: String,
        /// The text that came, or its first 64 characters.
        found: String,
    },
    /// A message of another type than the one asked for.
    #[error("expected MessageType {expected:?}, found {found:?}")]
    WrongMessageType {
        /// The MessageType asked for.
        expected: &'static str,
        /// The one that came, or its first 64 characters.
        found: String,
    },
}
