//! The machine.

use std::time::Duration;

use super::backoff;
use super::event::{Action, Event};
use super::failure::{Failure, Kind};
use super::hop::Hop;
use super::policy::Policy;
use crate::model::{Reason, State};

/// The longest pause that a phone may ask for. Its longest known one is 8316 s (protocol.md §5).
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a tunnel stays down that a client cancelled.
const CANCELLED: Duration = Duration::from_secs(5);

/// One attached phone.
#[derive(Debug)]
pub struct Machine {
    policy: Policy,
    may_pair: bool,
    spread: fastrand::Rng,
    state: State,
    reason: Option<Reason>,
    /// The hop that runs and when it is late.
    hop: Option<(Hop, Duration)>,
    retry_at: Option<Duration>,
    doubt_until: Option<Duration>,
    usable_since: Option<Duration>,
    failures: u32,
    /// How often nobody answered, in a row.
    unreached: u32,
    announced: bool,
    /// Whether somebody would say that it left: nobody does of a neighbour that was tried.
    spoken_for: bool,
    /// Whether a person asked for this pairing.
    asked_to_pair: bool,
}

impl Machine {
    /// A phone that was just sighted. `may_pair` says whether it may be asked for trust without a person's command;
    /// `seed` spreads the pauses.
    pub fn new(policy: Policy, may_pair: bool, seed: u64) -> Self {
        Self {
            policy,
            may_pair,
            spread: fastrand::Rng::with_seed(seed),
            state: State::Announced,
            reason: None,
            hop: None,
            retry_at: None,
            doubt_until: None,
            usable_since: None,
            failures: 0,
            unreached: 0,
            announced: true,
            spoken_for: true,
            asked_to_pair: false,
        }
    }

    /// Takes other deadlines, from the next hop on, and whether it may be asked for trust without a person's command.
    pub fn reconfigure(&mut self, policy: Policy, may_pair: bool) {
        (self.policy, self.may_pair) = (policy, may_pair);
    }

    /// Says whether its leaving would be told. Where not, failures alone show that it left.
    pub fn set_spoken_for(&mut self, spoken_for: bool) {
        self.spoken_for = spoken_for;
    }

    /// Where it is.
    pub fn state(&self) -> State {
        self.state
    }

    /// Why.
    pub fn reason(&self) -> Option<&Reason> {
        self.reason.as_ref()
    }

    /// When it tries again.
    pub fn retry_at(&self) -> Option<Duration> {
        self.retry_at
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        if self.usable_since.is_some() { 0 } else { self.failures }
    }

    /// Whether a hop runs.
    pub fn is_under_way(&self) -> bool {
        self.hop.is_some()
    }

    /// Whether nothing will be tried until somebody says so: then no failure shows that the phone has left.
    pub fn is_resting(&self) -> bool {
        matches!(self.state, State::Held | State::Stopped | State::Unsupported | State::Spare)
    }

    /// When [`Event::Tick`] is wanted next.
    pub fn deadline(&self) -> Option<Duration> {
        [self.hop.map(|(_, late)| late), self.retry_at, self.doubt_until].into_iter().flatten().min()
    }

    /// Takes one event at time `now`, measured from any fixed moment.
    pub fn on(&mut self, now: Duration, event: Event) -> Vec<Action> {
        match event {
            Event::Sighted => self.sighted(now),
            Event::Moved => {
                (self.failures, self.announced, self.asked_to_pair) = (0, true, false);
                if self.state == State::Stopped { self.start_over(now) } else { self.restart(now) }
            }
            Event::Unsighted => self.unsighted(now),
            Event::LinkLost => vec![Action::Reset, Action::Forget],
            Event::Done => self.done(now),
            Event::AwaitingTrust => self.awaiting_trust(now),
            Event::Failed(failure) => self.fail(now, failure),
            Event::TunnelEnded(text) => self.tunnel_ended(now, &text),
            Event::Start => self.start(now),
            Event::Pair => self.pair(now),
            Event::Stop => {
                self.rest(State::Stopped, "its tunnel was stopped", Some("start it again with `start`"))
            }
            Event::Cancelled => self.cancelled(now),
            Event::Forgotten => self.rest(
                State::Held,
                "this host forgot its pairing with the phone",
                Some("pair again, and tap Trust on the phone"),
            ),
            Event::Refresh => self.refresh(now),
            Event::Reconsidered if matches!(self.state, State::Unsupported | State::Held) => {
                self.start_over(now)
            }
            Event::Reconsidered => Vec::new(),
            Event::Superseded => self.rest(State::Spare, "the phone is reached at another address", None),
            Event::Promoted => self.restart(now),
            Event::OtherFailed => self.try_this_one(now),
            Event::Tick => self.tick(now),
        }
    }

    fn sighted(&mut self, now: Duration) -> Vec<Action> {
        let again = !std::mem::replace(&mut self.announced, true);
        match self.state {
            State::Announced => self.begin(now, Hop::Rsd),
            State::Suspect => self.trust_again(),
            // It went and came back: whatever it waited for, it is another attachment.
            State::Down | State::Held | State::Locked if again => self.start_over(now),
            _ => Vec::new(),
        }
    }

    fn unsighted(&mut self, now: Duration) -> Vec<Action> {
        self.announced = false;
        match self.state {
            State::CatalogueKnown => {
                self.state = State::Suspect;
                self.reason = Some(Reason::new(
                    "the phone is not announced any more; its tunnel has not ended yet",
                    None,
                ));
                self.doubt_until = Some(now.saturating_add(self.policy.suspect));
                Vec::new()
            }
            // A hop ends by itself, well or not.
            _ if self.hop.is_some() || self.state == State::Suspect => Vec::new(),
            _ => vec![Action::Reset, Action::Forget],
        }
    }

    /// A tunnel that outlived the doubt has shown that the phone is there.
    fn trust_again(&mut self) -> Vec<Action> {
        (self.state, self.reason, self.doubt_until) = (State::CatalogueKnown, None, None);
        Vec::new()
    }

    fn done(&mut self, now: Duration) -> Vec<Action> {
        let Some((hop, _)) = self.hop.take() else { return Vec::new() };
        match hop {
            Hop::Rsd => {
                self.unreached = 0;
                let may_ask = self.may_pair || self.asked_to_pair;
                self.begin(now, Hop::Pair { may_ask })
            }
            Hop::Pair { .. } => {
                self.asked_to_pair = false;
                self.begin(now, Hop::Tunnel)
            }
            Hop::Tunnel => self.begin(now, Hop::Catalogue),
            Hop::Catalogue => {
                (self.state, self.reason) = (State::CatalogueKnown, None);
                self.usable_since = Some(now);
                if self.announced { Vec::new() } else { self.unsighted(now) }
            }
        }
    }

    fn awaiting_trust(&mut self, now: Duration) -> Vec<Action> {
        // A phone that says so again has its user asked no longer.
        if let Some((Hop::Pair { .. }, late)) = &mut self.hop
            && self.state != State::AwaitingTrust
        {
            *late = now.saturating_add(self.policy.trust);
            self.state = State::AwaitingTrust;
            self.reason = Some(Reason::new(
                "the phone asks its user whether to trust this computer",
                Some("tap Trust on the phone"),
            ));
        }
        Vec::new()
    }

    fn tunnel_ended(&mut self, now: Duration, text: &str) -> Vec<Action> {
        let settled = |since: Duration| now.saturating_sub(since) >= self.policy.settled;
        if self.usable_since.is_some_and(settled) {
            self.failures = 0;
        }
        self.fail(now, Failure::retry(format!("the tunnel ended: {text}")))
    }

    fn fail(&mut self, now: Duration, failure: Failure) -> Vec<Action> {
        self.clear();
        // A locked phone does nothing wrong: whatever fails once it is unlocked fails for the first time.
        let counts = failure.kind != Kind::Locked;
        self.failures = self.failures.saturating_add(u32::from(counts));
        let pause = backoff::pause(self.failures, self.spread.u64(..));
        let (state, retry) = match failure.kind {
            Kind::Retry | Kind::Unreachable => (State::Down, Some(pause)),
            Kind::RetryAfter(asked) => (State::Down, Some(asked.max(pause).min(LONGEST_PAUSE))),
            Kind::Locked => (State::Locked, Some(self.policy.locked)),
            Kind::Hold => (State::Held, None),
            Kind::Unsupported => (State::Unsupported, None),
        };
        let unreachable = failure.kind == Kind::Unreachable;
        self.unreached = if unreachable { self.unreached.saturating_add(1) } else { 0 };
        (self.state, self.reason) = (state, Some(failure.reason));
        self.retry_at = retry.map(|pause| now.saturating_add(pause));
        self.asked_to_pair &= retry.is_some();
        let exhausted = self.unreached >= self.policy.unannounced_attempts;
        let gone = exhausted && !(self.announced && self.spoken_for);
        if gone { vec![Action::Reset, Action::Forget] } else { self.leave() }
    }

    /// Closes everything. Who is not announced any more and will not be tried again is gone: no other word of it comes.
    fn leave(&self) -> Vec<Action> {
        let waits = self.announced || self.retry_at.is_some();
        if waits { vec![Action::Reset] } else { vec![Action::Reset, Action::Forget] }
    }

    /// At once, unless it has failed as well: then after a pause, so that two ways that fail do not chase each other.
    fn try_this_one(&mut self, now: Duration) -> Vec<Action> {
        if self.failures == 0 {
            return self.restart(now);
        }
        self.clear();
        self.state = State::Down;
        self.reason = Some(Reason::new("the phone is reached at no other address either", None));
        self.retry_at = Some(now.saturating_add(backoff::pause(self.failures, self.spread.u64(..))));
        vec![Action::Reset]
    }

    fn cancelled(&mut self, now: Duration) -> Vec<Action> {
        if !matches!(self.state, State::TunnelUp | State::CatalogueKnown | State::Suspect) {
            return Vec::new();
        }
        self.clear();
        self.state = State::Down;
        self.reason = Some(Reason::new("a client cancelled the tunnel", None));
        self.retry_at = Some(now.saturating_add(CANCELLED));
        vec![Action::Reset]
    }

    fn start(&mut self, now: Duration) -> Vec<Action> {
        match self.state {
            State::Announced | State::Down | State::Locked | State::Held | State::Stopped | State::Spare => {
                self.start_over(now)
            }
            _ => Vec::new(),
        }
    }

    /// Asks, also where the way that is begun would not.
    fn pair(&mut self, now: Duration) -> Vec<Action> {
        let actions = match self.hop {
            Some((Hop::Pair { may_ask: false }, _)) => self.start_over(now),
            _ => self.start(now),
        };
        self.asked_to_pair = matches!(self.hop, Some((Hop::Rsd, _)));
        actions
    }

    fn refresh(&mut self, now: Duration) -> Vec<Action> {
        match self.state {
            State::Down | State::Locked => self.restart(now),
            _ => Vec::new(),
        }
    }

    fn start_over(&mut self, now: Duration) -> Vec<Action> {
        self.failures = 0;
        self.restart(now)
    }

    fn restart(&mut self, now: Duration) -> Vec<Action> {
        self.clear();
        let mut actions = vec![Action::Reset];
        actions.extend(self.begin(now, Hop::Rsd));
        actions
    }

    /// Closes everything and stays so until somebody says otherwise.
    fn rest(&mut self, state: State, text: &str, next_step: Option<&str>) -> Vec<Action> {
        if self.state == State::Unsupported {
            return Vec::new();
        }
        self.clear();
        (self.state, self.asked_to_pair) = (state, false);
        self.reason = Some(Reason::new(text, next_step));
        self.leave()
    }

    fn tick(&mut self, now: Duration) -> Vec<Action> {
        if let Some((hop, late)) = self.hop
            && now >= late
        {
            let failure = match self.state {
                State::AwaitingTrust => Failure::untrusted(self.policy.trust),
                _ => Failure::late(hop, self.policy.deadline(hop)),
            };
            return self.fail(now, failure);
        }
        if self.retry_at.is_some_and(|at| now >= at) {
            return self.restart(now);
        }
        if self.doubt_until.is_some_and(|until| now >= until) {
            return self.trust_again();
        }
        Vec::new()
    }

    fn begin(&mut self, now: Duration, hop: Hop) -> Vec<Action> {
        self.retry_at = None;
        self.reason = None;
        self.state = hop.state();
        self.hop = Some((hop, now.saturating_add(self.policy.deadline(hop))));
        vec![Action::Begin(hop)]
    }

    fn clear(&mut self) {
        (self.hop, self.retry_at, self.doubt_until, self.usable_since) = (None, None, None, None);
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
