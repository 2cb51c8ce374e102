//! A stream between the TCP connection and the session that misbehaves on request.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::Sleep;

use super::Fault;
use super::editor::{Edit, Editor};

/// Octets of the client connection preface. Source: RFC 9113 §3.4.
const PREFACE: usize = 24;
/// Octets of a frame's header. Source: RFC 9113 §4.1.
const HEADER: usize = 9;
/// Bytes taken from one write, so that what is queued stays bounded.
const WRITE_MAX: usize = 64 << 10;

/// What a phone serves a connection on: TCP, or one end of a pipe in tests.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Makes closing the connection a TCP RST where there is such a thing.
    fn reset_when_dropped(&self) {}
}

impl Transport for TcpStream {
    fn reset_when_dropped(&self) {
        if let Err(error) = self.set_zero_linger() {
            tracing::warn!(%error, "the connection can only be closed, not reset");
        }
    }
}

impl Transport for DuplexStream {}

/// A connection with the faults that apply to it.
#[derive(Debug)]
pub struct FaultStream<S> {
    inner: S,
    /// How much of preface and SETTINGS has arrived; `None` when no reset is asked for.
    opening: Option<Vec<u8>>,
    /// Set once it was reset or its lease ended: not even a last word goes out.
    over: Option<io::ErrorKind>,
    delay: Option<Duration>,
    sleep: Option<Pin<Box<Sleep>>>,
    editor: Option<Editor>,
    queued: Vec<u8>,
    lease: Option<Lease>,
}

/// What a connection holds as long as it lives, and what ends it from outside.
pub struct Lease {
    /// Kept until the connection or the lease ends, such as its place among those allowed at the same time.
    pub held: Box<dyn Send + Sync>,
    /// The connection fails as soon as the other half is dropped, also while a write waits for the peer.
    pub until: oneshot::Receiver<std::convert::Infallible>,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").finish_non_exhaustive()
    }
}

impl<S: Transport> FaultStream<S> {
    /// Wraps a connection; without faults bytes pass through untouched.
    pub fn new(inner: S, faults: &[Fault]) -> FaultStream<S> {
        let edit = faults.iter().find_map(|fault| match fault {
            Fault::GarbageHandshake => Some(Edit::Garbage),
            Fault::OversizeFrame => Some(Edit::Oversize),
            _ => None,
        });
        let delay = faults.iter().find_map(|fault| match fault {
            Fault::Slow(delay) => Some(*delay),
            _ => None,
        });
        FaultStream {
            inner,
            opening: faults.contains(&Fault::ResetAfterSettings).then(Vec::new),
            over: None,
            delay,
            sleep: None,
            editor: edit.map(Editor::new),
            queued: Vec::new(),
            lease: None,
        }
    }

    /// The same connection on a lease.
    #[must_use]
    pub fn on_lease(self, lease: Lease) -> FaultStream<S> {
        FaultStream { lease: Some(lease), ..self }
    }

    /// Plays [`Fault::Silent`]: reads and discards until the peer closes.
    pub async fn stay_silent(mut self) {
        let mut buffer = [0; 1024];
        while self.inner.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
    }

    /// Fails once the connection was reset or its lease ended.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if let Some(lease) = &mut self.lease
            && Pin::new(&mut lease.until).poll(context).is_ready()
        {
            self.lease = None;
            self.over = Some(io::ErrorKind::ConnectionAborted);
        }
        self.over.map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn write_queued(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.queued.is_empty() {
            let count = ready!(Pin::new(&mut self.inner).poll_write(context, &self.queued))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.queued.drain(..count);
        }
        Poll::Ready(Ok(()))
    }

    fn wait(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(delay) = self.delay else { return Poll::Ready(()) };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(delay)));
        ready!(sleep.as_mut().poll(context));
        self.sleep = None;
        Poll::Ready(())
    }
}

/// Whether preface and first frame are whole. The preface's content is the session's business.
fn has_settings(opening: &[u8]) -> bool {
    let Some(&[a, b, c]) = opening.get(PREFACE..PREFACE + 3) else { return false };
    opening.len() >= PREFACE + HEADER + u32::from_be_bytes([0, a, b, c]) as usize
}

impl<S: Transport> AsyncRead for FaultStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        if let Poll::Ready(Err(error)) = self.write_queued(context) {
            return Poll::Ready(Err(error));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        let this = &mut *self;
        if let Some(opening) = &mut this.opening {
            opening.extend_from_slice(buffer.filled().get(before..).unwrap_or_default());
            // A first frame longer than this is no SETTINGS of any client; the reset has waited long enough.
            if has_settings(opening) || opening.len() > WRITE_MAX {
                this.over = Some(io::ErrorKind::ConnectionReset);
                this.inner.reset_when_dropped();
                buffer.set_filled(before);
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Transport> AsyncWrite for FaultStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.check(context)?;
        if this.editor.is_none() {
            ready!(this.wait(context));
            return Pin::new(&mut this.inner).poll_write(context, bytes);
        }
        ready!(this.write_queued(context))?;
        ready!(this.wait(context));
        let taken = bytes.get(..WRITE_MAX).unwrap_or(bytes);
        if let Some(editor) = &mut this.editor {
            editor.push(taken, &mut this.queued);
        }
        // What can't be written now is written by the next call of any kind: the task is woken for it.
        if let Poll::Ready(Err(error)) = this.write_queued(context) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        ready!(self.write_queued(context))?;
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        ready!(self.write_queued(context))?;
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::time::Instant;

    use super::*;

    const SETTINGS: &[u8] = &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100];

    #[tokio::test]
    async fn the_reset_comes_with_the_last_byte_of_the_settings() {
        let (mut client, server) = tokio::io::duplex(1024);
        let mut server = FaultStream::new(server, &[Fault::ResetAfterSettings]);
        client.write_all(&[b'P'; PREFACE]).await.unwrap();
        client.write_all(&SETTINGS[..14]).await.unwrap();
        let mut buffer = [0; 64];
        assert_eq!(server.read(&mut buffer).await.unwrap(), PREFACE + 14);
        client.write_all(&SETTINGS[14..]).await.unwrap();
        let error = server.read(&mut buffer).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(server.write_all(b"last word").await.is_err(), "an orderly end would be no reset");
        assert!(server.shutdown().await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_phone_waits_before_every_write() {
        let (mut client, server) = tokio::io::duplex(1024);
        let mut server = FaultStream::new(server, &[Fault::Slow(Duration::from_millis(250))]);
        let start = Instant::now();
        server.write_all(b"one").await.unwrap();
        server.write_all(b"two").await.unwrap();
        assert!(start.elapsed() >= Duration::from_millis(500), "{:?}", start.elapsed());
        let mut buffer = [0; 6];
        client.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"onetwo");
    }

    #[tokio::test]
    async fn edited_bytes_survive_a_pipe_that_takes_few_at_a_time() {
        let (mut client, server) = tokio::io::duplex(5);
        let mut server = FaultStream::new(server, &[Fault::GarbageHandshake]);
        let mut input = vec![0, 0, 100, 0, 0, 0, 0, 0, 1];
        input.extend_from_slice(&[7; 100]);
        let writer = tokio::spawn(async move {
            server.write_all(&input).await.unwrap();
            server.shutdown().await.unwrap();
        });
        let mut output = Vec::new();
        client.read_to_end(&mut output).await.unwrap();
        writer.await.unwrap();
        assert_eq!(output[..9], [0, 0, 100, 0, 0, 0, 0, 0, 1]);
        assert_eq!(output[9..], [b'?'; 100]);
    }

    #[tokio::test]
    async fn the_end_of_the_lease_ends_a_write_that_waits() {
        let (_client, server) = tokio::io::duplex(8);
        let (owner, until) = oneshot::channel();
        let (held, gone) = oneshot::channel::<()>();
        let mut server = FaultStream::new(server, &[]).on_lease(Lease { held: Box::new(held), until });
        let writer = tokio::spawn(async move { (server.write_all(&[0; 64]).await, server) });
        tokio::task::yield_now().await;
        assert!(!writer.is_finished());
        drop(owner);
        let (error, mut server) = writer.await.unwrap();
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert!(server.shutdown().await.is_err(), "asked again it says the same");
        assert!(gone.await.is_err(), "what was held is dropped with the connection");
    }

    #[tokio::test]
    async fn a_reader_writes_what_a_full_pipe_left_behind() {
        let (mut client, server) = tokio::io::duplex(16);
        let mut server = FaultStream::new(server, &[Fault::GarbageHandshake]);
        let frame = [&[0, 0, 100, 0, 0, 0, 0, 0, 1][..], &[7; 100]].concat();
        server.write_all(&frame).await.unwrap();
        let reader = tokio::spawn(async move { server.read(&mut [0]).await });
        let mut output = [0; 109];
        client.read_exact(&mut output).await.unwrap();
        assert_eq!(output[9..], [b'?'; 100]);
        drop(client);
        assert_eq!(reader.await.unwrap().unwrap(), 0);
    }

    #[tokio::test]
    async fn a_silent_phone_reads_until_the_peer_closes() {
        let (mut client, server) = tokio::io::duplex(64);
        let silent = tokio::spawn(FaultStream::new(server, &[Fault::Silent]).stay_silent());
        client.write_all(&[0; 5000]).await.unwrap();
        drop(client);
        silent.await.unwrap();
    }
}
