//! The handle that programs hold.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::SystemTime;

use crate::flow::{self, IpPacket, Opener};
use crate::pcapng::Direction;
use crate::queue::{self, Record, Sender};
use crate::recorded::Recorded;
use crate::writer::{Summary, Writer};

/// Why there is no recording, or only a part of one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file couldn't be created.
    #[error("the capture file {path} can't be created: {source}")]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file couldn't be written to the end; what it holds opens.
    #[error("the capture file {path} is not complete: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// [`Recorder::finish`] was called before.
    #[error("the capture file {path} is finished already")]
    Finished {
        /// The file.
        path: PathBuf,
    },
}

/// Records connections and datagrams into one file. A clone records into the same file.
///
/// Recording never waits for the disk: when the queue is full, packets are dropped, counted, and the count is written beside
/// the next packet.
#[derive(Debug, Clone)]
pub struct Recorder {
    queue: Sender,
    path: Arc<Path>,
    writer: Arc<Mutex<Option<JoinHandle<io::Result<Summary>>>>>,
}

impl Recorder {
    /// Creates the file, or empties it, and starts the thread that writes it.
    ///
    /// The thread starts in the namespaces of the caller.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path: Arc<Path> = Arc::from(path.as_ref());
        let (queue, receiver) = queue::queue();
        let start = || {
            let writer = Writer::start(File::create(&path)?)?;
            thread::Builder::new().name("iosmux-capture".to_owned()).spawn(move || writer.run(&receiver))
        };
        let writer = start().map_err(|source| Error::Create { path: path.to_path_buf(), source })?;
        Ok(Self { queue, path, writer: Arc::new(Mutex::new(Some(writer))) })
    }

    /// Records a connection that this side opened. Use the result in place of `stream`.
    pub fn connection<S>(&self, local: SocketAddr, peer: SocketAddr, stream: S) -> Recorded<S> {
        Recorded::new(self.clone(), local, peer, Opener::Local, stream)
    }

    /// Records a connection that the peer opened. Use the result in place of `stream`.
    pub fn accepted<S>(&self, local: SocketAddr, peer: SocketAddr, stream: S) -> Recorded<S> {
        Recorded::new(self.clone(), local, peer, Opener::Peer, stream)
    }

    /// Records a UDP datagram. `local` is this side's address; its scope id chooses the interface in the file.
    pub fn datagram(&self, direction: Direction, local: SocketAddr, peer: SocketAddr, payload: &[u8]) {
        let (source, destination) = match direction {
            Direction::Outbound => (local, peer),
            Direction::Inbound => (peer, local),
        };
        match flow::datagram(source, destination, payload) {
            Some(bytes) => self.record(scope(local), vec![IpPacket { direction, bytes }]),
            None => tracing::warn!(length = payload.len(), "too long for a datagram: not recorded"),
        }
    }

    /// Writes what is queued and closes the file. What is recorded later, through any clone, is ignored.
    ///
    /// Waits for the disk. Fails when the file isn't complete, or was finished before.
    pub fn finish(&self) -> Result<Summary, Error> {
        let path = || self.path.to_path_buf();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let writer = writer.ok_or_else(|| Error::Finished { path: path() })?;
        self.queue.end();
        let ended = writer.join().unwrap_or_else(|_| Err(io::Error::other("the writer panicked")));
        ended.map_err(|source| Error::Write { path: path(), source })
    }

    /// Queues packets, all seen now.
    pub(crate) fn record(&self, scope: u32, packets: Vec<IpPacket>) {
        if packets.is_empty() {
            return;
        }
        let time = SystemTime::now();
        for IpPacket { direction, bytes } in packets {
            self.queue.put(Record { scope, time, direction, bytes, dropped: 0 });
        }
    }
}

/// The link that an address belongs to: 0 unless it is link-local.
pub(crate) fn scope(local: SocketAddr) -> u32 {
    match local {
        SocketAddr::V6(local) => local.scope_id(),
        SocketAddr::V4(_) => 0,
    }
}
