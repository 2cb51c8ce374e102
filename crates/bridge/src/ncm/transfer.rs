//! What the pump asks of USB and of the interface.

use std::io;
use std::task::{Context, Poll};

/// Why transfers have ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransferFailure {
    /// The phone has left this address.
    #[error("the phone is not on USB any more")]
    Gone,
    /// The endpoint is halted.
    #[error("the phone refused a transfer")]
    Stalled,
    /// Disturbed again and again, or something of the system's.
    #[error("a transfer failed: {0}")]
    Other(#[from] io::Error),
}

/// Transfers from the phone; several wait at a time.
pub(crate) trait BulkIn {
    /// wMaxPacketSize in bytes.
    fn max_packet(&self) -> usize;

    /// Gives the next transfer's bytes to `take`, which is not called for one that was lost to a disturbance.
    fn poll_block(
        &mut self,
        cx: &mut Context<'_>,
        take: &mut dyn FnMut(&[u8]),
    ) -> Poll<Result<(), TransferFailure>>;
}

/// Transfers to the phone; several are on their way at a time.
pub(crate) trait BulkOut {
    /// wMaxPacketSize in bytes.
    fn max_packet(&self) -> usize;

    /// Ready when one more may be sent; `lost` is called for each transfer that was lost to a disturbance.
    fn poll_room(
        &mut self,
        cx: &mut Context<'_>,
        lost: &mut dyn FnMut(),
    ) -> Poll<Result<(), TransferFailure>>;

    /// Sends a block, after room was there. None is longer than `longest`, in bytes.
    fn send(&mut self, block: &[u8], longest: usize, zero_length_packet: bool);
}

/// Ethernet frames of an interface.
pub(crate) trait Frames {
    /// The next frame's length; longer ones than `frame` are cut.
    fn poll_frame(&mut self, cx: &mut Context<'_>, frame: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Gives a frame to the kernel; whether it took it. It takes none while the interface is down.
    fn give(&mut self, frame: &[u8]) -> io::Result<bool>;
}
