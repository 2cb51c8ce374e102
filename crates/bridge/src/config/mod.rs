//! The configuration: a TOML file, what it means, and everything that is wrong with it at once.
//!
//! | file | what |
//! |---|---|
//! | `written` | the file's keys as they stand there |
//! | `check` | from what is written to what it means |
//! | `settings` | what the daemon runs with |
//! | `shown` | settings as a file that would make them |

mod check;
mod settings;
mod shown;
mod written;

pub use check::bridge_name;
pub use settings::{DEFAULT_BRIDGE, Device, Ending, Settings, state_file};
pub use written::Config;
