//! `cargo xtask bench`: measurements with a verdict, on a machine that does nothing else.
//!
//! The command prepares everything as the caller, then starts itself again in a network namespace of its own.

mod ends;
mod figures;
mod idle;
mod iperf;
mod prepare;
mod report;
mod rig;
mod run;
mod tunneld;

use crate::namespace::Way;
use crate::out;
use crate::process::Log;
use crate::project::{Project, clean_environment};
use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What can be measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// TCP through a tunnel between two namespaces: our host end, a loop in C and pymobiledevice3's, in turn.
    Tunnel(Options),
    /// The daemon: start, phones listed, memory, 1 to 64 phones; pymobiledevice3's tunneld beside it.
    Tunneld(tunneld::Options),
    /// The measurement itself, in its namespace.
    #[command(hide = true)]
    TunnelInside(Inside),
}

/// How long and how often.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Seconds of each transfer.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Rounds of the judged setting; the others have three at most.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
}

/// What the part in the namespace is told.
#[derive(Clone, Debug, Args)]
pub(crate) struct Inside {
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    tools: Tools,
    /// Load average before anything was built.
    #[arg(long)]
    load: f64,
    /// Where the programs' own words go.
    #[arg(long)]
    words: PathBuf,
}

/// The programs of the measurement.
#[derive(Clone, Debug, Args)]
pub(crate) struct Tools {
    /// Our host end.
    #[arg(long)]
    ours: PathBuf,
    /// The C helper.
    #[arg(long)]
    tunend: PathBuf,
    #[arg(long)]
    iperf3: PathBuf,
    /// A Python with pymobiledevice3.
    #[arg(long)]
    python: PathBuf,
    /// What drives pymobiledevice3's tunnel class.
    #[arg(long)]
    script: PathBuf,
}

impl Bench {
    /// Runs it; `false` when a target is missed.
    pub(crate) fn run(&self) -> Result<bool> {
        match self {
            Self::Tunnel(options) => outside(&Project::find()?, options),
            Self::Tunneld(options) => tunneld::run(&Project::find()?, options),
            Self::TunnelInside(inside) => run::all(&Project::find()?, inside),
        }
    }
}

fn outside(project: &Project, options: &Options) -> Result<bool> {
    let load = idle::load()?;
    rig::check_tun()?;
    let mut log = Log::create(project, "bench")?.aside();
    let way = Way::find(&project.work_dir()).context("this bench can't run here")?;
    let tools = prepare::tools(project, &mut log)?;
    let words = project.work_dir().join("bench");
    std::fs::create_dir_all(&words).with_context(|| format!("cannot make {}", words.display()))?;
    let mut command = way.enter_self();
    command.args(["bench", "tunnel-inside", "--load", &load.to_string()]);
    command.arg("--seconds").arg(options.seconds.to_string());
    command.arg("--rounds").arg(options.rounds.to_string());
    command.args(options.json.then_some("--json"));
    let paths = [
        ("--ours", &tools.ours),
        ("--tunend", &tools.tunend),
        ("--iperf3", &tools.iperf3),
        ("--python", &tools.python),
        ("--script", &tools.script),
        ("--words", &words),
    ];
    for (name, path) in paths {
        command.arg(name).arg(path);
    }
    clean_environment(&mut command);
    let status = command.status().context("cannot start unshare (util-linux)")?;
    if status.code().is_none() {
        out::aside(format!("the measurement was killed: {status}"));
    }
    Ok(status.success())
}
