//! Who waits for a tunnel, and what they are told.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::handle::CommandError;
use crate::model::{Device, State, Tunnel};

/// How long a phone that is not here is waited for: it may be found by the search that the command began.
const ARRIVAL: Duration = Duration::from_secs(4);

/// Somebody who asked for a tunnel.
#[derive(Debug)]
struct Waiter {
    udid: String,
    /// Until when the phone has to be here; none when that is over.
    arrives_by: Option<Instant>,
    answer: oneshot::Sender<Result<Tunnel, CommandError>>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Waiters(Vec<Waiter>);

impl Waiters {
    pub(super) fn add(
        &mut self,
        udid: String,
        now: Instant,
        answer: oneshot::Sender<Result<Tunnel, CommandError>>,
    ) {
        self.0.push(Waiter { udid, arrives_by: Some(now + ARRIVAL), answer });
    }

    /// Answers those whose phone has come to an end of its way; `find` gives a phone by UDID.
    pub(super) fn settle(&mut self, now: Instant, find: impl Fn(&str) -> Option<Device>) {
        let waiting = std::mem::take(&mut self.0);
        for mut waiter in waiting {
            if waiter.answer.is_closed() {
                continue;
            }
            waiter.arrives_by = waiter.arrives_by.filter(|at| now < *at);
            match verdict(&waiter.udid, find(&waiter.udid), waiter.arrives_by.is_none()) {
                Some(answer) => drop(waiter.answer.send(answer)),
                None => self.0.push(waiter),
            }
        }
    }

    /// When to look again although nothing has happened.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.iter().filter_map(|waiter| waiter.arrives_by).min()
    }
}

fn verdict(udid: &str, device: Option<Device>, late: bool) -> Option<Result<Tunnel, CommandError>> {
    let here = device.filter(|device| device.state != State::Gone);
    let Some(device) = here else {
        return late.then(|| Err(CommandError::UnknownDevice(udid.to_owned())));
    };
    match (device.state, device.tunnel) {
        (state, Some(tunnel)) if state.is_usable() => Some(Ok(tunnel)),
        (State::Down | State::Held | State::Locked | State::Stopped | State::Unsupported, _) => {
            let text = device.reason.map_or_else(|| device.state.name().to_owned(), |reason| reason.text);
            Some(Err(CommandError::Failed { udid: device.identity.udid, text }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Identity;

    fn phone(state: State) -> Device {
        let udid = "00008020-0000000000001234".to_owned();
        let identity = Identity { udid, product_type: None, os_version: None, build: None };
        Device { state, ..Device::gone(identity, 1, Instant::now()) }
    }

    #[test]
    fn a_phone_that_takes_long_is_waited_for_without_looking_all_the_time() {
        let (mut waiters, now) = (Waiters::default(), Instant::now());
        let (answer, mut answered) = oneshot::channel();
        waiters.add("x".to_owned(), now, answer);
        assert_eq!(waiters.deadline(), Some(now + ARRIVAL));
        let asking = || Some(phone(State::AwaitingTrust));
        waiters.settle(now + ARRIVAL, |_| asking());
        assert_eq!(waiters.deadline(), None, "it is here: its next state brings the answer");
        assert!(answered.try_recv().is_err());
        waiters.settle(now + 2 * ARRIVAL, |_| Some(phone(State::Held)));
        assert!(matches!(answered.try_recv(), Ok(Err(CommandError::Failed { .. }))));
    }

    #[test]
    fn a_phone_that_is_not_here_in_time_is_unknown() {
        let (mut waiters, now) = (Waiters::default(), Instant::now());
        let (answer, mut answered) = oneshot::channel();
        waiters.add("x".to_owned(), now, answer);
        waiters.settle(now, |_| None);
        assert!(answered.try_recv().is_err());
        waiters.settle(now + ARRIVAL, |_| None);
        assert!(matches!(answered.try_recv(), Ok(Err(CommandError::UnknownDevice(_)))));
    }
}
