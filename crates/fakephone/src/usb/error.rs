//! Why a phone on a cable can't be, or can't go on.

use std::io;

use iosmux_lab::LabError;
use iosmux_usb::UdidError;

use super::tap::TapError;
use super::usbip::UsbIpError;
use super::vhci::VhciError;
use crate::identity::NoUdid;
use crate::net;

/// Why a phone could not start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UsbPhoneError {
    /// Nobody knows which phone it is.
    #[error(transparent)]
    Identity(#[from] NoUdid),
    /// Its UDID can't be a serial.
    #[error(transparent)]
    Udid(#[from] UdidError),
    /// It has no namespace.
    #[error(transparent)]
    Namespace(#[from] LabError),
    /// It has no interface.
    #[error(transparent)]
    Tap(#[from] TapError),
    /// It can't be plugged in.
    #[error(transparent)]
    Vhci(#[from] VhciError),
    /// The host says what no host says.
    #[error(transparent)]
    UsbIp(#[from] UsbIpError),
    /// Its network face ended.
    #[error(transparent)]
    Net(#[from] net::Error),
    /// Its interface broke.
    #[error("the phone's interface: {0}")]
    Io(#[from] io::Error),
    /// It has ended already.
    #[error("the phone has ended")]
    Ended,
}
