//! The RSD conversation over tokio, as a host begins it.

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Handshake, Message, RsdError};
use crate::{
    io::{Connection, Error, Events},
    session::SessionConfig,
};

/// A device that has introduced itself.
#[derive(Debug)]
pub struct Remote {
    /// What it said.
    pub handshake: Handshake,
    /// The connection, open still.
    pub connection: Connection,
    /// What it says further.
    pub events: Events,
}

/// Why no Handshake came of it.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The connection failed before.
    #[error("no Handshake from the device: {0}")]
    Connection(#[from] Error),
    /// A Handshake came that can't be read.
    #[error("the device's Handshake can't be read: {0}")]
    Unreadable(#[from] RsdError),
    /// The opening went well, and then nothing came.
    #[error("the device answered the opening and sent no Handshake within {after:?}")]
    Silent {
        /// The time allowed.
        after: std::time::Duration,
    },
}

/// Opens a session on `stream`, says `ours` and reads the device's Handshake.
///
/// Takes at most twice [`handshake_deadline`](crate::Limits::handshake_deadline). A device answers also a host that says nothing
/// (protocol.md §4.1); a current iOS wants it said.
///
/// # Errors
/// What [`HandshakeError`] lists.
pub async fn handshake<S>(
    stream: S,
    ours: Option<&Handshake>,
    config: SessionConfig,
) -> Result<Remote, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let after = config.limits.handshake_deadline.saturating_mul(2);
    let (connection, mut events) = Connection::client(stream, config);
    let exchange = exchange(&connection, &mut events, ours);
    let handshake =
        tokio::time::timeout(after, exchange).await.map_err(|_| HandshakeError::Silent { after })??;
    Ok(Remote { handshake, connection, events })
}

async fn exchange(
    connection: &Connection,
    events: &mut Events,
    ours: Option<&Handshake>,
) -> Result<Handshake, HandshakeError> {
    if let Some(ours) = ours {
        connection.send(ours.to_object()).await?;
    }
    loop {
        match Message::from_view(events.next_message().await?.view())? {
            Message::Handshake(handshake) => return Ok(handshake),
            // Nothing that may come before it needs an answer.
            other => tracing::debug!(?other, "before the Handshake"),
        }
    }
}
