//! What happened lately: one small ring for all streams of events. A stream keeps a place in it and nothing else, so that a listener
//! that does not read costs nothing, and learns what it missed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use super::Stop;
use super::context::Context;
use crate::fleet::Fleet;
use crate::model::Happening;

/// Happenings that are kept.
pub(super) const KEPT: usize = 256;

/// What a stream gets next.
#[derive(Debug, Clone)]
pub(super) enum Next {
    /// Something happened.
    Happened(Happening),
    /// That many are not known any more.
    Missed(u64),
}

/// The ring.
#[derive(Debug)]
pub(super) struct Journal {
    kept: Mutex<VecDeque<Happening>>,
    newest: watch::Sender<u64>,
    /// Tells the numbers of this run of the daemon from an earlier run's.
    run: String,
    /// Where the ring's keeper listens; taken once.
    source: Mutex<Option<broadcast::Receiver<Happening>>>,
}

impl Journal {
    pub(super) fn new(fleet: &Fleet) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            kept: Mutex::default(),
            newest: watch::Sender::new(0),
            run: format!("{:x}", since.as_micros()),
            source: Mutex::new(Some(fleet.happenings())),
        }
    }

    /// How a stream names a happening, so that it can go on behind it later.
    pub(super) fn id(&self, number: u64) -> String {
        format!("{}-{number}", self.run)
    }

    /// Where a stream begins: behind what its `Last-Event-ID` names; without one, at the next happening. An earlier run's means
    /// that everything here is new.
    pub(super) fn place(&self, last: Option<&str>) -> u64 {
        let newest = *self.newest.borrow();
        let Some((run, number)) = last.and_then(|last| last.rsplit_once('-')) else { return newest };
        match number.parse::<u64>() {
            Ok(number) if run == self.run => number.min(newest),
            Ok(_) => 0,
            Err(_) => newest,
        }
    }

    /// Told when there is more.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// What follows `place`, and the place behind it.
    pub(super) fn next(&self, place: u64) -> Option<(Next, u64)> {
        let kept = self.kept();
        let found = kept.iter().find(|happening| happening.number > place)?;
        let missed = found.number.saturating_sub(place).saturating_sub(1);
        Some(match missed {
            0 => (Next::Happened(found.clone()), found.number),
            _ => (Next::Missed(missed), found.number.saturating_sub(1)),
        })
    }

    fn add(&self, happening: Happening) {
        let number = happening.number;
        let mut kept = self.kept();
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(happening);
        drop(kept);
        self.newest.send_replace(number);
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Happening>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the ring until `stop`.
pub(super) async fn keep(context: Arc<Context>, mut stop: Stop) {
    let journal = &context.journal;
    let source = journal.source.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(mut source) = source else { return };
    loop {
        let received = tokio::select! {
            received = source.recv() => received,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match received {
            Ok(happening) => journal.add(happening),
            // The numbers of what comes next tell the streams how many.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::State;

    fn journal() -> Journal {
        Journal::new(&crate::fleet::channel().0)
    }

    fn happening(number: u64) -> Happening {
        let device = "A".to_owned();
        Happening { number, device, generation: 1, state: State::Announced, reason: None }
    }

    fn read(journal: &Journal, mut place: u64) -> Vec<String> {
        let mut all = Vec::new();
        while let Some((next, behind)) = journal.next(place) {
            place = behind;
            all.push(match next {
                Next::Happened(happening) => happening.number.to_string(),
                Next::Missed(missed) => format!("missed {missed}"),
            });
        }
        all
    }

    #[test]
    fn a_stream_goes_on_where_it_was() {
        let journal = journal();
        (1..=5).for_each(|number| journal.add(happening(number)));
        assert_eq!(read(&journal, journal.place(Some(&journal.id(3)))), ["4", "5"]);
        assert_eq!(read(&journal, journal.place(None)), [""; 0]);
        // Another run's, one from the future, and garbage.
        assert_eq!(read(&journal, journal.place(Some("other-4"))).len(), 5);
        assert_eq!(read(&journal, journal.place(Some(&journal.id(99)))), [""; 0]);
        for garbage in ["", "x", "-", "--1", "4", "\u{e9}-x"] {
            assert_eq!(journal.place(Some(garbage)), if garbage == "--1" { 0 } else { 5 }, "{garbage}");
        }
    }

    #[test]
    fn what_is_gone_is_told() {
        let journal = journal();
        let last = KEPT as u64 + 10;
        (1..=last).for_each(|number| journal.add(happening(number)));
        let read = read(&journal, 3);
        assert_eq!(read[..2], ["missed 7", "11"]);
        assert_eq!(read.len(), KEPT + 1);
        assert_eq!(journal.kept().len(), KEPT);
    }
}
