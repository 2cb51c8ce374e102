//! The configuration: a TOML file, what it means, and everything that is wrong with it at once.
//!
//! | file | what |
//! |---|---|
//! | `written` | the file's keys as they stand there |
//! | `check` | from what is written to what it means |
//! | `settings` | what the daemon runs with |
//! | `shown` | settings as a file that would make them |
//! | `problem` | what is wrong, and where |

mod check;
mod problem;
mod settings;
mod shown;
mod written;

pub use problem::{ConfigError, Problem};
pub use settings::{DEFAULT_BRIDGE, Device, Ending, Settings, state_file};
pub use written::Config;
