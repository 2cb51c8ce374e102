//! Everything that is said on an RSD connection after its opening.

use super::error::RsdError;
use super::handshake::Handshake;
use super::key;
use super::parse::HANDSHAKE;
use super::source::{Path, Source};
use crate::{Dictionary, EncodeError, Kind, Limits, Object, View};

const HEARTBEAT: &str = "Heartbeat";
const TIMESYNC: &str = "Timesync";
const GOODBYE: &str = "Goodbye";
const RESET: &str = "Reset";
const START_TLS: &str = "StartTls";

/// One RSD message. Source: protocol.md §4.1 (message types of the RSD channel).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Who the sender is and what it offers.
    Handshake(Handshake),
    /// A sign of life, asked and answered; sent for a local client only, never on a timer.
    Heartbeat {
        /// Counts up from 1.
        sequence_number: u64,
    },
    /// Clock exchange; the content's meaning is not known.
    Timesync {
        /// TimesyncPayload as it came.
        payload: Object,
    },
    /// The sender leaves.
    Goodbye,
    /// The sender wants to start over; answered with a Result.
    Reset,
    /// The answer to a Reset: `Ok`.
    Result(String),
    /// The sender wants TLS. How it goes on is [`crate::not_sourced::RSD_START_TLS`]: count it, answer nothing.
    StartTls {
        /// YesNo.
        yes_no: bool,
        /// TlsPolicy: 1 off, 3 required, 2 unknown.
        tls_policy: u64,
    },
    /// Anything else, as it came.
    Other(Object),
}

impl Message {
    /// Checks a body and reads it as an RSD message.
    ///
    /// # Errors
    /// [`RsdError::Decode`] when it is no object; what is missing or of another type in a message of a known type.
    pub fn decode(body: &[u8], limits: &Limits) -> Result<Self, RsdError> {
        Self::from_source(View::parse(body, limits)?)
    }

    /// Reads an object as an RSD message. An object without a known MessageType is [`Message::Other`], not an error.
    ///
    /// # Errors
    /// What is missing or of another type in a message of a known type.
    pub fn from_object(object: &Object) -> Result<Self, RsdError> {
        Self::from_source(object)
    }

    /// Reads a checked body as an RSD message, without an [`Object`] between.
    ///
    /// # Errors
    /// What is missing or of another type in a message of a known type.
    pub fn from_view(view: View<'_>) -> Result<Self, RsdError> {
        Self::from_source(view)
    }

    fn from_source<'a, S: Source<'a>>(root: S) -> Result<Self, RsdError> {
        let Some(message_type) = first(root, key::MESSAGE_TYPE) else {
            return Ok(match first(root, key::RESULT).and_then(Source::text) {
                Some(result) => Message::Result(result.to_owned()),
                None => Message::Other(root.owned()),
            });
        };
        Ok(match Path::Message(key::MESSAGE_TYPE).string(message_type)? {
            HANDSHAKE => Message::Handshake(Handshake::from_source(root)?),
            HEARTBEAT => Message::Heartbeat {
                sequence_number: need(root, key::SEQUENCE_NUMBER, Kind::Uint64, Path::uint64)?,
            },
            TIMESYNC => Message::Timesync {
                payload: need(root, key::TIMESYNC_PAYLOAD, Kind::Dictionary, |_, value| Ok(value.owned()))?,
            },
            GOODBYE => Message::Goodbye,
            RESET => Message::Reset,
            START_TLS => Message::StartTls {
                yes_no: need(root, key::YES_NO, Kind::Bool, Path::bool)?,
                tls_policy: need(root, key::TLS_POLICY, Kind::Uint64, Path::uint64)?,
            },
            _ => Message::Other(root.owned()),
        })
    }

    /// The object to send.
    pub fn to_object(&self) -> Object {
        let typed = |name: &str| Dictionary::new().with(key::MESSAGE_TYPE, name);
        let entries = match self {
            Message::Handshake(handshake) => return handshake.to_object(),
            Message::Other(object) => return object.clone(),
            Message::Heartbeat { sequence_number } => {
                typed(HEARTBEAT).with(key::SEQUENCE_NUMBER, *sequence_number)
            }
            Message::Timesync { payload } => typed(TIMESYNC).with(key::TIMESYNC_PAYLOAD, payload.clone()),
            Message::Goodbye => typed(GOODBYE),
            Message::Reset => typed(RESET),
            Message::Result(result) => Dictionary::new().with(key::RESULT, result.as_str()),
            Message::StartTls { yes_no, tls_policy } => {
                typed(START_TLS).with(key::YES_NO, *yes_no).with(key::TLS_POLICY, *tls_policy)
            }
        };
        entries.into()
    }

    /// The body to send.
    ///
    /// # Errors
    /// What [`EncodeError`] lists, with [`Limits::default`].
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        match self {
            Message::Handshake(handshake) => handshake.encode(),
            other => other.to_object().encode(),
        }
    }
}

fn first<'a, S: Source<'a>>(root: S, key: &str) -> Option<S> {
    root.entries()?.find(|(name, _)| *name == key.as_bytes()).map(|(_, value)| value)
}

fn need<'a, S: Source<'a>, T>(
    root: S,
    key: &'static str,
    expected: Kind,
    typed: impl FnOnce(Path<'static>, S) -> Result<T, RsdError>,
) -> Result<T, RsdError> {
    let path = Path::Message(key);
    typed(path, first(root, key).ok_or_else(|| path.missing(expected))?)
}
