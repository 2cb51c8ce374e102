//! The measurement: rounds of the three host ends, each with a tunnel of its own.

use super::Inside;
use super::ends::Ends;
use super::figures::{Direction, Host, Results, SETTINGS, Sample, Setting};
use super::idle::Idle;
use super::iperf;
use super::report::Report;
use super::rig::Rig;
use crate::out;
use crate::process::Log;
use crate::project::Project;
use anyhow::{Context as _, Result};

/// The most rounds of a setting without targets.
const STATED_ROUNDS: u32 = 3;

/// Measures all settings and prints the report; `true` when every target is met.
pub(super) fn all(project: &Project, inside: &Inside) -> Result<bool> {
    let mut log = Log::create(project, "bench-inside")?.aside();
    let rig = Rig::new().context("no rig of two namespaces can be made here")?;
    let idle = Idle::watch(inside.load)?;
    if let Some(warning) = idle.warning() {
        log.say(&warning);
    }
    let mut results = Vec::new();
    for setting in &SETTINGS {
        results.push(measure(&rig, inside, setting, &mut log)?);
    }
    let report = Report { idle, seconds: inside.options.seconds, results };
    out::line(if inside.options.json { report.json().to_string() } else { report.text() });
    Ok(report.passed())
}

fn measure(rig: &Rig, inside: &Inside, setting: &'static Setting, log: &mut Log) -> Result<Results> {
    let asked = inside.options.rounds;
    let count = if setting.judged { asked } else { asked.min(STATED_ROUNDS) };
    let mut results = Results { setting, rounds: Vec::new() };
    for at in 1..=count {
        let mut round = [[Sample { gigabits: f64::NAN, cpu_per_gigabyte: f64::NAN }; 2]; 3];
        for (host, samples) in Host::ALL.into_iter().zip(&mut round) {
            *samples = pass(rig, inside, (host, setting), log)
                .with_context(|| format!("{}, MTU {}, {}", host.name(), setting.mtu, setting.suite.name))?;
            let [up, down] = samples.map(|sample| sample.gigabits);
            let (name, mtu, suite) = (host.name(), setting.mtu, setting.suite.name);
            log.say(&format!("MTU {mtu} {suite} round {at}/{count} {name}: {up:.2} up, {down:.2} down"));
        }
        results.rounds.push(round);
    }
    Ok(results)
}

/// One tunnel, a transfer each way.
fn pass(rig: &Rig, inside: &Inside, (host, setting): (Host, &Setting), log: &mut Log) -> Result<[Sample; 2]> {
    let ends = Ends::open(rig, &inside.tools, host, setting, &inside.words)?;
    let mut one = |direction: Direction| {
        iperf::transfer(rig, &ends, &inside.tools.iperf3, (direction, inside.options.seconds), log)
            .context(direction.name())
    };
    let [up, down] = Direction::ALL;
    Ok([one(up)?, one(down)?])
}
