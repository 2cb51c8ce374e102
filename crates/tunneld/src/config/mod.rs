//! The configuration: a TOML file as it is written, and what it means.
//!
//! | file | what |
//! |---|---|
//! | [`written`] | the file's keys, as they stand there |
//! | [`settings`] | what the daemon runs with: everything checked, every default filled in |
//! | [`check`] | from the one to the other |
//! | `shown` | settings as a file that would make them |
//! | [`environment`] | what defaults depend on: who runs the daemon, and where |

pub mod check;
pub mod environment;
pub mod settings;
mod shown;
pub mod written;

pub use check::Overrides;
pub use environment::Environment;
pub use settings::{Pairing, Settings, Socket, SuspendRemoted};
pub use written::Config;

/// Where `iosmux-tunneld run` looks for its file when none is named. It need not exist.
pub const DEFAULT_FILE: &str = "/etc/iosmux/tunneld.toml";
