//! The iosmux command: it demonstrates, shows and diagnoses.

mod cmd;
#[cfg(target_os = "linux")]
mod demo;
mod doctor;
mod failure;
mod output;
mod registry;
mod status;
mod table;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    cmd::run(cmd::Cli::parse())
}
