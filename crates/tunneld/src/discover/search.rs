//! The search on one interface while it can be used: the task that asks by mDNS and tries neighbours.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use iosmux_mdns::browser::{BrowseEvent, Instance};
use iosmux_mdns::io::{BrowseConfig, Browser};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::ping::Ping;
use super::plan::{Action, Input, Plan};
use super::{Event, Known, RSD_PORT};
use crate::model::{Link, Source};

/// Source: protocol.md §2.
const SERVICE: &str = "_remoted._tcp";
/// How long a neighbour has to accept a connection.
const DIAL: Duration = Duration::from_secs(1);
/// How long answers to an echo are waited for.
const LISTEN: Duration = Duration::from_secs(2);
/// The pauses before mDNS is tried again after it could not start.
const BROWSE_AGAIN: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(15), Duration::from_secs(60)];

/// What the search is told from outside; the counters rise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Orders {
    /// Our own link-local addresses there.
    pub(super) own: BTreeSet<Ipv6Addr>,
    /// How often everything was to be looked at again.
    pub(super) refreshes: u64,
    /// How often the link came back after a moment without it.
    pub(super) returns: u64,
}

/// Where the search is and whom it tells.
pub(super) struct Place {
    pub(super) interface: String,
    pub(super) index: u32,
    /// Addresses that the configuration names there.
    pub(super) configured: BTreeSet<Ipv6Addr>,
    pub(super) orders: watch::Receiver<Orders>,
    pub(super) known: watch::Receiver<Known>,
    pub(super) events: mpsc::Sender<Event>,
    /// What prevents the search, in words; whenever that changes.
    pub(super) troubles: watch::Sender<Troubles>,
}

/// What prevents searches, in words, by interface index.
pub(super) type Troubles = BTreeMap<u32, Vec<String>>;

/// The fleet is gone: nobody wants to know any more.
pub(super) struct Unwanted;

pub(super) struct Search {
    place: Place,
    begun: Instant,
    plan: Plan,
    orders: Orders,
    browse: Browse,
    /// What is announced, by sender and instance, as it was reported.
    announced: BTreeMap<(Ipv6Addr, String), Link>,
    ping: Option<(Ping, Instant)>,
    ping_trouble: Option<String>,
    dials: JoinSet<(Ipv6Addr, bool)>,
}

enum Browse {
    Running(Browser),
    Waiting { until: Instant, failures: usize, why: String },
}

impl Browse {
    fn start(index: u32, failures: usize) -> Self {
        match Browser::start(BrowseConfig::new(index, SERVICE)) {
            Ok(browser) => Self::Running(browser),
            Err(error) => Self::wait(failures, format!("announcements are not heard: {error}")),
        }
    }

    fn wait(failures: usize, why: String) -> Self {
        let pause = BROWSE_AGAIN[failures.min(BROWSE_AGAIN.len() - 1)];
        Self::Waiting { until: Instant::now() + pause, failures, why }
    }

    /// The next event; none when there is something new to say about the browser itself. Cancelling loses nothing.
    async fn next(&mut self, index: u32) -> Option<BrowseEvent> {
        match self {
            Self::Running(browser) => {
                let event = browser.next().await;
                if event.is_none() {
                    *self = Self::wait(0, "announcements are not heard: the interface went away".to_owned());
                }
                event
            }
            Self::Waiting { until, failures, .. } => {
                sleep_until(*until).await;
                *self = Self::start(index, *failures + 1);
                None
            }
        }
    }
}

impl Search {
    /// Must be called inside a tokio runtime.
    pub(super) fn new(place: Place) -> Self {
        let seed = RandomState::new().hash_one(place.index);
        Self {
            begun: Instant::now(),
            plan: Plan::new(Duration::ZERO, place.configured.clone(), seed),
            orders: Orders::default(),
            browse: Browse::start(place.index, 0),
            announced: BTreeMap::new(),
            ping: None,
            ping_trouble: None,
            dials: JoinSet::new(),
            place,
        }
    }

    /// Searches until nobody wants to know.
    pub(super) async fn run(mut self) {
        // Ends when the fleet or the owner of the search is gone; there is nothing to say to anybody then.
        let Err(Unwanted) = self.search().await;
        tracing::debug!(interface = self.place.interface, "the search ends");
    }

    async fn search(&mut self) -> Result<std::convert::Infallible, Unwanted> {
        self.ordered().await?;
        self.learned().await?;
        loop {
            self.tell_trouble();
            let deadline = self.begun + self.plan.deadline();
            tokio::select! {
                event = self.browse.next(self.place.index) => self.heard(event).await?,
                answered = answered(&mut self.ping) => match answered {
                    Some(address) => self.decide(Input::Answered(address)).await?,
                    None => self.ping = None,
                },
                Some(Ok((address, open))) = self.dials.join_next() => self.decide(Input::Tried(address, open)).await?,
                () = sleep_until(deadline) => self.decide(Input::Timer).await?,
                changed = self.place.orders.changed() => {
                    changed.map_err(|_| Unwanted)?;
                    self.ordered().await?;
                }
                changed = self.place.known.changed() => {
                    changed.map_err(|_| Unwanted)?;
                    self.learned().await?;
                }
            }
        }
    }

    async fn learned(&mut self) -> Result<(), Unwanted> {
        let known = self.place.known.borrow_and_update().clone();
        self.decide(Input::Known(known)).await
    }

    async fn ordered(&mut self) -> Result<(), Unwanted> {
        let new = self.place.orders.borrow_and_update().clone();
        let old = std::mem::replace(&mut self.orders, new);
        if old.own != self.orders.own {
            self.decide(Input::Own(self.orders.own.clone())).await?;
        }
        let refreshed = old.refreshes != self.orders.refreshes;
        if refreshed {
            for link in self.announced.values() {
                self.tell(Event::Sighted(link.clone())).await?;
            }
            self.decide(Input::Refresh).await?;
        }
        if refreshed || old.returns != self.orders.returns {
            match &self.browse {
                Browse::Running(browser) => browser.restart(),
                Browse::Waiting { .. } => self.browse = Browse::start(self.place.index, 0),
            }
        }
        Ok(())
    }

    async fn heard(&mut self, event: Option<BrowseEvent>) -> Result<(), Unwanted> {
        match event {
            Some(BrowseEvent::Found(instance) | BrowseEvent::Updated(instance)) => {
                self.announced(instance).await
            }
            Some(BrowseEvent::Removed { name, sender }) => {
                let Some(link) = self.announced.remove(&(sender, name)) else { return Ok(()) };
                self.tell(Event::Unsighted(link)).await?;
                match self.announced.keys().any(|(other, _)| *other == sender) {
                    true => Ok(()),
                    false => self.decide(Input::Retracted(sender)).await,
                }
            }
            None => Ok(()),
        }
    }

    async fn announced(&mut self, instance: Instance) -> Result<(), Unwanted> {
        let Instance { name, sender, port, .. } = instance;
        if self.orders.own.contains(&sender) {
            return Ok(());
        }
        let link = self.link(sender, port, Source::Mdns);
        let before = self.announced.insert((sender, name), link.clone());
        if before.as_ref() != Some(&link) {
            self.tell(Event::Sighted(link)).await?;
        }
        self.decide(Input::Announced(sender)).await
    }

    async fn decide(&mut self, input: Input) -> Result<(), Unwanted> {
        for action in self.plan.on(self.begun.elapsed(), input) {
            match action {
                Action::Echo => self.echo().await,
                Action::Try(address) => {
                    let to = self.link(address, RSD_PORT, Source::Neighbour).address;
                    self.dials.spawn(async move { (address, is_open(to).await) });
                }
                Action::Sighted(address) => {
                    self.tell(Event::Sighted(self.link(address, RSD_PORT, Source::Neighbour))).await?;
                }
                Action::Unsighted(address) => {
                    self.tell(Event::Unsighted(self.link(address, RSD_PORT, Source::Neighbour))).await?;
                }
            }
        }
        Ok(())
    }

    /// Sends an echo by the socket that is open, else by a new one.
    async fn echo(&mut self) {
        let token = RandomState::new().hash_one(self.place.index).to_be_bytes();
        let ping = match self.ping.take() {
            Some((ping, _)) => Ok(ping),
            None => Ping::open(self.place.index, token),
        };
        let sent = match ping {
            Ok(mut ping) => ping.send().await.map(|()| self.ping = Some((ping, Instant::now() + LISTEN))),
            Err(error) => Err(error),
        };
        self.ping_trouble = sent.err().map(|error| error.to_string());
    }

    fn link(&self, address: Ipv6Addr, port: u16, source: Source) -> Link {
        let address = SocketAddrV6::new(address, port, 0, self.place.index);
        Link { interface: self.place.interface.clone(), address, source }
    }

    async fn tell(&self, event: Event) -> Result<(), Unwanted> {
        self.place.events.send(event).await.map_err(|_| Unwanted)
    }

    fn tell_trouble(&self) {
        let browse = match &self.browse {
            Browse::Waiting { why, .. } => Some(why.clone()),
            Browse::Running(_) => None,
        };
        let trouble: Vec<_> = browse.into_iter().chain(self.ping_trouble.clone()).collect();
        self.place.troubles.send_if_modified(|all| {
            let changed = all.get(&self.place.index) != Some(&trouble);
            all.insert(self.place.index, trouble);
            changed
        });
    }
}

/// The next neighbour that answers the echo; none when it is time to stop waiting for more.
async fn answered(ping: &mut Option<(Ping, Instant)>) -> Option<Ipv6Addr> {
    let Some((ping, until)) = ping else { return std::future::pending().await };
    tokio::select! {
        answered = ping.answered() => answered.ok(),
        () = sleep_until(*until) => None,
    }
}

/// Whether something accepts connections there. The connection is closed before a byte is said.
async fn is_open(address: SocketAddrV6) -> bool {
    matches!(timeout(DIAL, TcpStream::connect(SocketAddr::V6(address))).await, Ok(Ok(_)))
}
