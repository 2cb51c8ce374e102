//! Files that travel beside the messages.

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{Error, driver::Command};
use crate::session::SessionError;

/// Writes a file to the peer.
#[derive(Debug)]
pub struct FileSender {
    stream: u32,
    commands: mpsc::Sender<Command>,
}

impl FileSender {
    pub(super) fn new(stream: u32, commands: mpsc::Sender<Command>) -> Self {
        Self { stream, commands }
    }

    /// Queues bytes, waiting while the peer does not read.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.call(Command::FileData { stream: self.stream, bytes }).await
    }

    /// Ends the file.
    pub async fn finish(self) -> Result<(), Error> {
        self.call(Command::FileEnd { stream: self.stream }).await
    }

    async fn call(&self, command: Command) -> Result<(), Error> {
        self.commands.send(command).await.map_err(|_| Error::Closed)
    }
}

/// A stream, and how many of its bytes were read.
pub(super) type Consumed = (u32, usize);

/// What the driver hands to a [`FileReceiver`].
#[derive(Debug)]
pub(super) enum Piece {
    Bytes(Bytes),
    End,
    Aborted { code: u32 },
}

/// Reads a file from the peer; what is not read is held back by flow control.
#[derive(Debug)]
pub struct FileReceiver {
    stream: u32,
    pieces: mpsc::UnboundedReceiver<Piece>,
    consumed: mpsc::UnboundedSender<Consumed>,
    ended: bool,
}

impl FileReceiver {
    pub(super) fn new(
        stream: u32,
        pieces: mpsc::UnboundedReceiver<Piece>,
        consumed: mpsc::UnboundedSender<Consumed>,
    ) -> Self {
        Self { stream, pieces, consumed, ended: false }
    }

    /// The next bytes; `None` once the file is whole.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.ended {
            return Ok(None);
        }
        match self.pieces.recv().await {
            Some(Piece::Bytes(bytes)) => {
                // The driver may be gone while its last pieces are read.
                let _ = self.consumed.send((self.stream, bytes.len()));
                Ok(Some(bytes))
            }
            Some(Piece::End) => {
                self.ended = true;
                Ok(None)
            }
            Some(Piece::Aborted { code }) => Err(SessionError::Reset { stream: self.stream, code }.into()),
            None => Err(Error::Closed),
        }
    }
}
