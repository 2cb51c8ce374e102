//! What is done to a phone on a desk.

use std::fmt;
use std::str::FromStr;

use tokio::sync::oneshot;

use super::error::UsbPhoneError;

/// What a desk does to a phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hand {
    /// `plug`: the cable goes in, the phone is in the mode of its configuration.
    Plug,
    /// `unplug`: the cable comes out.
    Unplug,
    /// `reboot`: it restarts, which takes 2 s.
    Reboot,
    /// `suspend`: its host was suspended; it is back in mode 1 after its re-enumeration.
    Suspend,
}

/// A word that is none of `plug`, `unplug`, `reboot`, `suspend`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one of plug, unplug, reboot, suspend; found {0:?}")]
pub struct HandError(String);

impl FromStr for Hand {
    type Err = HandError;

    fn from_str(text: &str) -> Result<Hand, HandError> {
        match text {
            "plug" => Ok(Hand::Plug),
            "unplug" => Ok(Hand::Unplug),
            "reboot" => Ok(Hand::Reboot),
            "suspend" => Ok(Hand::Suspend),
            _ => Err(HandError(text.to_owned())),
        }
    }
}

impl fmt::Display for Hand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Hand::Plug => "plug",
            Hand::Unplug => "unplug",
            Hand::Reboot => "reboot",
            Hand::Suspend => "suspend",
        })
    }
}

/// What is done to a phone, and where its result is awaited.
pub(super) type Order = (Hand, oneshot::Sender<Result<(), UsbPhoneError>>);
