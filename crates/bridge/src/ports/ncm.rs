//! The userspace NCM driver, for kernels that can't bind a function.

use std::future::Future;

use super::{UsbDevice, UsbError};

/// An NCM function as the userspace driver needs it.
pub use iosmux_usb::NcmFunction as Function;

/// What the userspace driver has carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Counters {
    /// Frames from the phone.
    pub rx_frames: u64,
    /// Bytes of them.
    pub rx_bytes: u64,
    /// Frames to the phone.
    pub tx_frames: u64,
    /// Bytes of them.
    pub tx_bytes: u64,
    /// Blocks from the phone that were no NTB, and frames that did not fit.
    pub errors: u64,
}

/// The userspace NCM driver.
pub trait UserspaceNcm: Send + Sync + 'static {
    /// What it drives.
    type Device: UsbDevice;
    /// A function that runs.
    type Running: RunningNcm;

    /// Claims the function's interfaces (detaching kernel drivers from them), makes a TAP interface with the phone's
    /// iMACAddress, and carries frames. The handle it is given may be closed by the caller later; it has its own.
    ///
    /// # Errors
    /// [`UsbError`]; [`UsbError::Right`] and [`UsbError::Denied`] also of TAP.
    fn start(
        &self,
        device: &Self::Device,
        function: Function,
    ) -> impl Future<Output = Result<Self::Running, UsbError>> + Send;
}

/// A function that the userspace driver runs; dropping it stops it as well.
pub trait RunningNcm: Send + 'static {
    /// The TAP interface's index.
    fn index(&self) -> u32;
    /// What it has carried.
    fn counters(&self) -> Counters;
    /// Waits until it has ended by itself, and says why; cancelling loses nothing.
    fn ended(&mut self) -> impl Future<Output = UsbError> + Send;
    /// Ends it: interfaces released, the TAP interface gone.
    fn stop(self) -> impl Future<Output = ()> + Send;
}
