//! The task that runs a [`browser::Browser`].

use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use tokio::{
    net::UdpSocket,
    sync::{Notify, mpsc, watch},
    time::{sleep, sleep_until},
};

use super::{Clock, RECEIVE_PAUSE, Result, Sent, Task, seed, send, socket};
use crate::{
    browser::{self, Action, BrowseEvent, BrowseMode, Counters, Input, Path},
    limits::Limits,
};

/// Events that wait for the user; above this nothing more is read from the link until the user reads.
const EVENTS: usize = 64;

/// What to browse for and where.
#[derive(Debug, Clone)]
pub struct BrowseConfig {
    /// Index of the interface.
    pub interface_index: u32,
    /// Type, e.g. `_remoted._tcp`.
    pub service_type: String,
    /// Which sockets.
    pub mode: BrowseMode,
    /// Bounds.
    pub limits: Limits,
}

impl BrowseConfig {
    /// Both sockets and the default bounds.
    pub fn new(interface_index: u32, service_type: impl Into<String>) -> Self {
        Self {
            interface_index,
            service_type: service_type.into(),
            mode: BrowseMode::default(),
            limits: Limits::default(),
        }
    }
}

/// A running browser; dropping it stops it.
#[derive(Debug)]
pub struct Browser {
    events: mpsc::Receiver<BrowseEvent>,
    restart: Arc<Notify>,
    counters: watch::Receiver<Counters>,
    _task: Task,
}

impl Browser {
    /// Opens the sockets and starts to ask. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// A socket that can't be made ready, a text that isn't a service type, no runtime.
    pub fn start(config: BrowseConfig) -> Result<Self> {
        let BrowseConfig { interface_index, service_type, mode, limits } = config;
        let machine = browser::Browser::new(&service_type, interface_index, mode, limits, seed())?;
        let open = |path: &Path| Ok((*path, socket::open(*path, interface_index)?));
        let sockets = mode.paths().iter().map(open).collect::<Result<Vec<_>>>()?;
        let (events_in, events) = mpsc::channel(EVENTS);
        let (counters_in, counters) = watch::channel(Counters::default());
        let restart = Arc::new(Notify::new());
        let driver = Driver {
            machine,
            sockets,
            interface_index,
            clock: Clock::start(),
            events: events_in,
            pending: VecDeque::new(),
            restart: Arc::clone(&restart),
            counters: counters_in,
        };
        let task = Task(tokio::spawn(driver.run(limits.message_bytes)));
        Ok(Self { events, restart, counters, _task: task })
    }

    /// The next event; `None` once a question can't be sent because the interface doesn't exist any more. Cancel-safe.
    pub async fn next(&mut self) -> Option<BrowseEvent> {
        self.events.recv().await
    }

    /// Asks again from the start, e.g. because the link went down and up. What is known stays until it expires.
    pub fn restart(&self) {
        self.restart.notify_one();
    }

    /// What was dropped so far.
    pub fn counters(&self) -> Counters {
        *self.counters.borrow()
    }
}

struct Driver {
    machine: browser::Browser,
    sockets: Vec<(Path, UdpSocket)>,
    interface_index: u32,
    clock: Clock,
    events: mpsc::Sender<BrowseEvent>,
    pending: VecDeque<BrowseEvent>,
    restart: Arc<Notify>,
    counters: watch::Sender<Counters>,
}

impl Driver {
    async fn run(mut self, message_bytes: usize) {
        // One byte more than the limit shows that a datagram is longer.
        let room = message_bytes.saturating_add(1);
        let (mut first, mut second) = (vec![0; room], vec![0; room]);
        let mut actions = self.machine.on(self.clock.now(), Input::Timer);
        while self.act(actions).await {
            actions = tokio::select! {
                permit = self.events.reserve(), if !self.pending.is_empty() => {
                    let Ok(permit) = permit else { return };
                    if let Some(event) = self.pending.pop_front() {
                        permit.send(event);
                    }
                    Vec::new()
                }
                received = receive(self.sockets.first(), &mut first), if self.pending.len() < EVENTS => {
                    take(&mut self.machine, self.clock, received, &first)
                }
                received = receive(self.sockets.get(1), &mut second), if self.pending.len() < EVENTS => {
                    take(&mut self.machine, self.clock, received, &second)
                }
                () = sleep_until(self.clock.at(self.machine.deadline())), if self.pending.len() < EVENTS => {
                    self.machine.on(self.clock.now(), Input::Timer)
                }
                () = self.restart.notified() => self.machine.on(self.clock.now(), Input::Restart),
                () = self.events.closed() => return,
            };
            let counters = self.machine.counters();
            self.counters.send_if_modified(|old| std::mem::replace(old, counters) != counters);
        }
        tracing::info!(interface = self.interface_index, "the interface is gone: browsing ends");
    }

    /// Carries the actions out; false when the interface is gone.
    async fn act(&mut self, actions: Vec<Action>) -> bool {
        let (mut sent, mut tried) = (false, false);
        for action in actions {
            match action {
                Action::Event(event) => self.pending.push_back(event),
                Action::Send { path, bytes } => {
                    tried = true;
                    let Some((_, socket)) = self.sockets.iter().find(|(own, _)| *own == path) else {
                        continue;
                    };
                    let index = self.interface_index;
                    match send(socket, &bytes, socket::group(index), index).await {
                        Sent::Yes => sent = true,
                        Sent::No => {}
                        Sent::InterfaceGone => return false,
                    }
                }
            }
        }
        if tried && !sent {
            // The answer to this input can only be events: the next query is 200 ms away.
            for action in self.machine.on(self.clock.now(), Input::SendFailed) {
                if let Action::Event(event) = action {
                    self.pending.push_back(event);
                }
            }
        }
        true
    }
}

type Received = (Path, std::io::Result<(usize, SocketAddr)>);

/// Waits on a socket; for ever when this mode has none.
async fn receive(socket: Option<&(Path, UdpSocket)>, buffer: &mut [u8]) -> Received {
    let Some((path, socket)) = socket else { return std::future::pending().await };
    let result = socket.recv_from(buffer).await;
    if result.is_err() {
        sleep(RECEIVE_PAUSE).await;
    }
    (*path, result)
}

fn take(
    machine: &mut browser::Browser,
    clock: Clock,
    (path, result): Received,
    buffer: &[u8],
) -> Vec<Action> {
    match result {
        Ok((length, SocketAddr::V6(from))) => {
            let bytes = buffer.get(..length).unwrap_or_default();
            machine.on(clock.now(), Input::Datagram { path, from, bytes })
        }
        Ok((_, SocketAddr::V4(_))) => Vec::new(),
        Err(error) => {
            tracing::debug!(%error, "an mDNS socket could not be read");
            machine.on(clock.now(), Input::Timer)
        }
    }
}
