//! The hops of one attachment, as a task: it holds what they opened, and lets everything go when it is told to.

use std::net::SocketAddrV6;
use std::sync::Arc;
use std::time::Duration;

use iosmux_tunnel::io::{Ended, Meter, Tunnel, TunnelError};
use iosmux_xpc::rsd::Catalogue;
use iosmux_xpc::rsd::io::Remote;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::config::FleetConfig;
use super::trust::{self, ControlChannel};
use super::{open, rsd};
use crate::config::SuspendRemoted;
use crate::model::{self, Identity};
use crate::phone::{Failure, Hop};
use crate::remoted::{self, Share};

/// How long letting go may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// What became of a hop.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The phone introduced itself; whether it has the service for tunnels.
    Identified(Box<Identity>, bool),
    /// It asks its user.
    AwaitingTrust,
    /// It trusts this host; whether that is new.
    Trusted(bool),
    /// Packets can pass.
    TunnelUp(Box<model::Tunnel>, Meter),
    /// What it offers inside.
    Catalogue(Arc<Catalogue>),
    /// The hop failed.
    Failed(Failure),
    /// The tunnel ended.
    TunnelEnded(String),
}

/// An outcome with the attachment and the run that it belongs to: those of an abandoned run are of no interest.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) attachment: u64,
    pub(crate) run: u64,
    pub(crate) outcome: Outcome,
}

/// A running task. Dropping it tells the task to let everything go.
#[derive(Debug)]
pub(crate) struct Runner {
    pub(crate) run: u64,
    orders: mpsc::Sender<Hop>,
    _cancel: oneshot::Sender<()>,
}

impl Runner {
    /// Starts a task for an attachment at `at`, among `tasks`: who waits for those waits until all is let go.
    pub(crate) fn start(
        tasks: &mut JoinSet<()>,
        (attachment, run): (u64, u64),
        at: SocketAddrV6,
        config: Arc<FleetConfig>,
        reports: mpsc::Sender<Report>,
    ) -> Self {
        // One hop at a time.
        let (orders, inbox) = mpsc::channel(1);
        let (cancel, cancelled) = oneshot::channel();
        let mut task = Task {
            attachment,
            run,
            at,
            config,
            reports,
            remote: None,
            service: None,
            identity: None,
            channel: None,
            tunnel: None,
        };
        tasks.spawn(async move {
            tokio::select! {
                () = task.work(inbox) => {}
                _ = cancelled => {}
            }
            // Whoever is not polite within two seconds is dropped.
            let _ = timeout(FAREWELL, task.leave()).await;
        });
        Self { run, orders, _cancel: cancel }
    }

    /// Begins a hop.
    pub(crate) fn begin(&self, hop: Hop) {
        if self.orders.try_send(hop).is_err() {
            tracing::error!(%hop, "a hop was begun while another one runs");
        }
    }
}

struct Task {
    attachment: u64,
    run: u64,
    at: SocketAddrV6,
    config: Arc<FleetConfig>,
    reports: mpsc::Sender<Report>,
    remote: Option<Remote>,
    service: Option<SocketAddrV6>,
    identity: Option<Identity>,
    channel: Option<ControlChannel>,
    tunnel: Option<(Tunnel, SocketAddrV6)>,
}

impl Task {
    async fn work(&mut self, mut orders: mpsc::Receiver<Hop>) {
        loop {
            tokio::select! {
                order = orders.recv() => {
                    let Some(hop) = order else { return };
                    let outcome = self.hop(hop).await.unwrap_or_else(Outcome::Failed);
                    self.report(outcome).await;
                }
                ended = ended(&mut self.tunnel) => {
                    self.tunnel = None;
                    self.report(Outcome::TunnelEnded(said(ended))).await;
                }
            }
        }
    }

    async fn report(&self, outcome: Outcome) {
        let report = Report { attachment: self.attachment, run: self.run, outcome };
        // Without a receiver the daemon is ending.
        let _ = self.reports.send(report).await;
    }

    async fn hop(&mut self, hop: Hop) -> Result<Outcome, Failure> {
        match hop {
            Hop::Rsd => self.rsd().await,
            Hop::Pair { may_ask } => self.pair(may_ask).await,
            Hop::Tunnel => self.open().await,
            Hop::Catalogue => self.catalogue().await,
        }
    }

    /// Keeps remoted away from the link for as long as the value lives, if the configuration wants that.
    async fn suspend_remoted(&self) -> Option<Share> {
        let setting = self.config.suspend_remoted;
        if setting == SuspendRemoted::Never {
            return None;
        }
        let suspend = move || remoted::suspend(setting).map_err(|error| error.to_string());
        let suspended = tokio::task::spawn_blocking(suspend).await.map_err(|error| error.to_string());
        suspended.and_then(|suspended| suspended).unwrap_or_else(|error| {
            tracing::warn!(error, "remoted could not be suspended: it may take the link meanwhile");
            None
        })
    }

    async fn rsd(&mut self) -> Result<Outcome, Failure> {
        let _suspended = self.suspend_remoted().await;
        let config = &self.config;
        let met = rsd::on_link(self.at, &config.host_name, config.recorder.as_ref()).await?;
        let rsd::OnLink { identity, tunnel_service, remote } = met;
        (self.remote, self.service, self.identity) = (Some(remote), tunnel_service, Some(identity.clone()));
        Ok(Outcome::Identified(Box::new(identity), tunnel_service.is_some()))
    }

    async fn pair(&mut self, may_ask: bool) -> Result<Outcome, Failure> {
        let (Some(identity), Some(service)) = (&self.identity, self.service) else {
            return Err(out_of_order());
        };
        let asked = || {
            let outcome = Outcome::AwaitingTrust;
            let report = Report { attachment: self.attachment, run: self.run, outcome };
            if self.reports.try_send(report).is_err() {
                tracing::warn!("nobody could be told that the phone asks its user");
            }
        };
        let trusted = trust::pair(&identity.udid, service, may_ask, &self.config, asked).await;
        let trusted = trusted.map_err(|error| error.failure())?;
        self.channel = Some(trusted.channel);
        Ok(Outcome::Trusted(trusted.newly_paired))
    }

    async fn open(&mut self) -> Result<Outcome, Failure> {
        let (Some(identity), Some(mut channel)) = (&self.identity, self.channel.take()) else {
            return Err(out_of_order());
        };
        let _suspended = self.suspend_remoted().await;
        let opened = open::open(&mut channel, self.at, identity, &self.config).await;
        // A tunnel lives on without its control channel.
        channel.close().await;
        let open::Opened { shown, running } = opened.map_err(|error| error.failure())?;
        let meter = running.meter();
        self.tunnel = Some((running, SocketAddrV6::new(shown.address, shown.rsd_port, 0, 0)));
        Ok(Outcome::TunnelUp(Box::new(shown), meter))
    }

    async fn catalogue(&mut self) -> Result<Outcome, Failure> {
        let (Some(identity), Some((_, at))) = (&self.identity, &self.tunnel) else {
            return Err(out_of_order());
        };
        let config = &self.config;
        let read = rsd::in_tunnel(*at, &identity.udid, &config.host_name, config.recorder.as_ref());
        let catalogue = read.await?;
        if let Some(remote) = self.remote.take() {
            rsd::close(remote).await;
        }
        Ok(Outcome::Catalogue(Arc::new(catalogue)))
    }

    /// Closes everything, the tunnel first: its interface must be gone when this returns.
    async fn leave(self) {
        if let Some((tunnel, _)) = self.tunnel {
            let ended = tunnel.stop().await;
            tracing::debug!(?ended, "a tunnel was taken down");
        }
        if let Some(channel) = self.channel {
            channel.close().await;
        }
        if let Some(remote) = self.remote {
            rsd::close(remote).await;
        }
    }
}

fn out_of_order() -> Failure {
    Failure::retry("a hop was begun before the one that it needs")
}

/// Waits for the end of a tunnel; for ever while there is none.
async fn ended(tunnel: &mut Option<(Tunnel, SocketAddrV6)>) -> Result<Ended, TunnelError> {
    match tunnel {
        Some((tunnel, _)) => tunnel.ended().await,
        None => std::future::pending().await,
    }
}

fn said(ended: Result<Ended, TunnelError>) -> String {
    match ended {
        Ok(Ended::Stopped) => "it was stopped".to_owned(),
        Ok(Ended::PeerClosed) => "the phone closed it".to_owned(),
        Ok(Ended::DeviceClosed) => "its interface is gone".to_owned(),
        Err(error) => error.to_string(),
    }
}
