//! The one task that owns all machines: sightings, outcomes and commands in, hops and pictures out.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddrV6;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use super::attachment::Attachment;
use super::config::FleetConfig;
use super::handle::{Command, CommandError, Inbox};
use super::roster::Roster;
use super::runner::{Outcome, Report, Runner};
use super::verdict::left_out;
use super::waiters::Waiters;
use crate::discover::{self, Discover, DiscoverConfig};
use crate::model::{Concern, Link, Reason, Search, Source, State, same_udid};
use crate::phone::{Action, Event, Machine};

/// Attachments at once; announcements beyond are left alone.
const ATTACHMENTS: usize = 256;
/// Outcomes that wait.
const REPORTS: usize = 256;
/// How long everything may take to let go at the end.
const FAREWELL: Duration = Duration::from_secs(3);

/// Runs the fleet until `shutdown`, then takes every tunnel down.
pub async fn run(
    config: FleetConfig,
    discover: DiscoverConfig,
    mut inbox: Inbox,
    shutdown: impl Future<Output = ()>,
) {
    let (reports, mut outcomes) = mpsc::channel(REPORTS);
    let mut actor = Actor::new(config, discover, reports);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let timer = actor.deadline();
        tokio::select! {
            () = &mut shutdown => break,
            Some(event) = actor.sightings.recv() => actor.discovered(event),
            Some(report) = outcomes.recv() => actor.reported(report),
            command = inbox.commands.recv() => match command {
                Some(command) => actor.command(command),
                None => break,
            },
            () = sleep_until(timer.unwrap_or_else(Instant::now).into()), if timer.is_some() => actor.tick(),
        }
        actor.publish(&inbox);
    }
    actor.leave().await;
}

pub(super) struct Actor {
    pub(super) config: Arc<FleetConfig>,
    pub(super) discover: (DiscoverConfig, Discover),
    sightings: mpsc::Receiver<discover::Event>,
    reports: mpsc::Sender<Report>,
    pub(super) epoch: Instant,
    pub(super) attachments: BTreeMap<u64, Attachment>,
    next: u64,
    pub(super) roster: Roster,
    pub(super) waiters: Waiters,
    pub(super) searches: Vec<Search>,
    pub(super) tasks: JoinSet<()>,
    /// Whether the picture is out of date.
    pub(super) changed: bool,
    pub(super) revision: u64,
    pub(super) happened: u64,
    /// Whether somebody was left alone for want of room.
    turned_away: bool,
    /// Phones that went away since this was last told, with their generation.
    pub(super) gone: Vec<(String, u64)>,
}

impl Actor {
    pub(super) fn new(config: FleetConfig, discover: DiscoverConfig, reports: mpsc::Sender<Report>) -> Self {
        let (search, sightings) = Discover::start(discover.clone());
        Self {
            config: Arc::new(config),
            discover: (discover, search),
            sightings,
            reports,
            epoch: Instant::now(),
            attachments: BTreeMap::new(),
            next: 1,
            roster: Roster::default(),
            waiters: Waiters::default(),
            searches: Vec::new(),
            tasks: JoinSet::new(),
            changed: true,
            revision: 0,
            happened: 0,
            turned_away: false,
            gone: Vec::new(),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let machines = self.attachments.values().filter_map(|one| one.machine.deadline());
        let machines = machines.min().and_then(|at| self.epoch.checked_add(at));
        machines.into_iter().chain(self.waiters.deadline()).min()
    }

    fn tick(&mut self) {
        let now = self.epoch.elapsed();
        let due = |one: &Attachment| one.machine.deadline().is_some_and(|at| at <= now);
        let due: Vec<u64> = self.attachments.iter().filter(|(_, one)| due(one)).map(|(id, _)| *id).collect();
        due.into_iter().for_each(|id| self.step(id, Event::Tick));
    }

    pub(super) fn discovered(&mut self, event: discover::Event) {
        match event {
            discover::Event::Sighted(link) => self.sighted(link),
            discover::Event::Unsighted(link) => {
                let exactly =
                    |one: &Attachment| one.link.address == link.address && one.link.source == link.source;
                self.step_where(exactly, &Event::Unsighted);
            }
            discover::Event::InterfaceLost { index } => {
                self.step_where(|one| one.link.address.scope_id() == index, &Event::LinkLost);
            }
            discover::Event::Searches(searches) => {
                self.searches = searches;
                self.changed = true;
            }
        }
    }

    fn sighted(&mut self, link: Link) {
        let same = |one: &Attachment| same_place(one.link.address, link.address);
        let known = self.attachments.iter_mut().find(|(_, one)| same(one));
        let Some((&id, attachment)) = known else { return self.attach(link) };
        let announced_again = link.source == Source::Mdns && attachment.link.address != link.address;
        let moved = announced_again && attachment.link.source == Source::Mdns;
        if moved {
            attachment.moved(link, Instant::now());
        } else if announced_again {
            attachment.link = link;
            attachment.machine.set_spoken_for(true);
        }
        self.step(id, if moved { Event::Moved } else { Event::Sighted });
    }

    fn attach(&mut self, link: Link) {
        if self.attachments.len() >= ATTACHMENTS && !self.make_room() {
            tracing::warn!(address = %link.scoped(), "left alone: {ATTACHMENTS} addresses are in use already");
            self.turned_away = true;
            return;
        }
        let id = self.next;
        self.next = self.next.saturating_add(1);
        tracing::info!(address = %link.scoped(), port = link.address.port(), source = ?link.source, "sighted");
        let mut machine = Machine::new(self.config.policy, self.config.may_pair, fastrand::u64(..));
        machine.set_spoken_for(link.source != Source::Neighbour);
        self.attachments.insert(id, Attachment::new(link, machine, Instant::now()));
        self.addresses_changed();
        self.step(id, Event::Sighted);
    }

    /// Gives up who never said who it is and failed the most: announcements are easily forged.
    fn make_room(&mut self) -> bool {
        let nobody = |one: &Attachment| one.udid().is_none() && one.machine.state() == State::Down;
        let nobodies = self.attachments.iter().filter(|(_, one)| nobody(one));
        let Some((&id, _)) = nobodies.max_by_key(|(_, one)| one.machine.failures()) else { return false };
        self.step(id, Event::LinkLost);
        true
    }

    /// The search leaves addresses alone that are in our hands, and says when one where nothing is tried falls silent.
    fn addresses_changed(&self) {
        let known = self.attachments.values().map(|one| (*one.link.address.ip(), one.machine.is_resting()));
        self.discover.1.known.send_replace(known.collect());
    }

    fn step_where(&mut self, which: impl Fn(&Attachment) -> bool, event: &Event) {
        let ids: Vec<u64> =
            self.attachments.iter().filter(|(_, one)| which(one)).map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.step(id, event.clone()));
    }

    /// Gives one event to one machine and carries out what it wants.
    pub(super) fn step(&mut self, id: u64, event: Event) {
        let now = self.epoch.elapsed();
        let Some(attachment) = self.attachments.get_mut(&id) else { return };
        self.changed = true;
        let (before, rested) = (attachment.machine.state(), attachment.machine.is_resting());
        // Whoever was told to rest by a person is not replaced.
        let by_itself = matches!(event, Event::Failed(_) | Event::TunnelEnded(_) | Event::Tick);
        for action in attachment.machine.on(now, event) {
            match action {
                Action::Begin(hop) => {
                    attachment.begin(hop, Instant::now());
                    let runner = attachment.runner.get_or_insert_with(|| {
                        attachment.runs = attachment.runs.saturating_add(1);
                        let (at, config) = (attachment.link.address, Arc::clone(&self.config));
                        Runner::start(
                            &mut self.tasks,
                            (id, attachment.runs),
                            at,
                            config,
                            self.reports.clone(),
                        )
                    });
                    runner.begin(hop);
                }
                Action::Reset => attachment.reset(),
                Action::Forget => return self.forget(id),
            }
        }
        let fell = by_itself && attachment.machine.state() != before && !attachment.is_at_work();
        if attachment.machine.is_resting() != rested {
            self.addresses_changed();
        }
        if fell && self.holder(id) == Some(id) {
            self.fall_back(id);
        }
    }

    fn forget(&mut self, id: u64) {
        let Some(attachment) = self.attachments.remove(&id) else { return };
        tracing::info!(address = %attachment.link.scoped(), "gone");
        self.addresses_changed();
        if std::mem::take(&mut self.turned_away) {
            self.discover.1.refresh();
        }
        if let Some(udid) = attachment.udid() {
            self.let_go(id, udid);
        }
    }

    pub(super) fn reported(&mut self, Report { attachment: id, run, outcome }: Report) {
        let Some(attachment) = self.attachments.get_mut(&id) else { return };
        if attachment.runner.as_ref().is_none_or(|runner| runner.run != run) {
            return;
        }
        let found = &mut attachment.found;
        let event = match outcome {
            Outcome::Identified(identity, has_service) => return self.identified(id, *identity, has_service),
            Outcome::AwaitingTrust => Event::AwaitingTrust,
            Outcome::Failed(failure) => Event::Failed(failure),
            Outcome::TunnelEnded(text) => Event::TunnelEnded(text),
            Outcome::Trusted(newly) => {
                found.newly_paired = newly;
                self.claim(id);
                return self.hop_done(id);
            }
            Outcome::TunnelUp(tunnel, meter) => {
                found.tunnel = Some((*tunnel, meter));
                Event::Done
            }
            Outcome::Catalogue(catalogue) => {
                found.catalogue = Some(catalogue);
                Event::Done
            }
        };
        match event {
            Event::Done => self.hop_done(id),
            event => self.step(id, event),
        }
    }

    pub(super) fn hop_done(&mut self, id: u64) {
        if let Some(attachment) = self.attachments.get_mut(&id) {
            attachment.done(Instant::now());
        }
        self.step(id, Event::Done);
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Start { udid, answer } => self.want(udid, &Event::Start, answer),
            Command::Pair { udid, answer } => self.want(udid, &Event::Pair, answer),
            Command::Stop { udid, answer } => drop(answer.send(self.stop(&udid))),
            Command::Cancel { udid, answer } => {
                let wanted = |one: &Attachment| {
                    let named = |udid: &String| one.udid().is_some_and(|one| same_udid(one, udid));
                    one.found.tunnel.is_some() && udid.as_ref().is_none_or(named)
                };
                let up = self.attachments.values().filter(|one| wanted(one)).count();
                self.step_where(wanted, &Event::Cancelled);
                let _ = answer.send(Ok(up));
            }
            Command::Unpair { udid, answer } => drop(answer.send(self.unpair(udid))),
            Command::Refresh { answer } => {
                self.discover.1.refresh();
                self.step_where(|_| true, &Event::Refresh);
                let _ = answer.send(Ok(()));
            }
            Command::Counters { answer } => {
                let counters = |one: &Attachment| {
                    let meter = one.found.tunnel.as_ref().map(|(_, meter)| meter.counters());
                    one.udid().map(str::to_owned).zip(meter)
                };
                let _ = answer.send(Ok(self.attachments.values().filter_map(counters).collect()));
            }
            Command::Reconfigure { config, answer } => {
                self.reconfigure(*config);
                let _ = answer.send(Ok(()));
            }
        }
    }

    fn want(
        &mut self,
        udid: String,
        event: &Event,
        answer: tokio::sync::oneshot::Sender<Result<crate::model::Tunnel, CommandError>>,
    ) {
        match self.roster.find(&udid).and_then(|record| record.attachment) {
            Some(id) => self.step(id, event.clone()),
            None => self.discover.1.refresh(),
        }
        self.waiters.add(udid, Instant::now(), answer);
    }

    fn stop(&mut self, udid: &str) -> Result<bool, CommandError> {
        let unknown = || CommandError::UnknownDevice(udid.to_owned());
        let record = self.roster.find(udid);
        let (udid, id) = record
            .and_then(|record| Some((record.identity.udid.clone(), record.attachment?)))
            .ok_or_else(unknown)?;
        let up = self.attachments.get(&id).is_some_and(|one| one.found.tunnel.is_some());
        self.step_where(|one| one.udid() == Some(&udid), &Event::Stop);
        Ok(up)
    }

    fn unpair(&mut self, udid: String) -> Result<bool, CommandError> {
        let known = self.roster.find(&udid).map(|record| (record.identity.udid.clone(), record.attachment));
        let (udid, attachment) = known.unwrap_or((udid, None));
        let store = &self.config.store;
        // What can be read no more goes as well.
        let record = store.find(&udid, same_udid).ok().flatten();
        let removed = store.remove(record.as_ref().map_or(&udid, |record| &record.identifier));
        let removed = removed.map_err(|error| CommandError::Record { udid, text: error.to_string() })?;
        if let Some(id) = attachment {
            self.step(id, Event::Forgotten);
        }
        Ok(removed)
    }

    /// Takes another configuration. Another search means other links: everything is looked for again.
    fn reconfigure(&mut self, (mut config, discover): (FleetConfig, DiscoverConfig)) {
        // What is no configuration stays.
        config.recorder = config.recorder.or_else(|| self.config.recorder.clone());
        config.pin = config.pin.or_else(|| self.config.pin.clone());
        self.config = Arc::new(config);
        let config = Arc::clone(&self.config);
        for one in self.attachments.values_mut() {
            one.machine.reconfigure(config.policy, config.may_pair);
        }
        let refused = |one: &Attachment| one.udid().is_some_and(|udid| !config.allows(udid));
        let configured = |reason: &Reason| reason.concern == Some(Concern::Configuration);
        let waits = |one: &Attachment| {
            one.machine.state() == State::Unsupported || one.machine.reason().is_some_and(configured)
        };
        let reconsidered = |one: &Attachment| waits(one) && !refused(one);
        self.step_where(reconsidered, &Event::Reconsidered);
        self.step_where(refused, &Event::Failed(left_out()));
        if self.discover.0 != discover {
            self.step_where(|_| true, &Event::LinkLost);
            let (search, sightings) = Discover::start(discover.clone());
            (self.discover, self.sightings) = ((discover, search), sightings);
        }
    }

    async fn leave(mut self) {
        self.attachments.clear();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(FAREWELL, all).await.is_err() {
            tracing::warn!("some tunnels were not closed in time");
        }
    }
}

/// Whether two addresses are one place on one link, whatever their ports.
fn same_place(one: SocketAddrV6, other: SocketAddrV6) -> bool {
    one.ip() == other.ip() && one.scope_id() == other.scope_id()
}
