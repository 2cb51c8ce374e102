//! What happens to a phone, and what its machine wants done.

use super::failure::Failure;
use super::hop::Hop;

/// What happens to an attached phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It is seen, for the first time or again.
    Sighted,
    /// It is seen at the same address with another port: it attached again, and what was known is stale.
    Moved,
    /// It said goodbye, or is not announced any more.
    Unsighted,
    /// The interface is gone or down.
    LinkLost,
    /// The hop that was begun is done.
    Done,
    /// The phone asks its user.
    AwaitingTrust,
    /// The hop that was begun failed, or the phone is refused after it.
    Failed(Failure),
    /// The tunnel ended, with the reason.
    TunnelEnded(String),
    /// Somebody wants a tunnel.
    Start,
    /// Somebody wants it to be paired.
    Pair,
    /// Somebody wants no tunnel.
    Stop,
    /// Somebody wants the tunnel down that is there, and another one soon.
    Cancelled,
    /// Its pair record was removed.
    Forgotten,
    /// Try again now what waits.
    Refresh,
    /// The configuration changed: it may be wanted now.
    Reconsidered,
    /// The same phone is reached another way.
    Superseded,
    /// The other way is gone.
    Promoted,
    /// The other way failed: perhaps this one works.
    OtherFailed,
    /// Time passed.
    Tick,
}

/// What a machine wants done, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Begin a hop; it ends in [`Event::Done`] or [`Event::Failed`].
    Begin(Hop),
    /// Abandon the hop that runs, and close everything that hops have opened.
    Reset,
    /// The attachment is over: drop it.
    Forget,
}
