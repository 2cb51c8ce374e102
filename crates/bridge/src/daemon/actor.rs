//! The task that decides.

use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::Ports;
use super::attachment::{Attachment, Driver, Finished, Key, UnderWay, What};
use super::handle::{Command, Happening};
use super::look::{Bridges, Found, Look, Looking, Warned, found, phones};
use super::work::{Means, spawn};
use crate::config::Settings;
use crate::phone::{Action, Event, Machine, Memory, Outcome, Policy, Reason, State, Work};
use crate::ports::{Address, Attached, Changes, LinkControl, UsbHost, UserspaceNcm};
use crate::state::{Phone, Report};

/// How often the world is looked at though nothing told of a change.
const UNASKED: Duration = Duration::from_secs(5);
/// The same, when changes can't be followed or a phone is late.
const POLLING: Duration = Duration::from_millis(250);

/// What others see.
pub(super) struct Out {
    pub(super) report: watch::Sender<Arc<Report>>,
    pub(super) happenings: broadcast::Sender<Happening>,
    /// Whether the world was looked at, so that the report says something.
    pub(super) looked: bool,
}

type Results<U, N> = Finished<<U as UsbHost>::Device, <N as UserspaceNcm>::Running>;

/// Everything of the daemon.
pub(super) struct Actor<U: UsbHost, L: LinkControl, N: UserspaceNcm<Device = U::Device>> {
    ports: Arc<Ports<U, L, N>>,
    settings: Settings,
    policy: Policy,
    commands: mpsc::Receiver<Command>,
    out: Out,
    usb: Option<U::Changes>,
    links: Option<L::Changes>,
    results: mpsc::UnboundedReceiver<Results<U, N>>,
    tell: mpsc::UnboundedSender<Results<U, N>>,
    phones: BTreeMap<Key, Attachment<U::Device>>,
    memories: BTreeMap<Key, Memory>,
    began: Instant,
    numbers: u64,
    /// Whether the world has to be looked at.
    stale: bool,
    /// The look under way: sysfs may make one wait.
    looking: Option<Looking>,
    /// Whether a phone was late at the last one, so that the next one is due soon.
    late: bool,
    warned: Warned,
    bridges: Bridges,
    ending: bool,
}

impl<U, L, N> Actor<U, L, N>
where
    U: UsbHost,
    L: LinkControl,
    N: UserspaceNcm<Device = U::Device>,
{
    pub(super) fn new(
        ports: Arc<Ports<U, L, N>>,
        settings: Settings,
        policy: Policy,
        commands: mpsc::Receiver<Command>,
        out: Out,
    ) -> io::Result<Self> {
        let (usb, links) = (ports.usb.changes()?, ports.links.changes()?);
        let (tell, results) = mpsc::unbounded_channel();
        Ok(Self {
            ports,
            settings,
            policy,
            commands,
            out,
            usb: Some(usb),
            links: Some(links),
            results,
            tell,
            phones: BTreeMap::new(),
            memories: BTreeMap::new(),
            began: Instant::now(),
            numbers: 0,
            stale: true,
            looking: None,
            late: false,
            warned: Warned::default(),
            bridges: Bridges::new(),
            ending: false,
        })
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Works until `shutdown` comes and every phone is given back.
    pub(super) async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        loop {
            self.tick();
            self.publish();
            if self.ending && self.phones.is_empty() {
                return;
            }
            if self.looking.is_none() && std::mem::take(&mut self.stale) {
                self.look();
            }
            let due = self.due();
            let polling = self.late || self.usb.is_none() || self.links.is_none();
            tokio::select! {
                () = &mut shutdown, if !self.ending => self.end(),
                found = found(&mut self.looking) => self.looked(found).await,
                Some(finished) = self.results.recv() => self.finished(finished),
                Some(command) = self.commands.recv() => self.command(command),
                () = changed(&mut self.usb) => self.stale = true,
                () = changed(&mut self.links) => self.stale = true,
                () = until(due) => {}
                () = sleep(if polling { POLLING } else { UNASKED }) => self.stale = true,
            }
        }
    }

    /// Begins to look at the world.
    fn look(&mut self) {
        let ports = self.ports.clone();
        let here = self.phones.iter().filter_map(|(key, phone)| {
            Some((key.clone(), phone.machine.picture().usb.as_ref()?.address.clone()))
        });
        let here: BTreeMap<Key, Address> = here.collect();
        let known = move |key: &Key, attached: &Attached| here.get(key) == Some(&attached.address);
        self.looking = Some(Box::pin(async move { phones(&ports, known).await }));
    }

    /// Hands every machine its picture.
    async fn looked(&mut self, found: io::Result<Found>) {
        let found = match found {
            Ok(found) => found,
            Err(error) => return tracing::warn!(%error, "USB can't be looked at"),
        };
        self.warned.of(&found);
        self.late = found.any_is_late();
        let ports = self.ports.clone();
        let mut look = Look::new(&*ports, std::mem::take(&mut self.bridges));
        for key in self.phones.keys().cloned().collect::<Vec<_>>() {
            let Some(phone) = self.phones.get(&key) else { continue };
            if found.is_late(&phone.machine) {
                continue;
            }
            let picture = look.picture(&phone.machine, found.phones.get(&key)).await;
            self.feed(&key, Event::Looked(Box::new(picture)));
        }
        let new = found
            .phones
            .iter()
            .filter(|(key, _)| !self.phones.contains_key(key))
            .map(|(key, one)| (key.clone(), one));
        for (key, attached) in new.collect::<Vec<_>>() {
            if self.ending {
                break;
            }
            self.arrived(&key, attached);
            let Some(phone) = self.phones.get(&key) else { continue };
            let picture = look.picture(&phone.machine, Some(attached)).await;
            self.feed(&key, Event::Looked(Box::new(picture)));
        }
        self.bridges = look.end();
        self.out.looked = true;
    }

    fn arrived(&mut self, key: &Key, attached: &Attached) {
        let udid = attached.udid();
        let wanted = self.settings.wanted(udid.as_ref().map_err(String::as_str));
        let now = self.now();
        self.memories.retain(|_, memory| !memory.is_old(&self.policy, now));
        let memory = self.memories.remove(key).unwrap_or_default();
        let machine = Machine::new(self.policy, wanted, memory, attached.address.clone());
        let (id, udid) = (attached.address.id.clone(), udid.ok());
        tracing::info!(
            UDID = udid.as_ref().map(tracing::field::display),
            port = id,
            "a phone was plugged in"
        );
        let phone = Attachment { id, udid, machine, device: None, driver: None, work: None };
        self.happened(&phone, State::Seen, None);
        self.phones.insert(key.clone(), phone);
    }

    fn happened(&self, phone: &Attachment<U::Device>, state: State, reason: Option<Reason>) {
        let joined = joined(&phone.machine).filter(|_| state == State::Joined);
        let udid = phone.udid.as_ref().map(ToString::to_string);
        let happening = Happening { id: phone.id.clone(), udid, state, reason, joined };
        happening.log();
        // Nobody has to listen.
        let _ = self.out.happenings.send(happening);
    }

    /// Hands a machine an event, and does what it wants.
    fn feed(&mut self, key: &Key, event: Event) {
        let now = self.now();
        let Some(phone) = self.phones.get_mut(key) else { return };
        let actions = phone.machine.on(now, event);
        if let Some(usb) = &phone.machine.picture().usb {
            phone.id.clone_from(&usb.address.id);
        }
        for action in actions {
            self.act(key, action);
        }
    }

    fn act(&mut self, key: &Key, action: Action) {
        let Some(phone) = self.phones.get_mut(key) else { return };
        match action {
            // What a look under way has seen may be from before.
            Action::Begin(Work::Look) => (self.stale, self.looking) = (true, None),
            Action::Begin(work) => self.begin(key, work),
            Action::Abandon => phone.work = None,
            Action::Close => phone.device = None,
            Action::Entered(state, reason) => {
                if let Some(phone) = self.phones.get(key) {
                    self.happened(phone, state, reason);
                }
            }
            Action::Forget => {
                let memory = phone.machine.memory();
                self.phones.remove(key);
                self.memories.insert(key.clone(), memory);
                // A look under way may have seen it.
                self.stale |= self.looking.take().is_some();
            }
        }
    }

    fn begin(&mut self, key: &Key, work: Work) {
        self.numbers = self.numbers.wrapping_add(1);
        let number = self.numbers;
        let Some(phone) = self.phones.get_mut(key) else { return };
        let means = Means {
            address: phone.machine.picture().usb.as_ref().map(|usb| usb.address.clone()),
            device: phone.device.clone(),
            driver: if work == Work::StopUserspace { phone.driver.take() } else { None },
        };
        tracing::debug!(port = phone.id, %work, "begins");
        let (tell, key) = (self.tell.clone(), key.clone());
        let task = spawn(self.ports.clone(), means, work, move |what| {
            // Nobody is left to tell it to when the daemon has ended.
            let _ = tell.send(Finished { key, number, what });
        });
        phone.work = Some(UnderWay { number, task });
    }

    /// Work ended, or a driver did. What was abandoned has another number.
    fn finished(&mut self, finished: Results<U, N>) {
        let Finished { key, number, what } = finished;
        let Some(phone) = self.phones.get_mut(&key) else { return };
        if let What::DriverEnded(text) = what {
            if phone.driver.as_ref().is_some_and(|driver| driver.number == number) {
                phone.driver = None;
                self.feed(&key, Event::UserspaceEnded(text));
            }
            return;
        }
        if phone.work.as_ref().is_none_or(|work| work.number != number) {
            return;
        }
        phone.work = None;
        let event = match what {
            What::Event(event) => event,
            What::Opened(device) => {
                phone.device = Some(Arc::new(device));
                Event::Done(Outcome::Opened)
            }
            What::Started(running) => {
                let index = crate::ports::RunningNcm::index(&running);
                phone.driver = Some(Driver::keep(running, key.clone(), number, self.tell.clone()));
                Event::Done(Outcome::UserspaceStarted(index))
            }
            What::DriverEnded(_) => return,
        };
        self.feed(&key, event);
    }

    fn command(&mut self, command: Command) {
        match command {
            // Who asked may have gone.
            Command::Ping(answer) => drop(answer.send(())),
            Command::Reconfigure(settings) => self.reconfigure(*settings),
        }
    }

    /// Takes other settings up. A phone that is allowed no more is given back, and then found anew.
    fn reconfigure(&mut self, settings: Settings) {
        self.settings = settings;
        let mut events = Vec::new();
        for (key, phone) in &mut self.phones {
            let event = match &phone.udid {
                None => Event::Refresh,
                Some(udid) => {
                    let wanted = self.settings.wanted(Ok(udid));
                    if wanted.refusal.is_some() && phone.machine.wanted().refusal.is_none() {
                        Event::Stop { keep: self.settings.keeps(Some(udid)) }
                    } else {
                        phone.machine.want(wanted);
                        Event::Refresh
                    }
                }
            };
            events.push((key.clone(), event));
        }
        for (key, event) in events {
            self.feed(&key, event);
        }
        self.stale = true;
    }

    fn end(&mut self) {
        self.ending = true;
        let settings = self.settings.clone();
        self.each(|phone| Event::Stop { keep: settings.keeps(phone.udid.as_ref()) });
    }

    fn each(&mut self, event: impl Fn(&Attachment<U::Device>) -> Event) {
        let events: Vec<(Key, Event)> =
            self.phones.iter().map(|(key, phone)| (key.clone(), event(phone))).collect();
        for (key, event) in events {
            self.feed(&key, event);
        }
    }

    /// Hands a tick to every machine whose time has come.
    fn tick(&mut self) {
        let now = self.now();
        let due = |phone: &Attachment<U::Device>| phone.machine.deadline().is_some_and(|at| at <= now);
        let due: Vec<Key> =
            self.phones.iter().filter(|(_, phone)| due(phone)).map(|(key, _)| key.clone()).collect();
        for key in due {
            self.feed(&key, Event::Tick);
        }
    }

    fn due(&self) -> Option<Instant> {
        let deadlines = self.phones.values().filter_map(|phone| phone.machine.deadline());
        deadlines.min().and_then(|deadline| self.began.checked_add(deadline))
    }

    fn publish(&mut self) {
        if !self.out.looked {
            return;
        }
        let now = self.now();
        let of =
            |phone: &Attachment<U::Device>| Phone::of(&phone.id, phone.udid.as_ref(), &phone.machine, now);
        let mut phones: Vec<Phone> = self.phones.values().map(of).collect();
        phones.sort_by(|one, other| one.id.cmp(&other.id));
        let report = Report { version: Some(env!("CARGO_PKG_VERSION").to_owned()), ..Report::new(phones) };
        self.out.report.send_if_modified(|told| {
            let news = !told.says_the_same(&report);
            if news {
                *told = Arc::new(report);
            }
            news
        });
    }
}

/// The interface that joined, and its bridge.
fn joined(machine: &Machine) -> Option<(String, String)> {
    let port = machine.picture().port.as_ref()?;
    Some((port.name.clone(), machine.wanted().bridge.clone()))
}

/// Waits for a change; when they are followed no longer the world is looked at more often instead.
async fn changed(changes: &mut Option<impl Changes>) {
    let Some(follow) = changes else { return pending().await };
    if let Err(error) = follow.changed().await {
        tracing::warn!(%error, "changes are followed no longer: looking often instead");
        *changes = None;
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}
