//! What can go wrong in the lab.

use std::io;
use std::net::Ipv6Addr;
use std::time::Duration;

use nix::errno::Errno;

/// Why the lab could not be built or changed.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The kernel gave no namespace.
    #[error("create the namespace {name}: {source}")]
    Namespace {
        /// Which one.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A namespace's thread is gone, or the job in it panicked.
    #[error("the namespace {name} ended before its job")]
    Ended {
        /// Which one.
        name: String,
    },
    /// A netlink socket was refused.
    #[error("open a netlink socket: {0}")]
    Socket(#[source] io::Error),
    /// The kernel refused a request.
    #[error("{doing}: {source}")]
    Netlink {
        /// What was asked for.
        doing: String,
        /// What the kernel said.
        source: rtnetlink::Error,
    },
    /// There is no such interface.
    #[error("find the interface {name}: {}", source.desc())]
    NoInterface {
        /// Its name.
        name: String,
        /// What the kernel said.
        source: Errno,
    },
    /// Somebody else on the link has the address.
    #[error("{0} is in use by somebody else on the link")]
    Duplicate(Ipv6Addr),
    /// Duplicate-address detection did not end in time.
    #[error("interface {index} has no link-local address after {} s", after.as_secs())]
    NoAddress {
        /// The interface.
        index: u32,
        /// How long was waited.
        after: Duration,
    },
    /// The kernel's table of connections can't be read.
    #[error("list the connections: {0}")]
    Connections(#[source] io::Error),
    /// Connections did not end in time.
    #[error("connections are open after {} s", .0.as_secs())]
    ConnectionsOpen(Duration),
}

impl LabError {
    /// Gives a netlink error its request.
    pub(crate) fn netlink(doing: impl Into<String>) -> impl FnOnce(rtnetlink::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Netlink { doing, source }
    }
}
