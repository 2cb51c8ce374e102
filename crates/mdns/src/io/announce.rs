//! The task that runs a [`responder::Responder`].

use std::net::{Ipv6Addr, SocketAddr};

use tokio::{
    net::UdpSocket,
    sync::{oneshot, watch},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{Clock, RECEIVE_PAUSE, Result, SEND_DEADLINE, Sent, Task, seed, send, socket};
use crate::{
    browser::Path,
    limits::Limits,
    responder::{Action, Counters, Destination, Input, Responder},
    service::Service,
};

/// What to announce and where.
#[derive(Debug, Clone)]
pub struct AnnounceConfig {
    /// Index of the interface.
    pub interface_index: u32,
    /// The instance.
    pub service: Service,
    /// Bounds.
    pub limits: Limits,
}

impl AnnounceConfig {
    /// The default bounds.
    pub fn new(interface_index: u32, service: Service) -> Self {
        Self { interface_index, service, limits: Limits::default() }
    }
}

/// A running announcer. Dropping it stops it without a word; [`Announcer::shutdown`] says goodbye.
#[derive(Debug)]
pub struct Announcer {
    /// The latest addresses; the first value is the one that the service came with.
    addresses: watch::Sender<Vec<Ipv6Addr>>,
    stop: oneshot::Sender<oneshot::Sender<()>>,
    counters: watch::Receiver<Counters>,
    _task: Task,
}

impl Announcer {
    /// Opens the socket and announces, at once when the service has addresses. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// A socket that can't be made ready, a service that can't be announced, no runtime.
    pub fn start(config: AnnounceConfig) -> Result<Self> {
        let AnnounceConfig { interface_index, service, limits } = config;
        let machine = Responder::new(&service, interface_index, limits, seed())?;
        let socket = socket::open(Path::Shared, interface_index)?;
        let (addresses, addresses_out) = watch::channel(service.addresses);
        let (stop, stop_out) = oneshot::channel();
        let (counters_in, counters) = watch::channel(Counters::default());
        let clock = Clock::start();
        let driver = Driver { machine, socket, interface_index, clock, counters: counters_in };
        let task = Task(tokio::spawn(driver.run(limits.message_bytes, addresses_out, stop_out)));
        Ok(Self { addresses, stop, counters, _task: task })
    }

    /// Announces again with these addresses, because the link or its addresses changed. With none the announcer is
    /// silent until the next call.
    pub fn refresh(&self, addresses: Vec<Ipv6Addr>) {
        self.addresses.send_replace(addresses);
    }

    /// Says goodbye and stops; within two seconds, whatever the link does.
    pub async fn shutdown(self) {
        let (done, finished) = oneshot::channel();
        if self.stop.send(done).is_ok() {
            // Either the goodbye went out, or the task or the time is over: nothing is left to do in any case.
            let _ = timeout(SEND_DEADLINE.saturating_mul(2), finished).await;
        }
    }

    /// What was dropped so far.
    pub fn counters(&self) -> Counters {
        *self.counters.borrow()
    }
}

struct Driver {
    machine: Responder,
    socket: UdpSocket,
    interface_index: u32,
    clock: Clock,
    counters: watch::Sender<Counters>,
}

impl Driver {
    async fn run(
        mut self,
        message_bytes: usize,
        mut addresses: watch::Receiver<Vec<Ipv6Addr>>,
        mut stop: oneshot::Receiver<oneshot::Sender<()>>,
    ) {
        // One byte more than the limit shows that a datagram is longer.
        let mut buffer = vec![0; message_bytes.saturating_add(1)];
        let mut actions = self.machine.on(self.clock.now(), Input::Timer);
        while self.act(actions).await {
            let wake = self.machine.deadline();
            actions = tokio::select! {
                received = self.socket.recv_from(&mut buffer) => self.take(received, &buffer).await,
                () = sleep_until(wake.map_or_else(Instant::now, |at| self.clock.at(at))), if wake.is_some() => {
                    self.machine.on(self.clock.now(), Input::Timer)
                }
                Ok(()) = addresses.changed() => {
                    let latest = addresses.borrow_and_update().clone();
                    self.machine.on(self.clock.now(), Input::LinkChanged(latest))
                }
                done = &mut stop => {
                    // Dropped without shutdown: stop without a word.
                    let Ok(done) = done else { return };
                    let goodbye = self.machine.on(self.clock.now(), Input::Shutdown);
                    self.act(goodbye).await;
                    // The owner may have stopped waiting.
                    let _ = done.send(());
                    return;
                }
            };
            let counters = self.machine.counters();
            self.counters.send_if_modified(|old| std::mem::replace(old, counters) != counters);
        }
        tracing::info!(interface = self.interface_index, "the interface is gone: announcing ends");
    }

    async fn take(&mut self, result: std::io::Result<(usize, SocketAddr)>, buffer: &[u8]) -> Vec<Action> {
        match result {
            Ok((length, SocketAddr::V6(from))) => {
                let bytes = buffer.get(..length).unwrap_or_default();
                self.machine.on(self.clock.now(), Input::Datagram { from, bytes })
            }
            Ok((_, SocketAddr::V4(_))) => Vec::new(),
            Err(error) => {
                tracing::debug!(%error, "an mDNS socket could not be read");
                sleep(RECEIVE_PAUSE).await;
                Vec::new()
            }
        }
    }

    /// Carries the actions out; false when the interface is gone.
    async fn act(&mut self, actions: Vec<Action>) -> bool {
        for action in actions {
            match action {
                Action::Send { to: Destination::Group, bytes } => {
                    let index = self.interface_index;
                    match send(&self.socket, &bytes, socket::group(index), index).await {
                        Sent::Yes => {}
                        // The announcement in 200 ms holds whatever else was due.
                        Sent::No => drop(self.machine.on(self.clock.now(), Input::SendFailed)),
                        Sent::InterfaceGone => return false,
                    }
                }
                Action::Send { to: Destination::Unicast(to), bytes } => {
                    send(&self.socket, &bytes, to, self.interface_index).await;
                }
                Action::Conflict { from, record } => {
                    tracing::warn!(%from, %record, "another host claims our name; announcing goes on");
                }
            }
        }
        true
    }
}
