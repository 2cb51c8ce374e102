//! What every program of iosmux needs towards the system it runs under.
//!
//! | file | what |
//! |---|---|
//! | [`notify`] | what systemd is told: ready, what goes on, still alive, reloading, stopping |
//! | [`log`] | where log lines go: the journal, a terminal, JSON; and which of them |
//! | [`exit`] | the exit codes that scripts rely on |
//! | [`signals`] | the signals that a daemon follows |
//! | [`files`] | how many files it may have open |
//! | [`lines`] | lines on standard output, without waiting for who reads them |
//! | [`config`] | configuration files, and everything that is wrong with one |
//! | [`packaging`] | completions and the manual page |

pub mod config;
pub mod exit;
pub mod files;
pub mod lines;
pub mod log;
pub mod notify;
pub mod packaging;
pub mod signals;

pub use exit::Exit;
