//! TLS as a link: one record per packet out, many records per read in.
//!
//! OpenSSL reads from [`Wire`], which reads from the socket in large pieces, and writes through it, one record at once.

use super::error::{TlsError, TunnelError};
use super::link::{Link, broken};
use super::tls::describe;
use openssl::ssl::{self, ErrorCode, SslStream};
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

/// Bytes read from the socket at once: eight packets of the usual MTU. More didn't make it faster.
const READ_LEN: usize = 128 * 1024;

/// A socket under OpenSSL, with read-ahead.
#[derive(Debug)]
pub(crate) struct Wire {
    socket: Socket,
    ahead: Box<[u8]>,
    start: usize,
    end: usize,
}

/// A socket belongs to one runtime at a time.
#[derive(Debug)]
enum Socket {
    Attached(TcpStream),
    Detached(std::net::TcpStream),
    Moving,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        let ahead = vec![0; READ_LEN].into_boxed_slice();
        Self { socket: Socket::Attached(stream), ahead, start: 0, end: 0 }
    }

    fn stream(&mut self) -> io::Result<&mut TcpStream> {
        match &mut self.socket {
            Socket::Attached(stream) => Ok(stream),
            Socket::Detached(_) | Socket::Moving => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Reads from the socket when everything read before is used up; zero at the end of the stream.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Socket::Attached(stream) = &mut self.socket else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let mut buffer = ReadBuf::new(&mut self.ahead);
        ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
        self.start = 0;
        self.end = buffer.filled().len();
        Poll::Ready(Ok(self.end))
    }

    pub(crate) fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.stream() {
            Ok(stream) => stream.poll_write_ready(cx),
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl Read for Wire {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut unread = self.ahead.get(self.start..self.end).unwrap_or_default();
        if unread.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = unread.read(out)?;
        self.start = self.start.saturating_add(count);
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream()?.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An open TLS connection.
pub(crate) struct TlsLink {
    tls: SslStream<Wire>,
}

impl TlsLink {
    pub(crate) fn new(tls: SslStream<Wire>) -> Self {
        Self { tls }
    }

    /// Waits for what OpenSSL wants; false at the end of the stream.
    fn poll_wanted(&mut self, cx: &mut Context<'_>, error: &ssl::Error) -> Poll<Result<bool, TunnelError>> {
        match error.code() {
            ErrorCode::WANT_READ => {
                self.tls.get_mut().poll_fill(cx).map_ok(|count| count > 0).map_err(broken)
            }
            ErrorCode::WANT_WRITE => self.tls.get_mut().poll_writable(cx).map_ok(|()| true).map_err(broken),
            ErrorCode::ZERO_RETURN => Poll::Ready(Ok(false)),
            _ => Poll::Ready(Err(TlsError::Library { during: "relay", detail: describe(error) }.into())),
        }
    }
}

impl Link for TlsLink {
    fn detach(&mut self) -> io::Result<()> {
        let wire = self.tls.get_mut();
        if let Socket::Attached(stream) = std::mem::replace(&mut wire.socket, Socket::Moving) {
            wire.socket = Socket::Detached(stream.into_std()?);
        }
        Ok(())
    }

    fn attach(&mut self) -> io::Result<()> {
        let wire = self.tls.get_mut();
        if let Socket::Detached(stream) = std::mem::replace(&mut wire.socket, Socket::Moving) {
            wire.socket = Socket::Attached(TcpStream::from_std(stream)?);
        }
        Ok(())
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<(), TunnelError>> {
        loop {
            // Partial writes are off: OpenSSL takes all or nothing.
            let Err(error) = self.tls.ssl_write(bytes) else { return Poll::Ready(Ok(())) };
            if !ready!(self.poll_wanted(cx, &error))? {
                return Poll::Ready(Err(broken(io::ErrorKind::BrokenPipe.into())));
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, space: &mut [u8]) -> Poll<Result<usize, TunnelError>> {
        loop {
            let error = match self.tls.ssl_read(space) {
                Ok(count) => return Poll::Ready(Ok(count)),
                Err(error) => error,
            };
            if !ready!(self.poll_wanted(cx, &error))? {
                return Poll::Ready(Ok(0));
            }
        }
    }

    fn close(&mut self) {
        if let Err(error) = self.tls.shutdown() {
            tracing::trace!(%error, "the peer was not told that the tunnel closes");
        }
    }
}

impl std::fmt::Debug for TlsLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsLink")
    }
}
