//! A lossless JSON form of objects, for fixtures, logs and snapshots.
//!
//! | object | JSON |
//! |---|---|
//! | null, bool, string, array | the same |
//! | uint64 | a bare integer |
//! | int64 | `{"$int64": -1}` |
//! | double | `{"$double": "0.1"}`: the shortest text that reads back to the same bits, `"inf"`, `"-inf"`, `"nan:7ff8000000000000"` |
//! | date | `{"$date_ns": 0}`, nanoseconds since 1970 |
//! | data | `{"$data": "AAEC"}`, base64 |
//! | uuid | `{"$uuid": "…"}` |
//! | fd, shmem | `{"$fd": 3}`, `{"$shmem": [length, token]}` |
//! | file_transfer | `{"$file_transfer": {"id": 1, "info": {"s": 5}}}` |
//! | dictionary | an object in the same order; `{"$dictionary": [[key, value], …]}` when a key repeats or begins with `$` |
//!
//! Order survives because serde_json's `preserve_order` is on. Plain JSON without `$` keys, negative numbers and fractions
//! is valid input, so that captured Handshakes can be read as they are.

mod read;
mod write;

pub use read::from_value;
pub use write::to_value;

/// Names of the tagged forms.
mod tag {
    pub(super) const INT64: &str = "$int64";
    pub(super) const DOUBLE: &str = "$double";
    pub(super) const DATE: &str = "$date_ns";
    pub(super) const DATA: &str = "$data";
    pub(super) const UUID: &str = "$uuid";
    pub(super) const FD: &str = "$fd";
    pub(super) const SHMEM: &str = "$shmem";
    pub(super) const FILE_TRANSFER: &str = "$file_transfer";
    pub(super) const DICTIONARY: &str = "$dictionary";
}

/// JSON that is not the typed form of an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// A bare number that is no unsigned 64-bit integer.
    #[error(
        "expected an unsigned 64-bit integer, found {found}: write {{\"$int64\": …}} or {{\"$double\": \"…\"}}"
    )]
    BareNumber {
        /// The number.
        found: String,
    },
    /// A tag's content is not of its form.
    #[error("expected {expected} in {tag}, found {found}")]
    Content {
        /// The tag.
        tag: &'static str,
        /// Its form.
        expected: &'static str,
        /// What came, or its first 64 characters.
        found: String,
    },
    /// A key that begins with `$` and is no tag, or a tag with other keys beside it.
    #[error(
        "expected a known tag alone in its object, found key {found:?}: write such a dictionary as $dictionary"
    )]
    UnknownTag {
        /// The key.
        found: String,
    },
    /// Containers inside each other beyond [`crate::limits::MAX_DEPTH`].
    #[error("expected at most {limit} containers inside each other, found more")]
    TooDeep {
        /// Most containers inside each other.
        limit: usize,
    },
}

#[cfg(test)]
mod tests;
