//! What systemd is told: ready, what goes on, still alive, reloading, stopping. Elsewhere nobody listens.

use std::future::{Future, pending};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Characters of a status at most.
const LONGEST: usize = 512;

/// The program serves.
pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
}

/// What goes on, in one line.
pub fn status(status: &str) {
    send(&[NotifyState::Status(&one_line(status))]);
}

/// The configuration is being read again; [`ready`] says that it was.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(error) => {
            tracing::warn!(%error, "systemd is not told of the reload: there is no monotonic clock");
        }
    }
}

/// The end has begun.
pub fn stopping() {
    send(&[NotifyState::Stopping, NotifyState::Status("shutting down")]);
}

/// Tells systemd's watchdog, for ever, but only while the part that decides `answers` in time: one that hangs is ended and
/// started again.
pub async fn alive_while<A: Future<Output = bool>>(answers: impl Fn() -> A) {
    let Some(often) = watchdog_interval() else { return pending().await };
    let mut ticks = interval(often);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if timeout(often, answers()).await.unwrap_or(false) {
            send(&[NotifyState::Watchdog]);
        } else {
            tracing::error!("the daemon does not answer; systemd will start it again if that goes on");
        }
    }
}

/// Twice in the time after which systemd would end us. Source: sd_watchdog_enabled(3).
fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|longest| longest / 2).filter(|interval| !interval.is_zero())
}

/// A line of the protocol is a message of its own, and a status may repeat what a peer says.
fn one_line(status: &str) -> String {
    status.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(LONGEST).collect()
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd can't be told: is $NOTIFY_SOCKET reachable from here?");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_line_whatever_a_peer_calls_itself() {
        assert_eq!(one_line("waits for x\nSTOPPING=1\r\0"), "waits for x STOPPING=1  ");
        assert_eq!(one_line(&"ü".repeat(5000)).chars().count(), LONGEST);
    }
}
