//! A connection that is recorded while it is used.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::flow::{Flow, Opener};
use crate::pcapng::Direction;
use crate::recorder::{self, Recorder};

/// A stream whose bytes are recorded as they pass. It reads and writes as the stream inside does.
#[derive(Debug)]
pub struct Recorded<S> {
    stream: S,
    recorder: Recorder,
    flow: Flow,
    scope: u32,
}

impl<S> Recorded<S> {
    pub(crate) fn new(
        recorder: Recorder,
        local: SocketAddr,
        peer: SocketAddr,
        opener: Opener,
        stream: S,
    ) -> Self {
        let mut flow = Flow::new(local, peer);
        let scope = recorder::scope(local);
        recorder.record(scope, flow.open(opener));
        Self { stream, recorder, flow, scope }
    }

    fn sent(&mut self, bytes: &[u8]) {
        self.recorder.record(self.scope, self.flow.data(Direction::Outbound, bytes));
    }

    fn failed(&mut self, error: &io::Error) {
        if error.kind() == io::ErrorKind::ConnectionReset {
            self.recorder.record(self.scope, self.flow.reset(Direction::Inbound));
        }
    }
}

impl<S> Drop for Recorded<S> {
    fn drop(&mut self) {
        // Dropping a socket closes this side; after a RST nothing is left to close.
        self.recorder.record(self.scope, self.flow.finish(Direction::Outbound));
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Recorded<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let room = buffer.remaining() > 0;
        let result = ready!(Pin::new(&mut this.stream).poll_read(cx, buffer));
        match &result {
            Ok(()) => {
                let packets = match buffer.filled().get(before..) {
                    Some([]) if room => this.flow.finish(Direction::Inbound),
                    Some(bytes) => this.flow.data(Direction::Inbound, bytes),
                    None => Vec::new(),
                };
                this.recorder.record(this.scope, packets);
            }
            Err(error) => this.failed(error),
        }
        Poll::Ready(result)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Recorded<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = ready!(Pin::new(&mut this.stream).poll_write(cx, bytes));
        match &result {
            Ok(written) => this.sent(bytes.get(..*written).unwrap_or(bytes)),
            Err(error) => this.failed(error),
        }
        Poll::Ready(result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = ready!(Pin::new(&mut this.stream).poll_write_vectored(cx, slices));
        match &result {
            Ok(written) => {
                // Joined: what was one write stays one segment.
                let mut bytes = Vec::with_capacity(*written);
                for slice in slices {
                    let left = written.saturating_sub(bytes.len());
                    bytes.extend(slice.iter().take(left));
                }
                this.sent(&bytes);
            }
            Err(error) => this.failed(error),
        }
        Poll::Ready(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = ready!(Pin::new(&mut this.stream).poll_shutdown(cx));
        if result.is_ok() {
            this.recorder.record(this.scope, this.flow.finish(Direction::Outbound));
        }
        Poll::Ready(result)
    }
}
