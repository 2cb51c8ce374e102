//! Control messages on a connection: RemoteXPC, or packets of JSON on a plain stream.

use std::future::Future;
use std::time::Duration;

use iosmux_xpc::io::{Connection, Error, Event, Events};
use iosmux_xpc::session::SessionConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::envelope::Envelope;
use crate::envelope::remotexpc::{self, Incoming};
use crate::envelope::rppairing::{self, FrameError};
use crate::message::MessageError;

/// How long a device's first message, the version of its service, is waited for: the longest that known clients wait for
/// a first frame. Source: protocol.md §4.1.
const GREETING: Duration = Duration::from_secs(3);

/// How long a peer may take to take a message.
const SEND: Duration = Duration::from_secs(10);

/// How long a goodbye may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// Bytes that are read from a plain stream at once.
const READ: usize = 4096;

/// Why a connection carries no more messages.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The RemoteXPC connection failed.
    #[error("the control channel: {0}")]
    Xpc(#[from] Error),
    /// The plain stream failed.
    #[error("the control channel: {0}")]
    Io(#[from] std::io::Error),
    /// What came is no packet.
    #[error("the control channel: {0}")]
    Frame(#[from] FrameError),
    /// What came is no control message.
    #[error("the control channel: {0}")]
    Message(#[from] MessageError),
    /// The peer takes nothing.
    #[error("the control channel: the other side takes no message for {} s", SEND.as_secs())]
    Stalled,
}

/// A connection that carries control messages.
pub trait Wire: Send {
    /// Sends a message; at most ten seconds.
    fn send(&mut self, envelope: &Envelope) -> impl Future<Output = Result<(), WireError>> + Send;

    /// The next message, `None` when the peer closed. Cancelling loses nothing.
    fn next(&mut self) -> impl Future<Output = Result<Option<Envelope>, WireError>> + Send;

    /// Says goodbye; what was sent goes out first, within two seconds.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// The service [`remotexpc::SERVICE`].
#[derive(Debug)]
pub struct RemoteXpc {
    connection: Connection,
    events: Events,
}

impl RemoteXpc {
    /// A connection whose opening is done; a device has greeted already or still does.
    pub fn new(connection: Connection, events: Events) -> Self {
        Self { connection, events }
    }

    /// Host: opens the service on a stream, and waits a little for the device's greeting.
    ///
    /// # Errors
    /// [`WireError::Xpc`].
    pub async fn connect<S>(stream: S, config: SessionConfig) -> Result<Self, WireError>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (connection, events) = Connection::client(stream, config);
        let mut wire = Self { connection, events };
        match timeout(GREETING, wire.greeting()).await {
            Ok(version) => tracing::debug!(version = version?, "host: the device greets"),
            Err(_) => tracing::debug!("host: no greeting; going on without"),
        }
        Ok(wire)
    }

    /// Device: greets with the version of the service, as the first message.
    ///
    /// # Errors
    /// [`WireError::Xpc`].
    pub async fn greet(&mut self, version: u64) -> Result<(), WireError> {
        self.connection.send(remotexpc::service_version(version)).await?;
        Ok(())
    }

    async fn greeting(&mut self) -> Result<u64, WireError> {
        loop {
            let body = self.events.next_message().await?.object();
            if let Incoming::ServiceVersion(version) = remotexpc::decode(&body)? {
                return Ok(version);
            }
        }
    }
}

impl Wire for RemoteXpc {
    async fn send(&mut self, envelope: &Envelope) -> Result<(), WireError> {
        let sent = timeout(SEND, self.connection.send(remotexpc::encode(envelope))).await;
        sent.map_err(|_| WireError::Stalled)??;
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Envelope>, WireError> {
        loop {
            let Some(event) = self.events.next().await else { return Ok(None) };
            match event? {
                Event::Message { body, .. } => match remotexpc::decode(&body.object())? {
                    Incoming::Envelope(envelope) => return Ok(Some(envelope)),
                    // Some devices say it at unexpected times. Source: protocol.md §4.2.
                    Incoming::ServiceVersion(version) => tracing::debug!(version, "a late greeting"),
                },
                Event::Opened => {}
                Event::FileIncoming { .. } | Event::FileWanted { .. } => {
                    tracing::debug!("a file on a control channel is passed over");
                }
            }
        }
    }

    async fn close(mut self) {
        self.connection.close().await;
        // Its end says that everything was written.
        let drained = async { while self.events.next().await.is_some() {} };
        drop(timeout(FAREWELL, drained).await);
    }
}

/// Packets `RPPairing` on a plain stream.
#[derive(Debug)]
pub struct RpPairing<S> {
    stream: S,
    decoder: rppairing::Decoder,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> RpPairing<S> {
    /// A control channel on a connected stream.
    pub fn new(stream: S) -> Self {
        Self { stream, decoder: rppairing::Decoder::new() }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Wire for RpPairing<S> {
    async fn send(&mut self, envelope: &Envelope) -> Result<(), WireError> {
        let packet = zeroize::Zeroizing::new(rppairing::encode(envelope)?);
        let sent = async {
            self.stream.write_all(&packet).await?;
            self.stream.flush().await
        };
        timeout(SEND, sent).await.map_err(|_| WireError::Stalled)??;
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Envelope>, WireError> {
        loop {
            if let Some(envelope) = self.decoder.next_envelope()? {
                return Ok(Some(envelope));
            }
            let mut buffer = zeroize::Zeroizing::new([0; READ]);
            let count = self.stream.read(buffer.as_mut_slice()).await?;
            match buffer.get(..count) {
                Some(bytes) if count > 0 => self.decoder.push(bytes),
                _ => return Ok(None),
            }
        }
    }

    async fn close(mut self) {
        // The other side may be gone already.
        drop(timeout(FAREWELL, self.stream.shutdown()).await);
    }
}
