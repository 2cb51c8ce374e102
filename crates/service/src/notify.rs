//! What systemd is told: ready, what goes on, still alive, reloading, stopping. Elsewhere nobody listens.

use std::time::Duration;

use sd_notify::NotifyState;

/// The program serves.
pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// What goes on, in one line.
pub fn status(status: &str) {
    send(&[NotifyState::Status(status)]);
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

/// Still alive.
pub fn alive() {
    send(&[NotifyState::Watchdog]);
}

/// How often systemd wants to hear [`alive`]: twice in the time after which it would end us. Source: sd_watchdog_enabled(3).
pub fn alive_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|longest| longest / 2).filter(|interval| !interval.is_zero())
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd can't be told: is $NOTIFY_SOCKET reachable from here?");
    }
}
