//! What goes into a machine and what comes out.

use std::fmt;

use super::picture::Picture;
use super::reason::Reason;
use super::state::State;
use crate::ports::{Dropped, Function, Holder, LinkError, UsbError};

/// What happens.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// What is there now; also the end of [`Work::Look`].
    Looked(Box<Picture>),
    /// The work under way is done.
    Done(Outcome),
    /// The work under way failed.
    Failed(Failure),
    /// The userspace driver ended by itself, with its reason.
    UserspaceEnded(String),
    /// It is wanted no longer: leave the bridge and, unless `keep`, go back to mode 1.
    Stop {
        /// Whether the mode stays.
        keep: bool,
    },
    /// A person wants another attempt at whatever is held.
    Refresh,
    /// Time passed.
    Tick,
}

/// Work that takes time: one piece at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Look anew; ends in [`Event::Looked`].
    Look,
    /// Open the phone; the handle is kept.
    Open,
    /// Ask for its mode.
    GetMode,
    /// Ask it for a mode.
    SetMode(u8),
    /// Choose a configuration.
    SetConfiguration(u8),
    /// Find out who may have changed mode or configuration.
    FindMeddlers,
    /// Start the userspace driver.
    StartUserspace(Function),
    /// Stop it.
    StopUserspace,
    /// Make the interface a port of the bridge.
    Attach {
        /// The interface's index.
        port: u32,
        /// The bridge's index.
        bridge: u32,
        /// Isolated or not.
        isolated: bool,
    },
    /// Take the interface out of its bridge.
    Detach {
        /// The interface's index.
        port: u32,
    },
    /// Find out whether something drops frames between ports.
    Inspect,
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Look => f.write_str("looking at it"),
            Self::Open => f.write_str("opening it"),
            Self::GetMode => f.write_str("asking for its mode"),
            Self::SetMode(mode) => write!(f, "asking it for mode {mode}"),
            Self::SetConfiguration(value) => write!(f, "choosing configuration {value}"),
            Self::FindMeddlers => f.write_str("looking for who changed it"),
            Self::StartUserspace(_) => f.write_str("starting the userspace driver"),
            Self::StopUserspace => f.write_str("stopping the userspace driver"),
            Self::Attach { .. } => f.write_str("joining the bridge"),
            Self::Detach { .. } => f.write_str("leaving the bridge"),
            Self::Inspect => f.write_str("looking for what drops frames"),
        }
    }
}

/// How work ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is open.
    Opened,
    /// Its answer to GET_MODE.
    Mode(Vec<u8>),
    /// Its answer to SET_MODE.
    ModeSet(Vec<u8>),
    /// The configuration is chosen.
    ConfigurationSet,
    /// Who may have changed it.
    Meddlers(Vec<Holder>),
    /// The driver's TAP interface has this index.
    UserspaceStarted(u32),
    /// The driver has ended.
    UserspaceStopped,
    /// It is a port.
    Attached,
    /// It is none.
    Detached,
    /// What drops frames.
    Inspected(Option<Dropped>),
}

/// How work failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The phone or the interface is not there any more.
    Gone,
    /// This user may not.
    Denied {
        /// What: a node or an action, with the verb, e.g. `/dev/bus/usb/001/004 may not be opened`.
        what: String,
    },
    /// Somebody has an interface of it.
    Busy {
        /// Who.
        holders: Vec<Holder>,
    },
    /// The phone refused.
    Refused,
    /// No answer in time.
    Late,
    /// The system's words.
    Other(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("it was not there any more"),
            Self::Denied { what } => f.write_str(what),
            Self::Busy { holders } => write!(f, "it is in use by {}", crate::ports::named(holders)),
            Self::Refused => f.write_str("the phone refused"),
            Self::Late => f.write_str("there was no answer in time"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl From<UsbError> for Failure {
    fn from(error: UsbError) -> Self {
        match error {
            UsbError::Gone => Self::Gone,
            UsbError::Denied { node } => Self::Denied { what: format!("{node} may not be opened") },
            UsbError::Right { .. } => Self::Denied { what: error.to_string() },
            UsbError::Busy { holders } => Self::Busy { holders },
            UsbError::Refused => Self::Refused,
            UsbError::Late => Self::Late,
            UsbError::Io { .. } => Self::Other(error.to_string()),
        }
    }
}

impl From<LinkError> for Failure {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Gone => Self::Gone,
            LinkError::Denied { .. } => Self::Denied { what: error.to_string() },
            LinkError::NoBridge | LinkError::Io { .. } => Self::Other(error.to_string()),
        }
    }
}

/// What a machine wants done, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Begin this; it ends in one [`Event::Done`], [`Event::Failed`] or [`Event::Looked`], unless abandoned.
    Begin(Work),
    /// Abandon the work under way: its end is of no interest any more.
    Abandon,
    /// Close the phone's handle: it is at another address now.
    Close,
    /// Tell that it is in this state now, for this reason.
    Entered(State, Option<Reason>),
    /// It is over: drop everything of it, the userspace driver too.
    Forget,
}
