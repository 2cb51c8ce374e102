//! Interfaces as they come and go: a search on each that is chosen, configured peers where they can be reached, and what
//! people see of all that.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use iosmux_link::{Change, Interface, Interfaces};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

use super::resolve::Resolver;
use super::search::{Orders, Place, Search, Troubles, Unwanted};
use super::{DiscoverConfig, Event, Known, Peer};
use crate::model::{self, Link, Source};

/// How long an interface may be without carrier or address before everything there counts as gone.
const GRACE: Duration = Duration::from_secs(2);
/// How often configured peers are reported.
const PEERS: Duration = Duration::from_secs(60);

/// Runs until the fleet is gone.
pub(super) async fn run(
    config: DiscoverConfig,
    known: watch::Receiver<Known>,
    events: mpsc::Sender<Event>,
    refresh: Arc<Notify>,
) {
    let interfaces = Interfaces::follow().await;
    let (troubles, told_troubles) = watch::channel(Troubles::new());
    let mut peers = interval_at(Instant::now() + PEERS, PEERS);
    peers.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let resolver = Resolver::new(&config.peers);
    let rows = Vec::new();
    let places = BTreeMap::new();
    let mut hub =
        Hub { config, known, events, interfaces, places, troubles, told_troubles, peers, resolver, rows };
    let Err(Unwanted) = hub.run(&refresh).await;
    tracing::debug!("nobody looks for phones any more");
}

struct Hub {
    config: DiscoverConfig,
    known: watch::Receiver<Known>,
    events: mpsc::Sender<Event>,
    interfaces: Interfaces,
    /// The interfaces in use, by index.
    places: BTreeMap<u32, Used>,
    troubles: watch::Sender<Troubles>,
    told_troubles: watch::Receiver<Troubles>,
    peers: Interval,
    resolver: Resolver,
    /// As they were told last.
    rows: Vec<model::Search>,
}

/// An interface that can be used, or could until a moment ago.
struct Used {
    name: String,
    /// None where only the configuration's peers are.
    search: Option<Running>,
    /// When it is given up.
    lost_at: Option<Instant>,
}

struct Running {
    orders: watch::Sender<Orders>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Hub {
    async fn run(&mut self, refresh: &Notify) -> Result<Infallible, Unwanted> {
        for interface in self.interfaces.current().to_vec() {
            self.apply(&interface).await?;
        }
        self.resolver.begin();
        loop {
            self.tell_rows().await?;
            let lost = self.places.values().filter_map(|used| used.lost_at).min();
            tokio::select! {
                changes = self.interfaces.changed() => {
                    for change in changes {
                        self.changed(change).await?;
                    }
                }
                () = refresh.notified() => self.refresh().await?,
                () = sleep_until(lost.unwrap_or_else(Instant::now)), if lost.is_some() => self.give_up().await?,
                _ = self.peers.tick() => self.report_peers(None).await?,
                events = self.resolver.next() => {
                    for event in events {
                        self.tell(event).await?;
                    }
                }
                Ok(()) = self.told_troubles.changed() => {}
                () = self.events.closed() => return Err(Unwanted),
            }
        }
    }

    async fn changed(&mut self, change: Change) -> Result<(), Unwanted> {
        match change {
            Change::Appeared(interface) | Change::Changed(interface) => self.apply(&interface).await,
            Change::Vanished(interface) => self.end(interface.index).await,
        }
    }

    /// Whether anything is to be done on this interface.
    fn is_wanted(&self, interface: &Interface) -> bool {
        let named =
            |peer: &Peer| matches!(peer, Peer::OnLink { interface: name, .. } if *name == interface.name);
        self.config.interfaces.chooses(interface) || self.config.peers.iter().any(named)
    }

    async fn apply(&mut self, interface: &Interface) -> Result<(), Unwanted> {
        if !self.is_wanted(interface) {
            return self.end(interface.index).await;
        }
        match (interface.is_usable(), self.places.get_mut(&interface.index)) {
            (true, None) => return self.begin(interface).await,
            (true, Some(used)) => {
                let returned = used.lost_at.take().is_some();
                if let Some(search) = &used.search {
                    search.orders.send_modify(|orders| {
                        orders.own = interface.addresses.iter().copied().collect();
                        orders.returns += u64::from(returned);
                    });
                }
            }
            (false, Some(used)) => drop(used.lost_at.get_or_insert_with(|| Instant::now() + GRACE)),
            (false, None) => {}
        }
        Ok(())
    }

    async fn begin(&mut self, interface: &Interface) -> Result<(), Unwanted> {
        let chosen = self.config.interfaces.chooses(interface);
        let search = chosen.then(|| self.search(interface));
        let used = Used { name: interface.name.clone(), search, lost_at: None };
        self.places.insert(interface.index, used);
        self.report_peers(Some(interface.index)).await
    }

    fn search(&self, interface: &Interface) -> Running {
        let own = interface.addresses.iter().copied().collect();
        let (orders, ordered) = watch::channel(Orders { own, ..Orders::default() });
        let configured = self.config.peers.iter().filter_map(|peer| match peer {
            Peer::OnLink { address, interface: name, .. } if *name == interface.name => Some(*address),
            _ => None,
        });
        let place = Place {
            interface: interface.name.clone(),
            index: interface.index,
            configured: configured.collect::<BTreeSet<_>>(),
            orders: ordered,
            known: self.known.clone(),
            events: self.events.clone(),
            troubles: self.troubles.clone(),
        };
        tracing::info!(interface = interface.name, index = interface.index, "looking for phones");
        Running { orders, task: tokio::spawn(Search::new(place).run()) }
    }

    /// Gives up the interfaces whose time is over.
    async fn give_up(&mut self) -> Result<(), Unwanted> {
        let now = Instant::now();
        let over = self.places.iter().filter(|(_, used)| used.lost_at.is_some_and(|at| at <= now));
        for index in over.map(|(index, _)| *index).collect::<Vec<_>>() {
            self.end(index).await?;
        }
        Ok(())
    }

    /// Ends what goes on there; nothing comes from there after the event.
    async fn end(&mut self, index: u32) -> Result<(), Unwanted> {
        let Some(mut used) = self.places.remove(&index) else { return Ok(()) };
        tracing::info!(interface = used.name, index, "the interface is lost");
        if let Some(search) = &mut used.search {
            search.task.abort();
            // Cancelled as it should be; a panic is told by the panic hook.
            let _ = (&mut search.task).await;
        }
        self.troubles.send_modify(|troubles| drop(troubles.remove(&index)));
        self.tell(Event::InterfaceLost { index }).await
    }

    async fn refresh(&mut self) -> Result<(), Unwanted> {
        for search in self.places.values().filter_map(|used| used.search.as_ref()) {
            search.orders.send_modify(|orders| orders.refreshes += 1);
        }
        self.report_peers(None).await
    }

    /// Reports configured peers: those on one interface, or all.
    async fn report_peers(&mut self, on: Option<u32>) -> Result<(), Unwanted> {
        let mut links = Vec::new();
        for peer in &self.config.peers {
            let Peer::OnLink { address, interface, port } = peer else { continue };
            let here = self.places.iter().filter(|(index, used)| {
                used.name == *interface && used.lost_at.is_none() && on.is_none_or(|on| on == **index)
            });
            links.extend(here.map(|(index, _)| {
                let address = std::net::SocketAddrV6::new(*address, *port, 0, *index);
                Link { interface: interface.clone(), address, source: Source::Configured }
            }));
        }
        if on.is_none() {
            self.resolver.begin();
        }
        for link in links {
            self.tell(Event::Sighted(link)).await?;
        }
        Ok(())
    }

    async fn tell(&self, event: Event) -> Result<(), Unwanted> {
        self.events.send(event).await.map_err(|_| Unwanted)
    }

    async fn tell_rows(&mut self) -> Result<(), Unwanted> {
        let rows = self.rows();
        if rows != self.rows {
            self.rows.clone_from(&rows);
            self.tell(Event::Searches(rows)).await?;
        }
        Ok(())
    }

    /// Every interface that is wanted, here or not, and every name.
    fn rows(&mut self) -> Vec<model::Search> {
        let troubles = self.told_troubles.borrow_and_update().clone();
        let here = self.interfaces.current().iter().filter(|interface| self.is_wanted(interface));
        let mut rows: Vec<_> = here
            .map(|interface| {
                let missing = interface.missing().map(str::to_owned);
                let trouble = troubles.get(&interface.index).into_iter().flatten().cloned();
                model::Search {
                    interface: interface.name.clone(),
                    index: interface.index,
                    usable: interface.is_usable(),
                    trouble: missing.into_iter().chain(trouble).collect(),
                }
            })
            .collect();
        let named = self.config.peers.iter().filter_map(|peer| match peer {
            Peer::OnLink { interface, .. } => Some(interface.clone()),
            Peer::Routed { .. } => None,
        });
        let absent: BTreeSet<_> = self.config.interfaces.names().into_iter().chain(named).collect();
        for name in absent {
            if !rows.iter().any(|row| row.interface == name) {
                let trouble = vec!["there is no such interface".to_owned()];
                rows.push(model::Search { interface: name, index: 0, usable: false, trouble });
            }
        }
        rows.extend(self.resolver.rows());
        rows
    }
}
