//! The iosmux command: it demonstrates, shows and diagnoses.

mod cmd;
mod demo;
mod exit;
mod output;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    cmd::run(cmd::Cli::parse())
}
