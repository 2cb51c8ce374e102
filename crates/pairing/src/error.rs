//! Why a whole pairing dialogue stops, in sentences for people.

use std::time::Duration;

use crate::channel::ChannelError;
use crate::identity::{Fingerprint, IdentityError};
use crate::message::MessageError;
use crate::not_sourced::NotSourced;
use crate::setup::SetupError;
use crate::srp::OperandForm;
use crate::tlv8::PeerErrorCode;
use crate::verify::VerifyError;

/// Why the dialogue stops; each asks for another thing to be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The device or its user said no.
    #[error("the device rejected the pairing{}: tap Trust on it the next time", said(description.as_deref()))]
    Rejected {
        /// What the device said.
        description: Option<String>,
    },
    /// The device wants no attempts for a while.
    #[error("the device had too many pairing attempts: try again in {} s", retry_in.as_secs())]
    BackOff {
        /// How long from now.
        retry_in: Duration,
        /// When, on the clock of the caller.
        retry_at: Duration,
    },
    /// The PIN was wrong.
    #[error("the PIN is wrong: begin again and type the one that the device shows")]
    WrongPin {
        /// The form of the operands of the last attempt, if it could matter.
        form: Option<OperandForm>,
    },
    /// The device answered with an error that has no more to it.
    #[error("the device answered {step} with error {code}")]
    Refused {
        /// The step that was expected.
        step: &'static str,
        /// The code.
        code: PeerErrorCode,
    },
    /// The device is not the one that was paired with.
    #[error(
        "the device that answers as {record} is not the one that this host paired with: {change}. If it was erased or \
         replaced, forget its pair record and pair again; if not, somebody else answers in its place"
    )]
    IdentityChanged {
        /// The record.
        record: String,
        /// What changed.
        change: IdentityChange,
    },
    /// Another device than the expected one answers.
    #[error(
        "the device that was found as {expected} calls itself {said:?}: attach it again, and if it still does, pair with \
         no other device attached"
    )]
    OtherDevice {
        /// What the caller knows it by.
        expected: String,
        /// What it says, as far as an identifier may be long.
        said: String,
    },
    /// There is no valid pairing and none may be made.
    #[error("this host is not paired with the device: pair first")]
    NotPaired,
    /// The device allows no pair-setup on this connection.
    #[error("the device allows no pairing on this connection: use USB, or its own pairing screen")]
    PairSetupNotAllowed,
    /// The device refuses a request.
    #[error("the device refused {request}: {}{domain} {code}", description.as_ref().map_or(String::new(), |text| format!("{text}, ")))]
    RequestRefused {
        /// The request.
        request: &'static str,
        /// The error domain.
        domain: String,
        /// The code.
        code: i64,
        /// What the device said.
        description: Option<String>,
    },
    /// The device is silent.
    #[error("the device did not answer for {} s while this host waited for {waiting_for}", after.as_secs())]
    Timeout {
        /// What was waited for.
        waiting_for: &'static str,
        /// How long.
        after: Duration,
    },
    /// The connection is gone.
    #[error("the device closed the connection while this host waited for {waiting_for}")]
    Closed {
        /// What was waited for.
        waiting_for: &'static str,
    },
    /// A message came that doesn't belong here.
    #[error("got {got} while waiting for {waiting_for}")]
    Unexpected {
        /// What came.
        got: String,
        /// What was waited for.
        waiting_for: &'static str,
    },
    /// The driver asked for something that is not possible now.
    #[error("{what} is not possible while waiting for {waiting_for}")]
    OutOfOrder {
        /// What was asked for.
        what: &'static str,
        /// What is waited for.
        waiting_for: &'static str,
    },
    /// The dialogue stopped before.
    #[error("the dialogue is over: connect again")]
    Over,
    /// Pair-setup stopped.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Pair-verify stopped.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The encrypted channel stopped.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// A message inside the encrypted channel is wrong.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// An identifier is refused.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// No source tells what comes next.
    #[error(transparent)]
    NotSourced(#[from] NotSourced),
}

/// What differs from the pinned identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityChange {
    /// Another identifier.
    Identifier {
        /// The pinned one.
        pinned: String,
        /// The one that came.
        presented: String,
    },
    /// Another key, in pair-setup.
    Key {
        /// The pinned one.
        pinned: Fingerprint,
        /// The one that came.
        presented: Fingerprint,
    },
    /// A signature that the pinned key didn't make, in pair-verify.
    Signature {
        /// The pinned key.
        pinned: Fingerprint,
    },
}

impl std::fmt::Display for IdentityChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Identifier { pinned, presented } => {
                write!(f, "it calls itself {presented} instead of {pinned}")
            }
            Self::Key { pinned, presented } => write!(f, "its key is {presented} instead of {pinned}"),
            Self::Signature { pinned } => write!(f, "its signature is not one of the key {pinned}"),
        }
    }
}

fn said(description: Option<&str>) -> String {
    description.map_or(String::new(), |text| format!(" ({text})"))
}
