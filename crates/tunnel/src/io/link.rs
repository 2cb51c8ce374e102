//! What a stream transport is to the pump.

use super::error::TunnelError;
use std::io;
use std::task::{Context, Poll};

/// A connection on which each packet is written at once and read as bytes.
pub(crate) trait Link: Send {
    /// Takes the connection out of the runtime that opened it.
    fn detach(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Puts it into the runtime that will poll it.
    fn attach(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Sends `bytes` as one write. After `Pending` it must be called with the same bytes until it is ready.
    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<(), TunnelError>>;

    /// Reads what is there into `space` and gives the count; zero at the end of the stream.
    fn poll_read(&mut self, cx: &mut Context<'_>, space: &mut [u8]) -> Poll<Result<usize, TunnelError>>;

    /// Says goodbye, as far as that is possible without waiting.
    fn close(&mut self);
}

/// A failure of the connection after it was open.
pub(crate) fn broken(source: io::Error) -> TunnelError {
    TunnelError::Connection { during: "relay", source }
}
