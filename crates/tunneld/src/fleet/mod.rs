//! All phones: which there are, what happens to each, and what others ask.

mod handle;

pub use handle::{Command, CommandError, Fleet, Inbox, channel};
