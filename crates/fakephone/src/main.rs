//! The simulated iPhone as a program.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    cli::main(&cli::Cli::parse())
}
