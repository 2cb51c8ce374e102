//! The USB face of a running phone: one task that carries transfers, frames, hands on the cable and the device's own departures.

use std::future::pending;
use std::time::Duration;

use iosmux_usb::Mode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::cord::Cord;
use super::device::{Departure, Device};
use super::error::UsbPhoneError;
use super::hand::{Hand, Order};
use super::server::Server;
use super::state::UsbState;
use super::tap::{Carrier, Tap};
use super::vhci::{self, Plug};

/// How long a restart keeps the phone away. Our own: real ones take a minute.
const REBOOT: Duration = Duration::from_secs(2);
/// How long the port that the phone was in may take to become free.
const PORT_DEADLINE: Duration = Duration::from_secs(2);
/// Between two looks at it.
const PORT_LOOK: Duration = Duration::from_millis(5);
/// Frames that are taken from the interface before the device is asked again.
const BURST: usize = 32;
/// Bytes that are read from the host at once.
const READ: usize = 64 << 10;

/// A cable that is in.
#[derive(Debug)]
struct Cable {
    stream: UnixStream,
    server: Server,
    /// When the device leaves by itself, and how.
    leaves: Option<(Instant, Departure)>,
}

/// A phone, its cable, and what happens to it.
#[derive(Debug)]
pub(super) struct Desk {
    device: Device,
    // Out before the interface is closed, as in `Cord`.
    cable: Option<Cable>,
    cord: Cord,
    tap: Tap,
    carrier: Carrier,
    /// Where it was plugged in last.
    port: Option<u32>,
    /// When it is back by itself, and in which mode.
    returns: Option<(Instant, Mode)>,
    told: watch::Sender<UsbState>,
}

/// What came first.
enum Event {
    FromHost(usize),
    HostGone,
    Frame,
    Carrier,
    Leaves,
    Returns,
    Order(Option<Order>),
}

impl Desk {
    /// A phone whose cable is not in.
    pub(super) fn new(
        device: Device,
        tap: Tap,
        carrier: Carrier,
        cord: Cord,
        told: watch::Sender<UsbState>,
    ) -> Desk {
        Desk { device, cable: None, cord, tap, carrier, port: None, returns: None, told }
    }

    /// Runs until nobody can order anything any more, or something breaks.
    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Order>) -> Result<(), UsbPhoneError> {
        let mut buffer = vec![0; READ];
        loop {
            match self.next(&mut orders, &mut buffer).await? {
                Event::FromHost(length) => {
                    let bytes = buffer.get(..length).unwrap_or_default();
                    self.take(bytes).await?;
                }
                Event::Frame => self.frames().await,
                Event::Carrier => self.deliver(),
                Event::HostGone => self.pull(),
                Event::Leaves => self.leave(),
                Event::Returns => {
                    let mode = self.returns.take().map(|(_, mode)| mode);
                    self.plug_in(mode.unwrap_or(self.device.config().mode)).await?;
                }
                Event::Order(Some((hand, done))) => {
                    let result = self.carry_out(hand).await;
                    self.tell();
                    // Whoever asked may be gone.
                    let _ = done.send(result);
                }
                Event::Order(None) => return Ok(()),
            }
            self.tell();
        }
    }

    /// What comes first.
    async fn next(
        &mut self,
        orders: &mut mpsc::Receiver<Order>,
        buffer: &mut [u8],
    ) -> Result<Event, UsbPhoneError> {
        let leaves = self.cable.as_ref().and_then(|cable| cable.leaves).map(|(at, _)| at);
        let returns = self.returns.map(|(at, _)| at);
        let host = async {
            match &mut self.cable {
                Some(cable) => cable.stream.read(buffer).await,
                None => pending().await,
            }
        };
        tokio::select! {
            order = orders.recv() => Ok(Event::Order(order)),
            () = at(leaves) => Ok(Event::Leaves),
            () = at(returns) => Ok(Event::Returns),
            read = host => Ok(match read {
                Ok(0) | Err(_) => Event::HostGone,
                Ok(length) => Event::FromHost(length),
            }),
            () = self.carrier.changed() => Ok(Event::Carrier),
            // What has no room waits in the interface's own queue.
            frame = self.tap.receive(), if self.device.has_room() => {
                self.device.send_frame(frame?);
                Ok(Event::Frame)
            }
        }
    }

    async fn take(&mut self, bytes: &[u8]) -> Result<(), UsbPhoneError> {
        let Some(cable) = &mut self.cable else { return Ok(()) };
        cable.server.receive(&mut self.device, bytes)?;
        if let Some(departure) = cable.server.departure() {
            cable.leaves = Some((Instant::now() + departure.after, departure));
        }
        self.carrier.set_open(self.device.is_open());
        self.deliver();
        self.answer().await;
        Ok(())
    }

    /// Gives the phone what has come for it, once its interface is up.
    fn deliver(&mut self) {
        while self.carrier.is_up()
            && let Some(frame) = self.device.take_frame()
        {
            self.tap.send(&frame);
        }
    }

    /// A frame of the phone was taken; more may wait.
    async fn frames(&mut self) {
        for _ in 1..BURST {
            if !self.device.has_room() {
                break;
            }
            let Some(frame) = self.tap.receive_now() else { break };
            self.device.send_frame(frame);
        }
        if let Some(cable) = &mut self.cable {
            cable.server.complete(&mut self.device);
        }
        self.answer().await;
    }

    async fn answer(&mut self) {
        let Some(cable) = &mut self.cable else { return };
        let output = cable.server.output();
        if cable.stream.write_all(&output).await.is_err() {
            self.pull();
        }
    }

    /// The device leaves by itself.
    fn leave(&mut self) {
        let leaves = self.cable.as_ref().and_then(|cable| cable.leaves);
        self.pull();
        if let Some((_, Departure { away: Some(away), mode, .. })) = leaves {
            self.returns = Some((Instant::now() + away, mode));
        }
    }

    async fn carry_out(&mut self, hand: Hand) -> Result<(), UsbPhoneError> {
        tracing::info!(%hand, "a hand on the cable");
        match hand {
            Hand::Plug if self.cable.is_some() => Ok(()),
            Hand::Plug => {
                self.returns = None;
                self.plug_in(self.device.config().mode).await
            }
            Hand::Unplug => {
                self.pull();
                Ok(())
            }
            Hand::Reboot => {
                self.pull();
                self.returns = Some((Instant::now() + REBOOT, self.device.config().mode));
                Ok(())
            }
            Hand::Suspend => {
                self.pull();
                self.returns = Some((Instant::now() + self.device.config().reenumeration, Mode::Initial));
                Ok(())
            }
        }
    }

    async fn plug_in(&mut self, mode: Mode) -> Result<(), UsbPhoneError> {
        self.device.replug(mode);
        if let Some(port) = self.port {
            // The kernel frees it some time after the socket is closed.
            let start = Instant::now();
            while !vhci::is_free(port)? && start.elapsed() < PORT_DEADLINE {
                sleep(PORT_LOOK).await;
            }
        }
        let Plug { port, stream } = vhci::plug_in(self.port)?;
        self.cord.plug(&stream)?;
        let stream = UnixStream::from_std(stream)?;
        tracing::info!(port, %mode, "plugged in");
        self.port = Some(port);
        self.cable = Some(Cable { stream, server: Server::default(), leaves: None });
        Ok(())
    }

    /// Off the bus, for whatever reason.
    fn pull(&mut self) {
        self.returns = None;
        self.cord.let_go();
        if self.cable.take().is_some() {
            tracing::info!("off the bus");
        }
        self.device.replug(self.device.config().mode);
        self.carrier.set_open(self.device.is_open());
    }

    fn tell(&self) {
        let state = UsbState::of(&self.device, self.cable.is_some(), self.port);
        self.told.send_if_modified(|told| {
            let changed = *told != state;
            if changed {
                told.clone_from(&state);
            }
            changed
        });
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}
