//! Phones read side by side. While a request to a phone is under way the kernel makes who reads its attributes wait, for
//! seconds if it is mute, and the others are to be seen meanwhile.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, timeout_at};

use crate::ports::{Address, Attached, Phones};

/// How long a phone's attributes are waited for: the kernel has them in memory.
const PATIENCE: Duration = Duration::from_millis(500);

/// One read of each phone at a time, also where nobody waits for its end any more.
#[derive(Debug, Clone)]
pub(super) struct Readers {
    patience: Duration,
    turns: Arc<Mutex<BTreeMap<Address, Turn>>>,
}

/// Whose turn it is with a phone, and until when that read is waited for.
#[derive(Debug, Clone)]
struct Turn {
    lock: Arc<tokio::sync::Mutex<()>>,
    until: Instant,
}

impl Default for Readers {
    fn default() -> Self {
        Self { patience: PATIENCE, turns: Arc::default() }
    }
}

impl Readers {
    /// Reads the phones at these addresses. One that is gone meanwhile is left out.
    pub(super) async fn read(
        &self,
        addresses: Vec<Address>,
        read: impl Fn(Address) -> Option<Attached> + Clone + Send + 'static,
    ) -> Phones {
        self.turns().retain(|address, turn| addresses.contains(address) || turn.lock.try_lock().is_err());
        let mut reads = JoinSet::new();
        for address in addresses {
            reads.spawn(self.clone().one(address, read.clone()));
        }
        let mut phones = Phones::default();
        while let Some(done) = reads.join_next().await {
            match done {
                Ok(Ok(attached)) => phones.attached.extend(attached),
                Ok(Err(address)) => phones.late.push(address),
                Err(error) => tracing::debug!(%error, "a phone was not read"),
            }
        }
        phones.attached.sort_by(|a, b| a.address.cmp(&b.address));
        phones
    }

    /// Reads one, or says that it is late.
    async fn one(
        self,
        address: Address,
        read: impl FnOnce(Address) -> Option<Attached> + Send + 'static,
    ) -> Result<Option<Attached>, Address> {
        let Turn { lock, until } = self.turn(&address);
        // One that is stuck since an earlier look is waited for no longer; what it brings is from then.
        let Ok(turn) = timeout_at(until, lock.clone().lock_owned()).await else { return Err(address) };
        let until = self.until();
        self.turns().insert(address.clone(), Turn { lock, until });
        let place = address.clone();
        let reading = spawn_blocking(move || {
            let _turn = turn;
            read(place)
        });
        match timeout_at(until, reading).await {
            Ok(Ok(attached)) => Ok(attached),
            Ok(Err(_)) | Err(_) => Err(address),
        }
    }

    fn turn(&self, address: &Address) -> Turn {
        let first = || Turn { lock: Arc::default(), until: self.until() };
        self.turns().entry(address.clone()).or_insert_with(first).clone()
    }

    fn until(&self) -> Instant {
        let now = Instant::now();
        now.checked_add(self.patience).unwrap_or(now)
    }

    fn turns(&self) -> MutexGuard<'_, BTreeMap<Address, Turn>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn address(device: u8) -> Address {
        Address { id: format!("1-{device}"), bus: 1, device }
    }

    fn attached(address: Address) -> Attached {
        let (descriptors, drivers, netdevs) = (Vec::new(), Vec::new(), Vec::new());
        Attached { address, descriptors, configuration: None, serial: None, drivers, netdevs }
    }

    fn readers(patience: Duration) -> Readers {
        Readers { patience, ..Readers::default() }
    }

    #[tokio::test]
    async fn a_phone_that_is_locked_is_late_alone_and_is_read_once_at_a_time() {
        let kernel = Arc::new(Mutex::new(()));
        let reads = Arc::new(AtomicUsize::new(0));
        let (phone, count) = (Arc::clone(&kernel), Arc::clone(&reads));
        let locked = move |address: Address| {
            count.fetch_add(1, Ordering::SeqCst);
            drop(phone.lock());
            Some(attached(address))
        };
        let busy = kernel.lock();
        let mut readers = readers(Duration::from_millis(10));
        for _ in 0..3 {
            let phones = readers.read(vec![address(1)], locked.clone()).await;
            assert_eq!(phones, Phones { attached: Vec::new(), late: vec![address(1)] });
        }
        assert_eq!(reads.load(Ordering::SeqCst), 1);

        readers.patience = Duration::from_secs(600);
        let both = vec![address(1), address(2)];
        let only = |at: Address| (at == address(2)).then(|| attached(at));
        let phones = readers.read(both.clone(), only).await;
        assert_eq!(phones, Phones { attached: vec![attached(address(2))], late: vec![address(1)] });

        drop(busy);
        let lock = readers.turn(&address(1)).lock;
        drop(lock.lock().await);
        let phones = readers.read(both, locked).await;
        assert_eq!(
            phones,
            Phones { attached: vec![attached(address(1)), attached(address(2))], late: vec![] }
        );
    }

    #[tokio::test]
    async fn a_phone_that_is_gone_is_remembered_while_its_read_is_stuck() {
        let kernel = Arc::new(Mutex::new(()));
        let phone = Arc::clone(&kernel);
        let locked = move |_| {
            drop(phone.lock());
            None
        };
        let busy = kernel.lock();
        let readers = readers(Duration::from_millis(10));
        assert_eq!(readers.read(vec![address(1)], locked.clone()).await.late, [address(1)]);
        assert_eq!(readers.read(Vec::new(), locked.clone()).await, Phones::default());
        assert_eq!(readers.turns().len(), 1);
        drop(busy);
        let lock = readers.turn(&address(1)).lock;
        drop(lock.lock().await);
        assert_eq!(readers.read(Vec::new(), locked).await, Phones::default());
        assert_eq!(readers.turns().len(), 0);
    }
}
