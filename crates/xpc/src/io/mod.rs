//! The tokio driver: a [`Session`](crate::session::Session) on a byte stream, as a task.
//!
//! [`Connection`] is the handle that sends, [`Events`] what the peer says. The task ends when the peer does, on the first error, or
//! when both handles are gone.

mod driver;
mod file;

use std::sync::Arc;

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{mpsc, oneshot},
};

use self::driver::{Command, Driver};
pub use self::file::{FileReceiver, FileSender};
use crate::{
    message::Body,
    object::Object,
    session::{Role, SessionConfig, SessionError},
};

/// Events that wait for their reader before the peer is made to wait.
const EVENTS: usize = 64;
/// Calls that wait for the driver.
const COMMANDS: usize = 64;

/// Why a connection failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The session refused something.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The byte stream failed.
    #[error("the connection failed: {0}")]
    Io(Arc<std::io::Error>),
    /// The connection ended before the answer came.
    #[error("the connection is closed")]
    Closed,
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

/// What the peer does.
#[derive(Debug)]
pub enum Event {
    /// The opening is complete: a server may send now.
    Opened,
    /// A message that answers nothing of ours.
    Message {
        /// Its id, for [`Connection::reply`].
        id: u64,
        /// Whether the peer waits for a reply.
        wants_reply: bool,
        /// The object, checked whole.
        body: Body,
    },
    /// The peer sends a file.
    FileIncoming {
        /// The transfer id that the announcing message carries.
        transfer: u64,
        /// Its bytes.
        file: FileReceiver,
    },
    /// The peer asks for a file that a message of ours announced.
    FileWanted {
        /// Its position among the files of that message, from 0.
        index: u32,
        /// Where to write it.
        file: FileSender,
    },
}

/// A RemoteXPC connection; clones speak on the same one.
#[derive(Debug, Clone)]
pub struct Connection {
    commands: mpsc::Sender<Command>,
}

/// What the peer does, in order. While nobody reads, the peer is made to wait; dropped, events are discarded.
#[derive(Debug)]
pub struct Events {
    events: mpsc::Receiver<Result<Event, Error>>,
}

impl Connection {
    /// Opens a session as client on `stream`. Must be called within a tokio runtime.
    pub fn client<S>(stream: S, config: SessionConfig) -> (Self, Events)
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        Self::start(stream, Role::Client, config)
    }

    /// Awaits a client's opening on `stream`. Must be called within a tokio runtime.
    pub fn server<S>(stream: S, config: SessionConfig) -> (Self, Events)
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        Self::start(stream, Role::Server, config)
    }

    fn start<S>(stream: S, role: Role, config: SessionConfig) -> (Self, Events)
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let (outbox, events) = mpsc::channel(EVENTS);
        tokio::spawn(Driver::new(role, config, (commands.downgrade(), inbox), outbox).run(stream));
        (Self { commands }, Events { events })
    }

    /// Sends an object that wants no reply; answers the message id when it is queued.
    pub async fn send(&self, object: Object) -> Result<u64, Error> {
        self.call(|done| Command::Send { object, done }).await
    }

    /// Sends an object and awaits its reply, as long as it takes: bound it with `tokio::time::timeout`.
    pub async fn request(&self, object: Object) -> Result<Body, Error> {
        self.call(|done| Command::Request { object, done }).await
    }

    /// Replies to a message that wants it.
    pub async fn reply(&self, id: u64, object: Object) -> Result<(), Error> {
        self.call(|done| Command::Reply { id, object, done }).await
    }

    /// As a client, begins to send the file that a message of ours announced with `transfer`.
    pub async fn send_file(&self, transfer: u64) -> Result<FileSender, Error> {
        let stream = self.call(|done| Command::SendFile { transfer, done }).await?;
        Ok(FileSender::new(stream, self.commands.clone()))
    }

    /// As a client, asks for the file at `index` of a message, `size` bytes long.
    pub async fn receive_file(&self, index: u32, size: u64) -> Result<FileReceiver, Error> {
        self.call(|done| Command::ReceiveFile { index, size, done }).await
    }

    /// Says goodbye; what was queued is written first.
    pub async fn close(&self) {
        // A connection that is closed already needs nothing.
        let _ = self.commands.send(Command::Close).await;
    }

    async fn call<T>(&self, command: impl FnOnce(Answer<T>) -> Command) -> Result<T, Error> {
        let (done, answer) = oneshot::channel();
        self.commands.send(command(done)).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }
}

/// Where a call's result goes.
type Answer<T> = oneshot::Sender<Result<T, Error>>;

impl Events {
    /// The next event; an error is the last one, `None` is the end.
    pub async fn next(&mut self) -> Option<Result<Event, Error>> {
        self.events.recv().await
    }

    /// The next message, past everything else; the end of the connection is an error here.
    pub async fn next_message(&mut self) -> Result<Body, Error> {
        loop {
            match self.next().await {
                Some(Ok(Event::Message { body, .. })) => return Ok(body),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Err(Error::Closed),
            }
        }
    }
}
