//! The interfaces, followed.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::change::{Change, changes};
use crate::interface::Interface;
#[cfg(target_os = "linux")]
use crate::netlink::Netlink;
use crate::poll;

/// The pause between two looks where the kernel tells no news, and after a failure.
const POLL: Duration = Duration::from_secs(1);
/// News come in bursts: the kernel is asked this long after the first.
#[cfg(target_os = "linux")]
const BURST: Duration = Duration::from_millis(10);
/// The shortest time between two looks, however often an interface goes up and down.
#[cfg(target_os = "linux")]
const PAUSE: Duration = Duration::from_millis(250);

/// The interfaces of the network namespace of the thread that [follows](Self::follow) them.
pub struct Interfaces {
    source: Source,
    current: Vec<Interface>,
    /// When they were last looked at.
    looked: Instant,
    /// Whether something was heard since.
    stale: bool,
}

enum Source {
    #[cfg(target_os = "linux")]
    Netlink(Netlink),
    Polling,
}

impl Source {
    /// The best that there is. Must be called inside a tokio runtime.
    fn open() -> Self {
        #[cfg(target_os = "linux")]
        match Netlink::open() {
            Ok(netlink) => return Self::Netlink(netlink),
            Err(error) => tracing::warn!(%error, "no netlink socket: interfaces are looked at each second"),
        }
        Self::Polling
    }

    async fn look(&mut self) -> Option<Vec<Interface>> {
        let error = match self {
            #[cfg(target_os = "linux")]
            Self::Netlink(netlink) => match netlink.interfaces().await {
                Ok(interfaces) => return Some(interfaces),
                Err(error) => error.to_string(),
            },
            Self::Polling => match poll::interfaces() {
                Ok(interfaces) => return Some(interfaces),
                Err(error) => error.to_string(),
            },
        };
        tracing::warn!(error, "the kernel did not tell its interfaces; it is asked again");
        None
    }
}

impl Interfaces {
    /// Looks for the first time; by rtnetlink on Linux, by polling each second elsewhere. Must be called inside a tokio
    /// runtime.
    pub async fn follow() -> Self {
        Self::over(Source::open()).await
    }

    /// By polling each second, on any system.
    pub async fn poll() -> Self {
        Self::over(Source::Polling).await
    }

    async fn over(mut source: Source) -> Self {
        let current = source.look().await;
        let stale = current.is_none();
        Self { source, current: current.unwrap_or_default(), looked: Instant::now(), stale }
    }

    /// Every interface as it was at the last look, by index.
    pub fn current(&self) -> &[Interface] {
        &self.current
    }

    /// Waits until something differs from [`current`](Self::current), and gives the changes: at least one. Cancelling
    /// loses nothing. At most four times a second, so what comes and goes in between may go unseen.
    pub async fn changed(&mut self) -> Vec<Change> {
        loop {
            self.wait().await;
            let Some(now) = self.source.look().await else {
                self.reopen().await;
                continue;
            };
            (self.stale, self.looked) = (false, Instant::now());
            let changes = changes(&self.current, &now);
            self.current = now;
            if !changes.is_empty() {
                return changes;
            }
        }
    }

    /// Waits until it is time to look.
    async fn wait(&mut self) {
        match &mut self.source {
            #[cfg(target_os = "linux")]
            Source::Netlink(netlink) => {
                if !self.stale {
                    let heard = netlink.next().await;
                    self.stale = true;
                    if heard.is_none() {
                        return self.reopen().await;
                    }
                }
                sleep_until((Instant::now() + BURST).max(self.looked + PAUSE)).await;
                if !netlink.drain() {
                    self.reopen().await;
                }
            }
            Source::Polling => sleep_until(self.looked + POLL).await,
        }
    }

    async fn reopen(&mut self) {
        sleep(POLL).await;
        self.looked = Instant::now();
        // Without netlink polling goes on, and nothing else is to be opened.
        #[cfg(target_os = "linux")]
        if let Source::Netlink(_) = self.source {
            self.source = Source::open();
        }
    }
}
