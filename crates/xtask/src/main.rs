//! `cargo xtask`: the test tiers and the generated documents of this repository.

mod artifacts;
mod bench;
mod cache;
mod commands;
mod count;
mod darwin;
mod debs;
mod disk;
mod lint;
mod macho;
mod namespace;
mod npm;
mod out;
mod process;
mod project;
mod provision;
mod python;
mod table;
mod tier;
mod vm;

use anyhow::Result;
use clap::{Parser, Subcommand};
use project::Project;
use std::ffi::OsString;
use std::process::ExitCode;
use tier::Tier;

/// Tests and documents of iosmux.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run test tiers: all, or those named. The last line is `N passed, N failed, N skipped`.
    Test {
        /// Tiers to run.
        tiers: Vec<Tier>,
        /// Explain the tiers and run nothing.
        #[arg(long)]
        list: bool,
        /// Leave a tier out by name; it counts as skipped.
        #[arg(long, value_name = "TIER")]
        without: Vec<Tier>,
    },
    /// Write the generated pages under docs/.
    Docs,
    /// Put what a tier needs into $IOSMUX_CACHE and print its environment as KEY=VALUE lines.
    Provision {
        /// The tier; `net`, `peers`, `darwin` and `vm` need something.
        tier: Tier,
    },
    /// Measure, on a machine that does nothing else; fails when a target is missed.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Run one test program in a guest.
    Vm(vm::hand::ByHand),
    /// Do the same again and again, in a guest.
    #[command(subcommand)]
    Soak(vm::soak::Soak),
    /// Bring `lo` up in this namespace and become PROGRAM.
    #[command(name = namespace::ENTER, hide = true)]
    EnterNamespace {
        /// Program and arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        program: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            out::line(format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<bool> {
    match task {
        Task::Test { list: true, .. } => {
            tier::list();
            Ok(true)
        }
        Task::Test { tiers, without, .. } => tier::run(&Project::find()?, &tiers, &without),
        Task::Docs => lint::docs::write(&Project::find()?).map(|()| true),
        Task::Provision { tier } => provision::print(&Project::find()?, tier).map(|()| true),
        Task::Bench(bench) => bench.run(),
        Task::Vm(by_hand) => by_hand.run(&Project::find()?),
        Task::Soak(soak) => soak.run(&Project::find()?),
        Task::EnterNamespace { program } => namespace::become_inside(&program).map(|()| true),
    }
}
