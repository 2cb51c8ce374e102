//! A phone's mode changed once, for a person who asks for that alone.

use std::time::Duration;

use iosmux_usb::mode::ACCEPTED;
use iosmux_usb::{Mode, Udid};
use tokio::time::{Instant, sleep, timeout};

use crate::phone::{RE_ENUMERATION, Usb};
use crate::ports::{Attached, LONGEST, UsbDevice, UsbError, UsbHost};

/// How often it is looked for.
const OFTEN: Duration = Duration::from_millis(100);

/// What became of a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// It was so already.
    Already,
    /// It changed, and came back after this time.
    After(Duration),
}

/// Why a mode is not as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ModeError {
    /// It is not plugged in.
    #[error("no phone with the UDID {0} is plugged in: `iosmux-bridge list` shows those that are")]
    NotFound(Udid),
    /// USB can't be asked, or the phone.
    #[error("{udid}, mode {mode}: {source}{}", next(.source))]
    Usb {
        /// Which phone.
        udid: Udid,
        /// Which mode.
        mode: Mode,
        /// What is wrong.
        source: UsbError,
    },
    /// It refuses.
    #[error(
        "{udid} was asked for mode {mode} and answered {answer:02x?} instead of 0: unlock it, plug it in again, and try again"
    )]
    Refused {
        /// Which phone.
        udid: Udid,
        /// Which mode.
        mode: Mode,
        /// Its answer.
        answer: Vec<u8>,
    },
    /// It consented, and nothing came of it.
    #[error(
        "{udid} consented to mode {mode} and was not in it within {} s: plug it in again", RE_ENUMERATION.as_secs()
    )]
    Late {
        /// Which phone.
        udid: Udid,
        /// Which mode.
        mode: Mode,
    },
}

fn next(error: &UsbError) -> &'static str {
    match error {
        UsbError::Denied { .. } => "; use sudo, or install the udev rule of iosmux",
        UsbError::Gone | UsbError::Late => "; plug it in again",
        _ => "",
    }
}

/// Brings a phone into a mode: nothing is asked of one that is in it already.
///
/// # Errors
/// [`ModeError`].
pub async fn set_mode<U: UsbHost>(usb: &U, udid: &Udid, mode: Mode) -> Result<Changed, ModeError> {
    let failed = |source| ModeError::Usb { udid: udid.clone(), mode, source };
    let Some(attached) = find(usb, udid).await.map_err(failed)? else {
        return Err(ModeError::NotFound(udid.clone()));
    };
    if is_in(&attached, mode) {
        return Ok(Changed::Already);
    }
    let began = Instant::now();
    let ask = async { usb.open(&attached.address).await?.set_mode(mode.number()).await };
    match timeout(LONGEST.saturating_mul(2), ask).await.unwrap_or(Err(UsbError::Late)) {
        Ok(answer) if answer.first() == Some(&ACCEPTED) => {}
        Ok(answer) => return Err(ModeError::Refused { udid: udid.clone(), mode, answer }),
        // It left before its answer was read.
        Err(UsbError::Gone) => {}
        Err(source) => return Err(failed(source)),
    }
    while began.elapsed() < RE_ENUMERATION {
        sleep(OFTEN).await;
        match find(usb, udid).await {
            Ok(Some(attached)) if is_in(&attached, mode) => return Ok(Changed::After(began.elapsed())),
            Ok(_) | Err(UsbError::Late) => {}
            Err(source) => return Err(failed(source)),
        }
    }
    Err(ModeError::Late { udid: udid.clone(), mode })
}

async fn find<U: UsbHost>(usb: &U, udid: &Udid) -> Result<Option<Attached>, UsbError> {
    let listed = usb.list().await.map_err(|source| UsbError::Io { action: "looking for phones", source })?;
    let found = listed.attached.into_iter().find(|attached| attached.udid().as_ref() == Ok(udid));
    // One of those that are not shown may be it.
    if found.is_none() && !listed.late.is_empty() { Err(UsbError::Late) } else { Ok(found) }
}

fn is_in(attached: &Attached, mode: Mode) -> bool {
    Usb::read(attached).layout.is_ok_and(|layout| layout.mode == Some(mode))
}
