//! A running tunnel: a thread of its own that moves packets until somebody ends it.
//!
//! A thread, because one core is busy with a fast tunnel and tasks beside it would wait; one only, because OpenSSL's
//! state belongs to both directions. Its runtime has nothing else to do, so a packet wakes nobody else.

use super::connect::{Carrier, TunnelLink};
use super::device::PacketDevice;
use super::error::TunnelError;
use super::pump::Pump;
use super::tun::TunDevice;
use super::{link, quic_pump};
use crate::packet::Counters;
use crate::parameters::Parameters;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// How a tunnel ended without a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// This side stopped it.
    Stopped,
    /// The peer closed it.
    PeerClosed,
    /// The packet device has no more packets.
    DeviceClosed,
}

/// Choices of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// End each burst of more than 8192 bytes with an empty packet. One client does so, because a phone's daemon
    /// otherwise defers; whether it helps is to be measured. Source: protocol.md §5.10, §9.6.
    pub end_of_burst: bool,
}

/// What went through a tunnel, seen from this end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TunnelCounters {
    /// From the device into the tunnel.
    pub outbound: Counters,
    /// From the tunnel to the device.
    pub inbound: Counters,
}

/// A tunnel that runs. Dropping it stops it.
#[derive(Debug)]
pub struct Tunnel {
    parameters: Parameters,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    ended: oneshot::Receiver<Result<Ended, TunnelError>>,
}

impl Tunnel {
    /// Starts to move packets between `link` and `device`, on a thread of their own.
    pub fn run(link: TunnelLink, device: impl PacketDevice, options: Options) -> Result<Self, TunnelError> {
        let (stop, stopped) = oneshot::channel();
        let (tell, ended) = oneshot::channel();
        let parameters = link.parameters;
        let shared = Arc::new(Shared::default());
        let relay = Relay { link: link.detached()?, device, options, shared: Arc::clone(&shared) };
        let thread = std::thread::Builder::new().name("tunnel".to_owned());
        let run = move || {
            let result = relay.run(stopped);
            tracing::debug!(?result, "a tunnel ended");
            // Nobody may wait for it any more.
            drop(tell.send(result));
        };
        thread.spawn(run).map_err(|source| TunnelError::Relay { source })?;
        Ok(Self { parameters, shared, stop: Some(stop), ended })
    }

    /// [`Self::run`] for a TUN device: compiled in this crate, as fast as this crate is, whatever its user is optimised for.
    pub fn run_on_tun(link: TunnelLink, device: TunDevice, options: Options) -> Result<Self, TunnelError> {
        Self::run(link, device, options)
    }

    /// What both ends agreed on.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// What has gone through so far; at most one batch behind.
    pub fn counters(&self) -> TunnelCounters {
        self.shared.counters()
    }

    /// Reads the counters from elsewhere, also after the end.
    pub fn meter(&self) -> Meter {
        Meter(Arc::clone(&self.shared))
    }

    /// Waits until the tunnel ends by itself. May be cancelled and called again until it has returned once.
    pub async fn ended(&mut self) -> Result<Ended, TunnelError> {
        let died = || TunnelError::Relay { source: io::Error::other("its thread is gone") };
        (&mut self.ended).await.unwrap_or_else(|_| Err(died()))
    }

    /// Stops the tunnel, waits until its thread has let the device and the connection go, and says how it ended.
    pub async fn stop(mut self) -> Result<Ended, TunnelError> {
        drop(self.stop.take());
        self.ended().await
    }
}

/// The counters of one tunnel; clones are the same counters.
#[derive(Debug, Clone)]
pub struct Meter(Arc<Shared>);

impl Meter {
    /// What has gone through so far; at most one batch behind.
    pub fn counters(&self) -> TunnelCounters {
        self.0.counters()
    }
}

/// What the relay's thread tells the rest.
#[derive(Debug, Default)]
pub(crate) struct Shared(Mutex<TunnelCounters>);

impl Shared {
    pub(crate) fn publish(&self, outbound: &Counters, inbound: &Counters) {
        let counters = TunnelCounters { outbound: *outbound, inbound: *inbound };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = counters;
    }

    fn counters(&self) -> TunnelCounters {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything that the thread owns.
struct Relay<D> {
    link: TunnelLink,
    device: D,
    options: Options,
    shared: Arc<Shared>,
}

impl<D: PacketDevice> Relay<D> {
    fn run(self, stopped: oneshot::Receiver<()>) -> Result<Ended, TunnelError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| TunnelError::Relay { source })?;
        runtime.block_on(async {
            let Self { link, device, options, shared } = self;
            let TunnelLink { parameters, role, carrier, .. } = link;
            match carrier {
                Carrier::Tls(link) => {
                    pump(Pump::new(*link, device, &parameters, role, options, shared), stopped).await
                }
                Carrier::Stream(link) => {
                    pump(Pump::new(*link, device, &parameters, role, options, shared), stopped).await
                }
                Carrier::Quic(quic) => {
                    quic_pump::run(quic, device, &parameters, role, &shared, stopped).await
                }
            }
        })
    }
}

async fn pump<L: link::Link, D: PacketDevice>(
    mut pump: Pump<L, D>,
    stopped: oneshot::Receiver<()>,
) -> Result<Ended, TunnelError> {
    pump.attach()?;
    let result = {
        let mut running = pin!(poll_fn(|cx| pump.poll(cx)));
        tokio::select! {
            biased;
            _ = stopped => Ok(Ended::Stopped),
            result = &mut running => result,
        }
    };
    pump.close();
    result
}
