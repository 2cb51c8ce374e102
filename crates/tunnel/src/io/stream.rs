//! Any stream as a link, for CoreDeviceProxy: the caller brings the lockdown service's stream with its TLS.
//! Source: protocol.md §5.9 (same framing, no RemotePairing).

use super::error::TunnelError;
use super::link::{Link, broken};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream of bytes, both ways.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

/// A stream under the pump: each packet is given to it in one write and flushed.
pub(crate) struct StreamLink<S> {
    stream: S,
    /// Bytes of the current packet that the stream has taken.
    written: usize,
}

impl<S: Stream> StreamLink<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, written: 0 }
    }
}

impl<S: Stream> Link for StreamLink<S> {
    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<(), TunnelError>> {
        while let Some(rest) = bytes.get(self.written..).filter(|rest| !rest.is_empty()) {
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, rest)).map_err(broken)?;
            if count == 0 {
                return Poll::Ready(Err(broken(io::ErrorKind::WriteZero.into())));
            }
            self.written = self.written.saturating_add(count);
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx)).map_err(broken)?;
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, space: &mut [u8]) -> Poll<Result<usize, TunnelError>> {
        let mut buffer = ReadBuf::new(space);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)).map_err(broken)?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    fn close(&mut self) {
        // What is not written yet is lost with the tunnel; a stream closes when it is dropped.
        let mut cx = Context::from_waker(std::task::Waker::noop());
        if let Poll::Ready(Err(error)) = Pin::new(&mut self.stream).poll_shutdown(&mut cx) {
            tracing::trace!(%error, "the peer was not told that the tunnel closes");
        }
    }
}

impl<S> std::fmt::Debug for StreamLink<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StreamLink")
    }
}
