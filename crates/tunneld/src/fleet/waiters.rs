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
    /// Until when the phone has to be here.
    arrives_by: Instant,
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
        self.0.push(Waiter { udid, arrives_by: now + ARRIVAL, answer });
    }

    /// Answers those whose phone has come to an end of its way; `find` gives a phone by UDID.
    pub(super) fn settle(&mut self, now: Instant, find: impl Fn(&str) -> Option<Device>) {
        let waiting = std::mem::take(&mut self.0);
        for waiter in waiting {
            if waiter.answer.is_closed() {
                continue;
            }
            match verdict(&waiter.udid, find(&waiter.udid), now >= waiter.arrives_by) {
                Some(answer) => drop(waiter.answer.send(answer)),
                None => self.0.push(waiter),
            }
        }
    }

    /// When to look again although nothing has happened.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.iter().map(|waiter| waiter.arrives_by).min()
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
