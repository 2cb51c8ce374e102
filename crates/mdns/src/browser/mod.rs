//! Browsing for one service type on one link: datagrams and time in, queries and events out.

mod cache;
mod entry;
mod schedule;

use std::{
    net::{Ipv6Addr, SocketAddrV6},
    time::Duration,
};

use crate::{
    codec,
    error::ServiceError,
    is_on_link,
    limits::Limits,
    message::{Kind, Message, Question},
    name::{Name, label_text},
    rng::Rng,
    service_type,
};
use cache::{Cache, Change};
use entry::{Context, View};
use schedule::Schedule;

/// The shortest pause between two queries, so that a neighbour can't make us flood the link.
const SPACING: Duration = Duration::from_millis(100);
/// The pause after a query that could not be sent, e.g. before the link-local address exists.
/// Source: protocol.md §2 ("no IPv6 yet → both sides retry every 200 ms").
const RETRY: Duration = Duration::from_millis(200);

/// A socket that a query leaves by or an answer came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Path {
    /// An ephemeral port: responders answer by unicast to it. Source: RFC 6762 §6.7.
    OneShot,
    /// Port 5353, shared with the system's responder, in the multicast group.
    Shared,
}

/// Which sockets a browser uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BrowseMode {
    /// Only an ephemeral port: no multicast is received, records live ten seconds and are asked for again.
    OneShot,
    /// Only the shared port 5353.
    Shared,
    /// Both: the ephemeral port answers first, the shared one hears announcements and goodbyes.
    #[default]
    Both,
}

impl BrowseMode {
    /// The sockets of this mode.
    pub fn paths(self) -> &'static [Path] {
        match self {
            BrowseMode::OneShot => &[Path::OneShot],
            BrowseMode::Shared => &[Path::Shared],
            BrowseMode::Both => &[Path::OneShot, Path::Shared],
        }
    }
}

/// An instance that can be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The instance label as text, e.g. `ncm`; with the sender it identifies the instance among those of its type.
    pub name: String,
    /// The link-local address that announces it. Different phones announce the same name.
    pub sender: Ipv6Addr,
    /// The host name, e.g. `iPhone.local`.
    pub host: String,
    /// The port.
    pub port: u16,
    /// At least one address, link-local first; a link-local one carries the interface index as its scope.
    pub addresses: Vec<SocketAddrV6>,
    /// TXT strings; empty also while no TXT record is known.
    pub txt: Vec<Vec<u8>>,
}

/// What a browser reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrowseEvent {
    /// An instance with a port and an address.
    Found(Instance),
    /// The same instance says something else now.
    Updated(Instance),
    /// It said goodbye, expired, or has no port or address any more.
    Removed {
        /// The instance label, as in [`Instance::name`].
        name: String,
        /// Who had announced it, as in [`Instance::sender`].
        sender: Ipv6Addr,
    },
}

/// What happens to a browser.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// A datagram came in.
    Datagram {
        /// The socket.
        path: Path,
        /// The sender, with the scope that the kernel filled in.
        from: SocketAddrV6,
        /// The payload.
        bytes: &'a [u8],
    },
    /// The deadline has come, or time should be looked at.
    Timer,
    /// A query could not be sent.
    SendFailed,
    /// The link changed: ask again from the start, keep what is known.
    Restart,
}

/// What a browser wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send this to the multicast group by this socket.
    Send {
        /// The socket.
        path: Path,
        /// The payload.
        bytes: Vec<u8>,
    },
    /// Tell the user.
    Event(BrowseEvent),
}

/// What a browser dropped and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Datagrams that are not mDNS messages.
    pub malformed: u64,
    /// Datagrams from another link, from a sender that is not link-local, or responses from a port other than 5353.
    pub foreign: u64,
    /// Records dropped because a limit was reached.
    pub over_limit: u64,
    /// Addresses nobody can connect to: multicast, loopback, unspecified.
    pub unusable_addresses: u64,
}

/// The browser of one service type on one link.
#[derive(Debug)]
pub struct Browser {
    service_type: Name,
    interface_index: u32,
    mode: BrowseMode,
    limits: Limits,
    rng: Rng,
    schedule: Schedule,
    quiet_until: Duration,
    cache: Cache,
    /// When something in the cache wants to be looked at: nothing has to be looked for before.
    cache_due: Duration,
    counters: Counters,
}

impl Browser {
    /// A browser that asks its first question at the first input. `seed` spreads its questions in time.
    ///
    /// # Errors
    /// A text that isn't a service type.
    pub fn new(
        service: &str,
        interface_index: u32,
        mode: BrowseMode,
        limits: Limits,
        seed: u64,
    ) -> Result<Self, ServiceError> {
        Ok(Self {
            service_type: service_type(service)?,
            interface_index,
            mode,
            limits,
            rng: Rng::new(seed),
            schedule: Schedule::at(Duration::ZERO),
            quiet_until: Duration::ZERO,
            cache: Cache::default(),
            cache_due: Duration::MAX,
            counters: Counters::default(),
        })
    }

    /// What was dropped so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Instances and addresses held.
    pub fn sizes(&self) -> (usize, usize) {
        self.cache.sizes()
    }

    /// When [`Input::Timer`] is wanted next.
    pub fn deadline(&self) -> Duration {
        self.schedule.next().min(self.cache_due).max(self.quiet_until)
    }

    /// Takes one input at time `now`, measured from any fixed moment.
    pub fn on(&mut self, now: Duration, input: Input<'_>) -> Vec<Action> {
        let news = match input {
            Input::Datagram { path, from, bytes } => self.receive(now, path, from, bytes),
            Input::Timer => true,
            Input::SendFailed => {
                self.schedule = Schedule::at(now.saturating_add(RETRY));
                true
            }
            Input::Restart => {
                self.schedule = Schedule::at(now);
                true
            }
        };
        // Whoever sends a lot of nothing makes us look through all that is known for none of it.
        if !news && now < self.deadline() {
            return Vec::new();
        }
        let mut actions = self.report(now);
        if now >= self.quiet_until {
            actions.extend(self.ask(now));
        }
        self.cache_due = self.cache.deadline().unwrap_or(Duration::MAX);
        actions
    }

    /// Takes a datagram; false when it says nothing.
    fn receive(&mut self, now: Duration, path: Path, from: SocketAddrV6, bytes: &[u8]) -> bool {
        if !is_on_link(&from, self.interface_index) {
            self.counters.foreign = self.counters.foreign.saturating_add(1);
            return false;
        }
        let message = match codec::decode(bytes, &self.limits) {
            Ok(message) => message,
            Err(error) => {
                self.counters.malformed = self.counters.malformed.saturating_add(1);
                tracing::debug!(%from, %error, "not an mDNS message");
                return false;
            }
        };
        if !message.response {
            return false;
        }
        // Source: RFC 6762 §6 ("MUST silently ignore any response with a source port other than 5353").
        if from.port() != crate::PORT {
            self.counters.foreign = self.counters.foreign.saturating_add(1);
            return false;
        }
        let (limits, rng, counters) = (&self.limits, &mut self.rng, &mut self.counters);
        let mut context = Context { now, sender: *from.ip(), path, limits, rng, counters };
        self.cache.absorb(&self.service_type, &message, &mut context)
    }

    /// Compares what is known with what was said, and says the difference.
    fn report(&mut self, now: Duration) -> Vec<Action> {
        let (gone, changes) = (self.cache.expire(now), self.cache.changes());
        let removed = |sender, name: &Name| BrowseEvent::Removed { name: self.label(name), sender };
        let mut events: Vec<_> = gone.iter().map(|(sender, name)| removed(*sender, name)).collect();
        for Change { sender, name, before, after } in changes {
            events.extend(match (before, after) {
                (None, Some(view)) => Some(BrowseEvent::Found(self.instance(sender, &name, view))),
                (Some(_), Some(view)) => Some(BrowseEvent::Updated(self.instance(sender, &name, view))),
                (Some(_), None) => Some(removed(sender, &name)),
                (None, None) => None,
            });
        }
        events.into_iter().map(Action::Event).collect()
    }

    fn label(&self, name: &Name) -> String {
        name.label_under(&self.service_type).map(label_text).unwrap_or_default()
    }

    fn instance(&self, sender: Ipv6Addr, name: &Name, view: View) -> Instance {
        let View { host, port, addresses, txt } = view;
        let addresses = addresses.into_iter().map(|ip| scoped(ip, port, self.interface_index)).collect();
        Instance { name: self.label(name), sender, host: host.to_string(), port, addresses, txt }
    }

    /// Asks everything that is due in one query for each socket.
    ///
    /// Without known answers: all phones give the same pointer, so naming the one that is known would silence those that
    /// are not. Source: RFC 6762 §7.1; protocol.md §2 (`ncm`, auto-rename disabled).
    fn ask(&mut self, now: Duration) -> Vec<Action> {
        let first = self.schedule.asked() == 0;
        let scheduled = self.schedule.is_due(now);
        let refresh = self.cache.pointer_refresh_due(now);
        let mut questions = self.cache.questions(now, &mut self.rng);
        if scheduled {
            self.schedule.ask(now, self.rng.millis(0, 20));
        }
        if scheduled || refresh {
            questions.insert(0, Question::new(self.service_type.clone(), Kind::Ptr));
        }
        if questions.is_empty() {
            return Vec::new();
        }
        self.quiet_until = now.saturating_add(SPACING);
        let query = self.fit(Message { questions, ..Message::default() });
        self.mode.paths().iter().filter_map(|path| self.send(*path, &query, first && scheduled)).collect()
    }

    /// Leaves out what doesn't fit one frame: a question comes again.
    fn fit(&self, mut query: Message) -> Message {
        while query.wire_len() > self.limits.payload_bytes && query.questions.pop().is_some() {}
        query
    }

    /// A one-shot query needs an id to be told apart; the first query prefers unicast, except by the shared socket when
    /// there is a one-shot one: with 5353 shared, the kernel may hand a unicast answer to another process.
    /// Source: RFC 6762 §5.4 (QU), §15.1 (shared port), §18.1 (id).
    fn send(&mut self, path: Path, query: &Message, first: bool) -> Option<Action> {
        let mut query = query.clone();
        if path == Path::OneShot {
            let random = self.rng.next();
            query.id = u16::try_from(random & 0xffff).unwrap_or(0).max(1);
        }
        let unicast = first && (path == Path::OneShot || self.mode == BrowseMode::Shared);
        query.questions.iter_mut().for_each(|question| question.unicast = unicast);
        match codec::encode(&query, &self.limits) {
            Ok(bytes) => Some(Action::Send { path, bytes }),
            Err(error) => {
                tracing::warn!(%error, "a query could not be encoded");
                None
            }
        }
    }
}

/// A link-local address means nothing without the interface; any other address stands alone.
fn scoped(ip: Ipv6Addr, port: u16, interface_index: u32) -> SocketAddrV6 {
    let scope = if ip.is_unicast_link_local() { interface_index } else { 0 };
    SocketAddrV6::new(ip, port, 0, scope)
}

#[cfg(test)]
mod tests;
