//! Sockets and tokio tasks that drive the state machines.
//!
//! Port 5353 belongs to mDNSResponder or avahi on most machines. Every socket for it is opened to be shared, so that both
//! see all multicast; unicast to 5353 reaches only one of them, which is why a browser also asks from an ephemeral port.

mod announce;
mod browse;
mod socket;

use std::{
    hash::{BuildHasher, RandomState},
    net::SocketAddrV6,
    time::Duration,
};

use thiserror::Error;
use tokio::{
    net::UdpSocket,
    task::JoinHandle,
    time::{Instant, timeout},
};

pub use announce::{AnnounceConfig, Announcer};
pub use browse::{BrowseConfig, Browser};

use crate::error::ServiceError;

/// The longest wait for room in a send buffer.
const SEND_DEADLINE: Duration = Duration::from_secs(1);
/// The pause after a receive error, so that a persistent one costs nothing.
const RECEIVE_PAUSE: Duration = Duration::from_millis(100);

/// The result of starting a browser or an announcer.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a browser or an announcer didn't start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A socket could not be made ready.
    #[error(
        "interface {interface_index}: {step} failed: {source}; check that the interface exists and has IPv6"
    )]
    Socket {
        /// The interface.
        interface_index: u32,
        /// The step, e.g. `joining ff02::fb`.
        step: &'static str,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// Interface index 0 means "any", which is never what a link needs.
    #[error("an interface index above 0 was expected; look it up by the interface's name first")]
    NoInterface,
    /// The description is wrong.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// Called outside a tokio runtime.
    #[error("a tokio runtime was expected; call this from a task of one")]
    NoRuntime,
}

/// Time for a state machine: measured from when its task was made.
#[derive(Debug, Clone, Copy)]
struct Clock(Instant);

impl Clock {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn now(self) -> Duration {
        self.0.elapsed()
    }

    /// The moment of a deadline; one that is too far away to be told is a day from now.
    fn at(self, deadline: Duration) -> Instant {
        let day = Duration::from_secs(86_400);
        self.0.checked_add(deadline).unwrap_or_else(|| Instant::now().checked_add(day).unwrap_or(self.0))
    }
}

/// A task that ends with its owner.
#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A seed for jitter.
fn seed() -> u64 {
    RandomState::new().hash_one(0_u8)
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Yes,
    No,
    /// The interface doesn't exist any more.
    InterfaceGone,
}

/// Sends to the group of an interface or to a neighbour on it.
async fn send(socket: &UdpSocket, bytes: &[u8], to: SocketAddrV6, interface_index: u32) -> Sent {
    let error = match timeout(SEND_DEADLINE, socket.send_to(bytes, to)).await {
        Ok(Ok(_)) => return Sent::Yes,
        Ok(Err(error)) => error,
        Err(_) => std::io::ErrorKind::TimedOut.into(),
    };
    tracing::debug!(%to, %error, "an mDNS message was not sent");
    match socket::interface_exists(socket, interface_index) {
        true => Sent::No,
        false => Sent::InterfaceGone,
    }
}
