//! What all faces share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use tokio::sync::{Semaphore, watch};

use super::Stop;
use super::guard::Refusal;
use super::journal::Journal;
use super::lease::{Held, Leases};
use super::pymobiledevice3::Upstreams;
use crate::fleet::Fleet;

/// Connections at once over all listeners; one more is closed at once.
pub(super) const CONNECTIONS: usize = 512;
/// Bridges at once. Source: protocol.md §6 (close code 1013).
pub(super) const BRIDGES: usize = 200;
/// Streams of events at once.
pub(super) const STREAMS: usize = 64;
/// In which header the holder of a lease shows its token.
pub(super) const LEASE_HEADER: &str = "x-iosmux-lease";

/// What all faces share.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) fleet: Fleet,
    pub(super) upstreams: Upstreams,
    pub(super) journal: Journal,
    /// What listens where: names of faces and addresses.
    pub(super) faces: Vec<(&'static str, String)>,
    /// When the registry began: the epoch of leases.
    pub(super) began: Instant,
    pub(super) counts: Counts,
    pub(super) connections: Semaphore,
    pub(super) bridges: Semaphore,
    pub(super) streams: Semaphore,
    leases: Mutex<Leases>,
    stop: watch::Sender<bool>,
}

/// What is counted here.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) requests: AtomicU64,
    pub(super) connections: AtomicU64,
    pub(super) turned_away: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
}

impl Counts {
    pub(super) fn refuse(&self, refusal: Refusal) {
        if let Some(count) = self.refused.get(refusal as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn refused(&self, refusal: Refusal) -> u64 {
        self.refused.get(refusal as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

impl Context {
    pub(super) fn new(
        fleet: Fleet,
        upstreams: &[String],
        faces: Vec<(&'static str, String)>,
    ) -> Result<Self, String> {
        Ok(Self {
            journal: Journal::new(&fleet),
            fleet,
            upstreams: Upstreams::new(upstreams)?,
            faces,
            began: Instant::now(),
            counts: Counts::default(),
            connections: Semaphore::new(CONNECTIONS),
            bridges: Semaphore::new(BRIDGES),
            streams: Semaphore::new(STREAMS),
            leases: Mutex::default(),
            stop: watch::Sender::new(false),
        })
    }

    /// Ends everything.
    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    pub(super) fn stopped(&self) -> Stop {
        self.stop.subscribe()
    }

    /// The time on the clock of leases.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) fn leases(&self) -> MutexGuard<'_, Leases> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who else holds a phone, so that whoever sent these headers may not take its tunnel down.
    pub(super) fn held_by_other(&self, udid: &str, headers: &HeaderMap) -> Option<Held> {
        self.leases().held_by_other(self.now(), udid, token(headers))
    }

    /// The same for any phone.
    pub(super) fn any_held_by_other(&self, headers: &HeaderMap) -> Option<Held> {
        self.leases().any_held_by_other(self.now(), token(headers))
    }
}

/// The token of a lease that a request shows.
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    headers.get(LEASE_HEADER).and_then(|value| value.to_str().ok())
}
