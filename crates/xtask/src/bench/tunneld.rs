//! The daemon: how fast it is and what it costs, beside pymobiledevice3's.
//!
//! The bench itself is crates/tunneld/benches/registry.rs: here it is built, given its peer, and put in a namespace.

use super::{idle, rig};
use crate::cache::Cache;
use crate::namespace::Way;
use crate::out;
use crate::process::Log;
use crate::project::{Project, clean_environment};
use crate::provision;
use anyhow::{Context as _, Result, bail};
use cargo_metadata::Message;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(30 * 60);
const BENCH: &str = "registry";

/// How it is shown.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
}

/// Builds and runs it; `false` when a target is missed.
pub(super) fn run(project: &Project, options: &Options) -> Result<bool> {
    let load = idle::load()?;
    if load > idle::LOAD {
        out::aside(format!(
            "WARNING: this machine is NOT IDLE: load average {load:.2}. Do not trust the figures."
        ));
    }
    rig::check_tun()?;
    let mut log = Log::create(project, "bench")?.aside();
    let way = Way::find(&project.work_dir()).context("this bench can't run here")?;
    let python = provision::pymobiledevice3(&Cache::find()?, &mut log)?.1;
    let mut command = way.enter(&build(project, &mut log)?);
    command.arg("--bench").args(options.json.then_some("--json"));
    clean_environment(&mut command);
    command.env("IOSMUX_PEER_PYTHON", python);
    Ok(command.status().context("cannot start unshare (util-linux)")?.success())
}

fn build(project: &Project, log: &mut Log) -> Result<PathBuf> {
    let mut command = project.cargo();
    command.args(["bench", "--no-run", "--locked", "-p", "iosmux-tunneld", "--bench", BENCH]);
    command.arg("--message-format=json-render-diagnostics");
    let done = log.run("release build of the daemon and its bench", &mut command, DEADLINE)?;
    if !done.success() {
        log.show_failure("the build", &done.output);
        bail!("the bench could not be built: {}", done.ending());
    }
    done.output.lines().find_map(program).context("cargo named no program")
}

fn program(line: &str) -> Option<PathBuf> {
    match serde_json::from_str(line) {
        Ok(Message::CompilerArtifact(artifact)) if artifact.target.name == BENCH => {
            artifact.executable.map(Into::into)
        }
        _ => None,
    }
}
