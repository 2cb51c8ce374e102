//! Where phones may be: who announces itself, who answers an echo, whom the configuration names; on interfaces as they
//! come and go.
//!
//! | file | what |
//! |---|---|
//! | [`peer`] | a fixed address of the configuration |
//! | `hub` | interfaces as they come and go: a search on each, configured peers, what people see of it |
//! | `search` | the task on one interface: announcements, and neighbours |
//! | `plan` | which neighbours are tried and when; without I/O |
//! | `resolve` | configured peers beyond the links |
//! | `ping`, `echo` | the socket for echoes, and their bytes |

mod echo;
mod hub;
pub mod peer;
mod ping;
mod plan;
mod resolve;
mod search;

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::sync::Arc;

use iosmux_link::Selection;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

pub use peer::{Peer, PeerError};

use crate::model::{Link, Search};

/// The fixed RSD port of a private link. Source: protocol.md §2 (RSD port).
pub const RSD_PORT: u16 = 58783;
/// Events that wait for the fleet; above this the search waits.
const EVENTS: usize = 64;

/// What to look for and where.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DiscoverConfig {
    /// On which interfaces.
    pub interfaces: Selection,
    /// Addresses to report whatever the links say.
    pub peers: Vec<Peer>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A phone may be there. Comes again although nothing has changed: after a refresh, and for configured peers every
    /// minute. The same address with another port is the same place with a new port.
    Sighted(Link),
    /// What had been reported by exactly this link is not there any more: a goodbye, an expired announcement, a
    /// neighbour that went silent, a name that has another address now. Links of a lost interface get none.
    Unsighted(Link),
    /// An interface is gone, or has been unusable for two seconds; so is everything there.
    InterfaceLost {
        /// Its index.
        index: u32,
    },
    /// How the search goes, by interface; whenever that changes.
    Searches(Vec<Search>),
}

/// The addresses that are known to be phones, and whether nothing is tried there for now. None of them is ever probed:
/// from iOS 27.2 on a second RSD connection would replace the first. Source: architecture.md (iosmux-tunneld run).
pub type Known = BTreeMap<Ipv6Addr, bool>;

/// A search under way. Dropping it ends all of it.
#[derive(Debug)]
pub struct Discover {
    /// Where the owner says which addresses are phones.
    pub known: watch::Sender<Known>,
    refresh: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Drop for Discover {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Discover {
    /// Starts to look, at once. Must be called inside a tokio runtime; sockets belong to the network namespace of the
    /// threads of that.
    pub fn start(config: DiscoverConfig) -> (Self, mpsc::Receiver<Event>) {
        let (known, known_out) = watch::channel(Known::new());
        let (events, receiver) = mpsc::channel(EVENTS);
        let refresh = Arc::new(Notify::new());
        let hub = hub::run(config, known_out, events, Arc::clone(&refresh));
        (Self { known, refresh, task: tokio::spawn(hub) }, receiver)
    }

    /// Looks again everywhere, at once: asks by mDNS, sends echoes, forgets who refused, reports what is there again.
    pub fn refresh(&self) {
        self.refresh.notify_one();
    }
}
