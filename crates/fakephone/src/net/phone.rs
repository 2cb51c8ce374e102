//! The phone on its link: attaches when there is an address, detaches when there is none.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use iosmux_link::{LinkAddress, LinkWatch};
use iosmux_mdns::Service;
use iosmux_mdns::io::{AnnounceConfig, Announcer};
use iosmux_xpc::rsd::Catalogue;
use serde::Serialize;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::attach::{Attach, RSD_PORT};
use super::error::{Error, ListenError};
use super::shared::{PhoneLimits, Shared};
use super::visits::Visits;
use crate::accessory::PairingConfig;
use crate::fault::Fault;
use crate::identity::{Identity, Overrides};
use crate::version::IosVersion;

/// The instance name of every phone, whatever its own name. Source: protocol.md §2 (auto-rename is disabled).
const INSTANCE: &str = "ncm";
/// Source: protocol.md §2.
const SERVICE_TYPE: &str = "_remoted._tcp";

/// What a phone is and where.
#[derive(Debug, Clone)]
pub struct PhoneConfig {
    /// The netdev it is given; it need not exist yet.
    pub interface: String,
    /// Its identity, and its services unless `untrusted_catalogue` is given.
    pub catalogue: Catalogue,
    /// The services that the link offers instead.
    pub untrusted_catalogue: Option<Catalogue>,
    /// Rewrites the iOS version.
    pub ios: Option<IosVersion>,
    /// Rewrites the UDID.
    pub udid: Option<String>,
    /// Rewrites the UUID of the Handshake.
    pub uuid: Option<Uuid>,
    /// How it misbehaves.
    pub faults: Vec<Fault>,
    /// How it pairs.
    pub pairing: PairingConfig,
    /// What peers may ask of it.
    pub limits: PhoneLimits,
}

impl PhoneConfig {
    /// The phone of the catalogue, without faults.
    pub fn new(interface: impl Into<String>, catalogue: Catalogue) -> PhoneConfig {
        PhoneConfig {
            interface: interface.into(),
            catalogue,
            untrusted_catalogue: None,
            ios: None,
            udid: None,
            uuid: None,
            faults: Vec::new(),
            pairing: PairingConfig::default(),
            limits: PhoneLimits::default(),
        }
    }
}

/// Where a phone is attached; printed as one JSON line by `fakephone net`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// `fakephone/ready/1`.
    pub schema: &'static str,
    /// The netdev.
    pub interface: String,
    /// The link-local address with its interface, `fe80::1%eth0`.
    pub address: String,
    /// The fixed RSD port.
    pub rsd_port: u16,
    /// The RSD port in the announcement.
    pub announced_port: u16,
    /// Its UDID.
    pub udid: String,
    /// The UUID in its Handshake.
    pub uuid: Uuid,
    /// How many services the link offers.
    pub services: usize,
    /// Whether anything but the ports differs from what was captured from one phone.
    pub derived: bool,
    /// What differs.
    pub derived_keys: Vec<&'static str>,
}

/// A running phone. Dropping it closes everything without a word; [`Phone::shutdown`] says goodbye.
#[derive(Debug)]
pub struct Phone {
    phone: Arc<Shared>,
    attached: watch::Receiver<Option<Ready>>,
    stop: oneshot::Sender<()>,
    task: AbortOnDrop,
}

/// The phone's task, which ends with the phone.
#[derive(Debug)]
struct AbortOnDrop(JoinHandle<Result<(), Error>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Phone {
    /// Waits for a usable link-local address, listens and announces. Must be called within a tokio runtime; sockets belong to
    /// the calling thread's network namespace, so give every namespace a thread with a `current_thread` runtime.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn start(config: PhoneConfig) -> Result<Phone, Error> {
        let overrides = Overrides { ios: config.ios, udid: config.udid, uuid: config.uuid };
        let identity = Identity::new(&config.catalogue, config.untrusted_catalogue.as_ref(), &overrides)?;
        let shared = Shared::new(identity, config.faults, config.limits, config.pairing)?;
        let phone = Arc::new(shared);
        let watch = LinkWatch::new(&config.interface).await?;
        let (told, mut attached) = watch::channel(None);
        let (stop, stopped) = oneshot::channel();
        let mut running = Running { phone: Arc::clone(&phone), interface: config.interface, watch, told };
        let mut task = AbortOnDrop(tokio::spawn(async move { running.run(stopped).await }));
        tokio::select! {
            ended = &mut task.0 => ended_early(ended)?,
            // The task holds the sender: if it is gone the other arm tells why.
            _ = attached.wait_for(Option::is_some) => {}
        }
        Ok(Phone { phone, attached, stop, task })
    }

    /// Where it is attached now; `None` between two attaches.
    #[must_use]
    pub fn ready(&self) -> Option<Ready> {
        self.attached.borrow().clone()
    }

    /// Follows its attaches.
    #[must_use]
    pub fn attaches(&self) -> watch::Receiver<Option<Ready>> {
        self.attached.clone()
    }

    /// Follows how often hosts came, over all of its attaches.
    #[must_use]
    pub fn visits(&self) -> watch::Receiver<Visits> {
        self.phone.visits.subscribe()
    }

    /// How often it met what no source tells, by the gap's name.
    #[must_use]
    pub fn not_sourced(&self) -> BTreeMap<&'static str, u64> {
        self.phone.gaps.counts()
    }

    /// Runs until `shutdown` is ready, then says goodbye.
    ///
    /// # Errors
    /// What ended it earlier.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        tokio::select! {
            ended = &mut self.task.0 => ended_early(ended),
            () = shutdown => self.shutdown().await,
        }
    }

    /// Says goodbye and closes everything.
    ///
    /// # Errors
    /// What ended it earlier.
    pub async fn shutdown(mut self) -> Result<(), Error> {
        // A task that has ended already tells why below.
        let _ = self.stop.send(());
        ended_early((&mut self.task.0).await)
    }
}

fn ended_early(ended: Result<Result<(), Error>, tokio::task::JoinError>) -> Result<(), Error> {
    match ended {
        Ok(result) => result,
        // A bug of this crate, not of its peers: let it be seen where the phone is awaited.
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Ok(()),
        },
    }
}

/// The phone's task.
struct Running {
    phone: Arc<Shared>,
    interface: String,
    watch: LinkWatch,
    told: watch::Sender<Option<Ready>>,
}

impl Running {
    async fn run(&mut self, mut stopped: oneshot::Receiver<()>) -> Result<(), Error> {
        loop {
            match self.watch.current().map(|link| self.attach(link)) {
                Some(Ok(attached)) => {
                    if !self.serve(attached, &mut stopped).await? {
                        return Ok(());
                    }
                }
                Some(Err(error)) if !is_gone(&error) => return Err(error),
                none => {
                    // With an error the kernel's message that the link is gone is still to come.
                    let error = none.and_then(Result::err).map(tracing::field::display);
                    tracing::info!(interface = %self.interface, error, "no usable link: waiting");
                    tokio::select! {
                        changed = self.watch.changed() => changed?,
                        _ = &mut stopped => return Ok(()),
                    };
                }
            }
        }
    }

    /// Serves one attach; false when it was told to stop.
    async fn serve(
        &mut self,
        (mut attach, announcer, ready): (Attach, Option<Announcer>, Ready),
        stopped: &mut oneshot::Receiver<()>,
    ) -> Result<bool, Error> {
        tracing::info!(address = %ready.address, port = ready.announced_port, "attached");
        self.told.send_replace(Some(ready));
        let detached = tokio::select! {
            error = attach.run() => return Err(error),
            changed = self.watch.changed() => changed.map(|_| true)?,
            _ = stopped => false,
        };
        self.told.send_replace(None);
        let network = attach.close();
        if !detached {
            for announcer in [announcer, network].into_iter().flatten() {
                announcer.shutdown().await;
            }
        }
        // Otherwise there is no link to say goodbye on.
        tracing::info!(interface = %self.interface, "detached");
        Ok(detached)
    }

    fn attach(&self, link: LinkAddress) -> Result<(Attach, Option<Announcer>, Ready), Error> {
        let attach = Attach::open(Arc::clone(&self.phone), link)?;
        let address = link.socket(0);
        let announced_port = attach.announced_port().map_err(|source| ListenError { address, source })?;
        let identity = &self.phone.identity;
        let service = Service::new(INSTANCE, SERVICE_TYPE, identity.host_name.as_str(), announced_port)
            .with_addresses([link.address]);
        let announce = || Announcer::start(AnnounceConfig::new(link.index, service));
        let announcer = self.phone.is_announced().then(announce).transpose()?;
        let ready = Ready {
            schema: "fakephone/ready/1",
            interface: self.interface.clone(),
            address: format!("{}%{}", link.address, self.interface),
            rsd_port: RSD_PORT,
            announced_port,
            udid: identity.udid.clone(),
            uuid: identity.uuid,
            services: identity.handshake().services.len(),
            derived: !identity.derived.is_empty(),
            derived_keys: identity.derived.clone(),
        };
        Ok((attach, announcer, ready))
    }
}

/// Whether an error says that the address or the interface vanished in the meantime.
fn is_gone(error: &Error) -> bool {
    /// Source: Linux, include/uapi/asm-generic/errno-base.h.
    const ENODEV: i32 = 19;
    let source = match error {
        Error::Listen(error) => &error.source,
        Error::Announce(iosmux_mdns::io::Error::Socket { source, .. }) => source,
        _ => return false,
    };
    source.kind() == std::io::ErrorKind::AddrNotAvailable || source.raw_os_error() == Some(ENODEV)
}
