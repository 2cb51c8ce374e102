//! Looking for silent phones among the neighbours of one interface: when an echo is sent, whom to try, whom to leave
//! alone. Without I/O.
//!
//! An echo to all nodes goes out while nothing announces itself. Whoever answers and is no known phone is tried at RSD's
//! port once; who refuses is left alone for minutes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;
use std::time::Duration;

use super::Known;

/// How long mDNS has to find something before the first echo, and after the last phone has gone.
const SILENCE: Duration = Duration::from_secs(3);
/// Between two echoes while nothing is found.
const ROUND: Duration = Duration::from_secs(30);
/// Between two echoes while something is: another phone beside it may be silent.
const SLOW_ROUND: Duration = Duration::from_secs(300);
/// So many that announce themselves are no desk and no lab: a phone among them may not be heard.
const CROWD: usize = 64;
/// Between any two echoes, however often it is asked to look again.
const SPACING: Duration = Duration::from_secs(1);
/// How long a neighbour is left alone that has refused once: a phone that starts answers echoes before RSD.
const FIRST_REST: Duration = Duration::from_secs(60);
/// How long one is left alone that has refused more often.
const REST: Duration = Duration::from_secs(600);
/// A neighbour that refused this long ago gives its place to a new one.
const STALE: Duration = Duration::from_secs(300);
/// Rounds without an answer after which a neighbour is forgotten.
const MISSED: u64 = 3;
/// Neighbours that are remembered.
pub(super) const REMEMBERED: usize = 64;
/// Neighbours that are tried at once.
pub(super) const AT_ONCE: usize = 8;

/// What happens.
#[derive(Debug, Clone)]
pub(super) enum Input {
    /// The deadline has come.
    Timer,
    /// Somebody wants everything looked at again.
    Refresh,
    /// These addresses are our own on this interface.
    Own(BTreeSet<Ipv6Addr>),
    /// These are phones, here or elsewhere.
    Known(Known),
    /// This neighbour announces itself.
    Announced(Ipv6Addr),
    /// It does not any more.
    Retracted(Ipv6Addr),
    /// This neighbour answered an echo.
    Answered(Ipv6Addr),
    /// RSD's port was tried: whether it is open.
    Tried(Ipv6Addr, bool),
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Send an echo to all nodes.
    Echo,
    /// Try RSD's port; [`Input::Tried`] is the answer.
    Try(Ipv6Addr),
    /// A phone may be there.
    Sighted(Ipv6Addr),
    /// It is not there any more.
    Unsighted(Ipv6Addr),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// To be tried when its turn comes.
    Waiting {
        refusals: u32,
    },
    Trying {
        refusals: u32,
    },
    /// The port is open: it was reported.
    Open,
    Refused {
        refusals: u32,
        since: Duration,
        until: Duration,
    },
}

#[derive(Debug)]
struct Neighbour {
    /// The round of its last answer.
    heard: u64,
    fate: Fate,
}

/// The search on one interface.
#[derive(Debug)]
pub(super) struct Plan {
    random: fastrand::Rng,
    own: BTreeSet<Ipv6Addr>,
    /// Reported whatever happens here: addresses that the configuration names.
    configured: BTreeSet<Ipv6Addr>,
    known: Known,
    announced: BTreeSet<Ipv6Addr>,
    neighbours: BTreeMap<Ipv6Addr, Neighbour>,
    round: u64,
    last_echo: Option<Duration>,
    next_echo: Duration,
}

impl Plan {
    /// From `now` on, when the interface became usable. `seed` spreads what is done in time.
    pub(super) fn new(now: Duration, configured: BTreeSet<Ipv6Addr>, seed: u64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            own: BTreeSet::new(),
            configured,
            known: Known::new(),
            announced: BTreeSet::new(),
            neighbours: BTreeMap::new(),
            round: 0,
            last_echo: None,
            next_echo: now + SILENCE,
        }
    }

    /// When [`Input::Timer`] is wanted.
    pub(super) fn deadline(&self) -> Duration {
        self.next_echo
    }

    /// Takes one input at time `now`, measured from any fixed moment.
    pub(super) fn on(&mut self, now: Duration, input: Input) -> Vec<Action> {
        let (had, mut actions) = (self.has_found(), Vec::new());
        match input {
            Input::Timer => {}
            Input::Refresh => self.refresh(now, &mut actions),
            Input::Own(own) => self.own = own,
            Input::Known(known) => self.learn(known),
            // From now on its announcement speaks for it.
            Input::Announced(address) => {
                self.announced.insert(address);
                self.neighbours.remove(&address);
            }
            Input::Retracted(address) => drop(self.announced.remove(&address)),
            Input::Answered(address) => self.answered(now, address),
            Input::Tried(address, open) => actions.extend(self.tried(now, address, open)),
        }
        match (had, self.has_found()) {
            (true, false) => self.next_echo = self.next_echo.min(now + SILENCE),
            (false, true) => self.next_echo = now + spread(&mut self.random, SLOW_ROUND),
            _ => {}
        }
        if self.next_echo <= now {
            self.echo(now, &mut actions);
        }
        self.try_some(&mut actions);
        actions
    }

    /// Whether what is on this interface is known.
    fn has_found(&self) -> bool {
        (1..CROWD).contains(&self.announced.len())
            || self.neighbours.keys().any(|address| is_in_use(&self.known, address))
    }

    fn is_of_interest(&self, address: &Ipv6Addr) -> bool {
        let spoken_for = [&self.own, &self.configured, &self.announced];
        !self.known.contains_key(address) && !spoken_for.into_iter().any(|others| others.contains(address))
    }

    fn refresh(&mut self, now: Duration, actions: &mut Vec<Action>) {
        self.neighbours.retain(|_, neighbour| !matches!(neighbour.fate, Fate::Refused { .. }));
        let open = self.neighbours.iter().filter(|(_, neighbour)| neighbour.fate == Fate::Open);
        let unknown = open.filter(|(address, _)| self.is_of_interest(address));
        actions.extend(unknown.map(|(address, _)| Action::Sighted(*address)));
        self.next_echo = self.last_echo.map_or(now, |last| now.max(last + SPACING));
    }

    /// A phone that was known and is not any more may be another one when it answers again.
    fn learn(&mut self, known: Known) {
        let old = std::mem::replace(&mut self.known, known);
        for address in old.keys().filter(|address| !self.known.contains_key(address)) {
            self.neighbours.remove(address);
        }
    }

    fn answered(&mut self, now: Duration, address: Ipv6Addr) {
        let told = [&self.own, &self.announced].into_iter().any(|others| others.contains(&address));
        let configured = self.configured.contains(&address) && !self.known.contains_key(&address);
        if told || configured || !address.is_unicast_link_local() {
            return;
        }
        let round = self.round;
        if let Some(neighbour) = self.neighbours.get_mut(&address) {
            neighbour.heard = round;
            if let Fate::Refused { refusals, until, .. } = neighbour.fate
                && until <= now
            {
                neighbour.fate = Fate::Waiting { refusals };
            }
        } else if self.neighbours.len() < REMEMBERED || self.forget_a_stale_one(now) {
            let fate = Fate::Waiting { refusals: 0 };
            self.neighbours.insert(address, Neighbour { heard: round, fate });
        }
    }

    /// Makes room for one in sixteen who ask: else those who are quick to answer would take turns among themselves.
    fn forget_a_stale_one(&mut self, now: Duration) -> bool {
        if self.random.u8(..16) != 0 {
            return false;
        }
        let refused = self.neighbours.iter().filter_map(|(address, neighbour)| match neighbour.fate {
            Fate::Refused { since, .. } if since + STALE <= now => Some((since, *address)),
            _ => None,
        });
        let oldest = refused.min();
        oldest.is_some_and(|(_, address)| self.neighbours.remove(&address).is_some())
    }

    fn tried(&mut self, now: Duration, address: Ipv6Addr, open: bool) -> Option<Action> {
        let rest = |refusals| if refusals == 0 { FIRST_REST } else { REST };
        let interesting = self.is_of_interest(&address);
        // Forgotten in the meantime: the answer is nobody's.
        let neighbour = self.neighbours.get_mut(&address)?;
        let Fate::Trying { refusals } = neighbour.fate else { return None };
        if open {
            neighbour.fate = Fate::Open;
            return interesting.then_some(Action::Sighted(address));
        }
        let until = now + spread(&mut self.random, rest(refusals));
        neighbour.fate = Fate::Refused { refusals: refusals.saturating_add(1), since: now, until };
        None
    }

    /// Begins a round: who missed too many is forgotten first.
    fn echo(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let (round, known) = (self.round, &self.known);
        self.neighbours.retain(|address, neighbour| {
            // Whether a phone that is in use is there is not ours to say.
            let kept = is_in_use(known, address) || matches!(neighbour.fate, Fate::Trying { .. });
            let here = kept || round - neighbour.heard < MISSED;
            if !here && neighbour.fate == Fate::Open {
                actions.push(Action::Unsighted(*address));
            }
            here
        });
        self.round += 1;
        self.last_echo = Some(now);
        let pause = if self.has_found() { SLOW_ROUND } else { ROUND };
        self.next_echo = now + spread(&mut self.random, pause);
        actions.push(Action::Echo);
    }

    fn try_some(&mut self, actions: &mut Vec<Action>) {
        let trying = |neighbour: &&Neighbour| matches!(neighbour.fate, Fate::Trying { .. });
        let free = AT_ONCE - self.neighbours.values().filter(trying).count().min(AT_ONCE);
        let waiting = self.neighbours.iter().filter_map(|(address, neighbour)| match neighbour.fate {
            Fate::Waiting { refusals } if self.is_of_interest(address) => Some((*address, refusals)),
            _ => None,
        });
        let next: Vec<_> = waiting.take(free).collect();
        for (address, refusals) in next {
            if let Some(neighbour) = self.neighbours.get_mut(&address) {
                neighbour.fate = Fate::Trying { refusals };
                actions.push(Action::Try(address));
            }
        }
    }
}

/// Whether a phone there is tried by its owner, who then sees when it leaves.
fn is_in_use(known: &Known, address: &Ipv6Addr) -> bool {
    known.get(address).is_some_and(|resting| !resting)
}

/// Up to a fifth more or less, so that many hosts do not act at the same moment.
fn spread(random: &mut fastrand::Rng, time: Duration) -> Duration {
    time.mul_f64(0.8 + 0.4 * random.f64())
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
