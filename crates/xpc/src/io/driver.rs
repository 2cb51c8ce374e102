//! The task between a session and its byte stream.

use std::{
    collections::{HashMap, VecDeque},
    future::pending,
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
};

use super::{
    Answer, Error, Event, FileReceiver, FileSender,
    file::{Consumed, Piece},
};
use crate::{
    message::Body,
    object::Object,
    session::{self, Role, Session, SessionConfig},
};

/// Bytes read at once.
const READ: usize = 16 << 10;
/// Bytes that may wait for the peer before calls wait too.
const QUEUE_MARK: usize = 1 << 20;
/// How often to look whether anybody still holds a handle, while the peer does not read.
const HANDLE_CHECK: Duration = Duration::from_secs(1);
/// How long a last word may take to be written.
const LAST_WORD: Duration = Duration::from_secs(1);

/// A call from a handle.
#[derive(Debug)]
pub(super) enum Command {
    Send { object: Object, done: Answer<u64> },
    Request { object: Object, done: Answer<Body> },
    Reply { id: u64, object: Object, done: Answer<()> },
    SendFile { transfer: u64, done: Answer<u32> },
    ReceiveFile { index: u32, size: u64, done: Answer<FileReceiver> },
    FileData { stream: u32, bytes: Bytes },
    FileEnd { stream: u32 },
    Close,
}

pub(super) struct Driver {
    session: Session,
    started: Instant,
    commands: mpsc::Receiver<Command>,
    /// Handles for the senders of files that the peer asks for.
    for_files: mpsc::WeakSender<Command>,
    events: mpsc::Sender<Result<Event, Error>>,
    /// Events that found the channel full.
    backlog: VecDeque<Event>,
    requests: HashMap<u64, Answer<Body>>,
    files: HashMap<u32, mpsc::UnboundedSender<Piece>>,
    consumed: (mpsc::UnboundedSender<Consumed>, mpsc::UnboundedReceiver<Consumed>),
    output: Bytes,
    handles_gone: bool,
    finished: bool,
}

impl Driver {
    pub(super) fn new(
        role: Role,
        config: SessionConfig,
        (for_files, commands): (mpsc::WeakSender<Command>, mpsc::Receiver<Command>),
        events: mpsc::Sender<Result<Event, Error>>,
    ) -> Self {
        Self {
            session: Session::new(role, config, Duration::ZERO),
            started: Instant::now(),
            commands,
            for_files,
            events,
            backlog: VecDeque::new(),
            requests: HashMap::new(),
            files: HashMap::new(),
            consumed: mpsc::unbounded_channel(),
            output: Bytes::new(),
            handles_gone: false,
            finished: false,
        }
    }

    pub(super) async fn run<S: AsyncRead + AsyncWrite>(mut self, stream: S) {
        let result = {
            let (mut reader, mut writer) = tokio::io::split(stream);
            let result = self.converse(&mut reader, &mut writer).await;
            // A peer that does not read the last word is not waited for.
            let _ = tokio::time::timeout(LAST_WORD, self.flush(&mut writer)).await;
            result
        };
        self.route();
        self.commands.close();
        for (_, done) in self.requests.drain() {
            let _ = done.send(Err(result.clone().err().unwrap_or(Error::Closed)));
        }
        for event in std::mem::take(&mut self.backlog) {
            let _ = self.events.send(Ok(event)).await;
        }
        if let Err(error) = result {
            tracing::debug!(%error, "RemoteXPC connection failed");
            let _ = self.events.send(Err(error)).await;
        }
    }

    async fn converse<R, W>(&mut self, reader: &mut R, writer: &mut W) -> Result<(), Error>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut buffer = vec![0; READ];
        loop {
            self.route();
            if self.finished && self.backlog.is_empty() {
                return Ok(());
            }
            if self.output.is_empty() {
                self.output = self.session.take_output();
            }
            let roomy = self.session.queued().saturating_add(self.output.len()) < QUEUE_MARK;
            // Reading never waits for what is queued: the windows that it waits for are read here.
            let listening = self.backlog.is_empty() && !self.finished;
            let deadline = self.session.deadline();
            tokio::select! {
                written = writer.write(&self.output), if !self.output.is_empty() => {
                    let written = written?;
                    if written == 0 {
                        return Err(std::io::Error::from(std::io::ErrorKind::WriteZero).into());
                    }
                    self.output.advance(written);
                }
                read = reader.read(&mut buffer), if listening => {
                    let count = read?;
                    self.on_read(buffer.get(..count).unwrap_or_default())?;
                }
                command = self.commands.recv(), if roomy && !self.handles_gone => match command {
                    Some(command) => self.on_command(command),
                    None => self.handles_gone = true,
                },
                Some((stream, bytes)) = self.consumed.1.recv() => self.session.file_consumed(stream, bytes),
                () = room(&self.events), if !self.backlog.is_empty() => self.deliver_backlog(),
                () = self.events.closed(), if self.handles_gone => {
                    self.session.close();
                    self.finished = true;
                }
                // While calls wait, nothing else tells that the handles are gone.
                () = tokio::time::sleep(HANDLE_CHECK), if !roomy => {
                    self.handles_gone = self.commands.is_closed();
                }
                () = sleep_until(self.started, deadline) => self.session.tick(self.started.elapsed())?,
            }
        }
    }

    fn on_read(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if bytes.is_empty() {
            self.session.receive_eof()?;
            self.finished = true;
            return Ok(());
        }
        Ok(self.session.receive(self.started.elapsed(), bytes)?)
    }

    async fn flush<W: AsyncWrite + Unpin>(&mut self, writer: &mut W) -> std::io::Result<()> {
        loop {
            writer.write_all(&self.output).await?;
            self.output = self.session.take_output();
            if self.output.is_empty() {
                return writer.shutdown().await;
            }
        }
    }

    /// Hands the session's events to whom they concern.
    fn route(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                session::Event::Opened => self.tell(Event::Opened),
                session::Event::Message { id, wants_reply, body } => {
                    self.tell(Event::Message { id, wants_reply, body });
                }
                session::Event::Reply { id, body } => {
                    if let Some(done) = self.requests.remove(&id) {
                        let _ = done.send(Ok(body));
                    }
                }
                session::Event::FileBegin { stream, transfer } => {
                    // A file that a client asked for has its reader already.
                    if !self.files.contains_key(&stream) {
                        let file = self.file_receiver(stream);
                        self.tell(Event::FileIncoming { transfer, file });
                    }
                }
                session::Event::FileData { stream, bytes } => self.piece(stream, Piece::Bytes(bytes)),
                session::Event::FileEnd { stream } => self.last_piece(stream, Piece::End),
                session::Event::FileAborted { stream, code } => {
                    self.last_piece(stream, Piece::Aborted { code });
                }
                session::Event::FileWanted { stream, index } => {
                    if let Some(commands) = self.for_files.upgrade() {
                        self.tell(Event::FileWanted { index, file: FileSender::new(stream, commands) });
                    }
                }
                session::Event::Closed => self.finished = true,
            }
        }
    }

    fn tell(&mut self, event: Event) {
        self.backlog.push_back(event);
        self.deliver_backlog();
    }

    fn deliver_backlog(&mut self) {
        while let Some(event) = self.backlog.pop_front() {
            // Without a reader, events are discarded.
            if let Err(mpsc::error::TrySendError::Full(Ok(event))) = self.events.try_send(Ok(event)) {
                self.backlog.push_front(event);
                return;
            }
        }
    }

    fn file_receiver(&mut self, stream: u32) -> FileReceiver {
        let (pieces, inbox) = mpsc::unbounded_channel();
        self.files.insert(stream, pieces);
        FileReceiver::new(stream, inbox, self.consumed.0.clone())
    }

    fn piece(&mut self, stream: u32, piece: Piece) {
        let length = if let Piece::Bytes(bytes) = &piece { bytes.len() } else { 0 };
        let kept = self.files.get(&stream).is_some_and(|pieces| pieces.send(piece).is_ok());
        if !kept {
            // Nobody reads this file: let it pass.
            self.session.file_consumed(stream, length);
        }
    }

    fn last_piece(&mut self, stream: u32, piece: Piece) {
        if let Some(pieces) = self.files.remove(&stream) {
            let _ = pieces.send(piece);
        }
    }

    /// Carries a call out; a caller that is gone does not care for the answer.
    fn on_command(&mut self, command: Command) {
        match command {
            Command::Send { object, done } => {
                let _ = done.send(self.session.send(&object, false).map_err(Error::from));
            }
            Command::Request { object, done } => match self.session.send(&object, true) {
                Ok(id) => {
                    self.requests.retain(|_, waiting| !waiting.is_closed());
                    self.requests.insert(id, done);
                }
                Err(error) => {
                    let _ = done.send(Err(error.into()));
                }
            },
            Command::Reply { id, object, done } => {
                let _ = done.send(self.session.reply(id, &object).map_err(Error::from));
            }
            Command::SendFile { transfer, done } => {
                let _ = done.send(self.session.send_file(transfer).map_err(Error::from));
            }
            Command::ReceiveFile { index, size, done } => {
                let result = self.session.receive_file(index, size).map_err(Error::from);
                let _ = done.send(result.map(|stream| self.file_receiver(stream)));
            }
            Command::FileData { stream, bytes } => {
                self.file_result(stream, |session| session.file_data(stream, bytes));
            }
            Command::FileEnd { stream } => self.file_result(stream, |session| session.file_end(stream)),
            Command::Close => {
                self.session.close();
                self.finished = true;
            }
        }
    }

    fn file_result(
        &mut self,
        stream: u32,
        call: impl FnOnce(&mut Session) -> Result<(), session::SessionError>,
    ) {
        if let Err(error) = call(&mut self.session) {
            tracing::debug!(%error, stream, "a file is not sent further");
        }
    }
}

async fn room<T>(sender: &mpsc::Sender<T>) {
    // Also returns when the reader is gone: the backlog is discarded then.
    let _ = sender.reserve().await;
}

async fn sleep_until(started: Instant, deadline: Option<Duration>) {
    match deadline.and_then(|deadline| started.checked_add(deadline)) {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => pending().await,
    }
}
