//! The bounded queue between connections and the disk. Putting a packet into it never waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::SystemTime;

use crate::pcapng::Direction;

/// What the queue holds at most, in packets and in bytes of packets.
const MAX_PACKETS: usize = 8192;
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// A packet on its way to the file.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) scope: u32,
    pub(crate) time: SystemTime,
    pub(crate) direction: Direction,
    pub(crate) bytes: Vec<u8>,
    /// How many were dropped since the record before.
    pub(crate) dropped: u64,
}

#[derive(Debug)]
pub(crate) enum Item {
    Record(Record),
    End,
}

#[derive(Debug, Default)]
struct Counters {
    queued_bytes: AtomicUsize,
    /// Dropped since the last record that found a place.
    dropped: AtomicU64,
}

/// The end that connections hold.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    items: SyncSender<Item>,
    counters: Arc<Counters>,
}

/// The end that the writer holds.
#[derive(Debug)]
pub(crate) struct Queue {
    items: Receiver<Item>,
    counters: Arc<Counters>,
}

pub(crate) fn queue() -> (Sender, Queue) {
    let (sender, receiver) = sync_channel(MAX_PACKETS);
    let counters = Arc::new(Counters::default());
    (Sender { items: sender, counters: Arc::clone(&counters) }, Queue { items: receiver, counters })
}

impl Sender {
    /// Queues a packet, or counts it as dropped when there is no place.
    pub(crate) fn put(&self, mut record: Record) {
        let length = record.bytes.len();
        let queued = self.counters.queued_bytes.fetch_add(length, Ordering::Relaxed);
        let dropped = self.counters.dropped.swap(0, Ordering::Relaxed);
        record.dropped = dropped;
        let room = queued.saturating_add(length) <= MAX_BYTES;
        if room && self.items.try_send(Item::Record(record)).is_ok() {
            return;
        }
        self.counters.queued_bytes.fetch_sub(length, Ordering::Relaxed);
        self.counters.dropped.fetch_add(dropped.saturating_add(1), Ordering::Relaxed);
    }

    /// Tells the writer to stop after what is queued. Waits for a place in the queue.
    pub(crate) fn end(&self) {
        // The writer being gone already is what is asked for.
        let _ = self.items.send(Item::End);
    }
}

impl Queue {
    /// The next packet; nothing after the end.
    pub(crate) fn next(&self) -> Option<Record> {
        match self.items.recv() {
            Ok(Item::Record(record)) => {
                self.counters.queued_bytes.fetch_sub(record.bytes.len(), Ordering::Relaxed);
                Some(record)
            }
            Ok(Item::End) | Err(_) => None,
        }
    }

    /// Packets dropped after the last that was queued.
    pub(crate) fn dropped_at_the_end(&self) -> u64 {
        self.counters.dropped.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(length: usize) -> Record {
        Record {
            scope: 0,
            time: SystemTime::UNIX_EPOCH,
            direction: Direction::Inbound,
            bytes: vec![0; length],
            dropped: 0,
        }
    }

    #[test]
    fn what_finds_no_place_is_counted_on_the_next_record() {
        let (sender, queue) = queue();
        for _ in 0..MAX_PACKETS + 3 {
            sender.put(record(1));
        }
        assert_eq!(queue.next().unwrap().dropped, 0);
        sender.put(record(1));
        for _ in 2..=MAX_PACKETS {
            assert_eq!(queue.next().unwrap().dropped, 0);
        }
        assert_eq!(queue.next().unwrap().dropped, 3);
        assert_eq!(queue.dropped_at_the_end(), 0);
    }

    #[test]
    fn bytes_are_bounded_as_well_as_packets() {
        let (sender, queue) = queue();
        sender.put(record(MAX_BYTES));
        sender.put(record(1));
        assert_eq!(queue.next().unwrap().bytes.len(), MAX_BYTES);
        assert_eq!(queue.dropped_at_the_end(), 1);
        sender.put(record(1));
        assert_eq!(queue.next().unwrap().dropped, 0);
    }

    #[test]
    fn a_writer_that_is_gone_drops_everything_and_blocks_nobody() {
        let (sender, queue) = queue();
        drop(queue);
        sender.put(record(1));
        sender.end();
        assert_eq!(sender.counters.dropped.load(Ordering::Relaxed), 1);
    }
}
