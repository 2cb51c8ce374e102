//! The tiers: what each proves, needs and costs, and the run over all of them.

mod darwin;
mod lint;
mod net;
mod peers;
mod unit;
mod vm;

use crate::artifacts::{self, Built, TestProgram};
use crate::count::{self, Counts};
use crate::disk;
use crate::namespace::Way;
use crate::out;
use crate::process::Log;
use crate::project::{Project, clean_environment};
use crate::table::{self, Row, seconds};
use anyhow::Result;
use clap::ValueEnum;
use std::process::Command;
use std::time::{Duration, Instant};

/// The longest that one test program may run.
const TEST_DEADLINE: Duration = Duration::from_secs(12 * 60);

/// A tier of tests, in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Tier {
    /// Format, lints, documentation, licences and the rules of the house.
    Lint,
    /// Every unit, behaviour and documentation test that needs nothing but Rust.
    Unit,
    /// Tests on real sockets and links in network namespaces.
    Net,
    /// Independent clients against our simulated phone and our client.
    Peers,
    /// What macOS gets, built for it on this machine.
    Darwin,
    /// Real kernels in QEMU, with a phone on their USB.
    Vm,
}

impl Tier {
    /// All of them.
    pub(crate) const ALL: [Self; 6] =
        [Self::Lint, Self::Unit, Self::Net, Self::Peers, Self::Darwin, Self::Vm];

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lint => "lint",
            Self::Unit => "unit",
            Self::Net => "net",
            Self::Peers => "peers",
            Self::Darwin => "darwin",
            Self::Vm => "vm",
        }
    }

    fn about(self) -> [(&'static str, &'static str); 3] {
        match self {
            Self::Lint => lint::ABOUT,
            Self::Unit => unit::ABOUT,
            Self::Net => net::ABOUT,
            Self::Peers => peers::ABOUT,
            Self::Darwin => darwin::ABOUT,
            Self::Vm => vm::ABOUT,
        }
    }
}

/// What the tiers share during one call.
pub(crate) struct Session<'a> {
    /// The workspace.
    pub(crate) project: &'a Project,
    built: Option<Result<Built, String>>,
    counts: Counts,
    log: Log,
}

impl<'a> Session<'a> {
    fn new(project: &'a Project, log: Log) -> Self {
        Self { project, built: None, counts: Counts::default(), log }
    }

    /// The tier's log.
    pub(crate) fn log(&mut self) -> &mut Log {
        &mut self.log
    }

    /// Builds the tests, or hands back what an earlier tier built.
    pub(crate) fn built(&mut self) -> Result<Built> {
        if self.built.is_none() {
            let built = artifacts::build(self.project, &mut self.log).map_err(|error| format!("{error:#}"));
            self.built = Some(built);
        }
        match &self.built {
            Some(Ok(built)) => Ok(built.clone()),
            Some(Err(reason)) => Err(anyhow::anyhow!("{reason}")),
            None => Err(anyhow::anyhow!("nothing was built")),
        }
    }

    /// Counts and shows the result of one check: `Ok` with a note, or what is wrong.
    pub(crate) fn check(&mut self, name: &str, result: Result<String, Vec<String>>) {
        match result {
            Ok(note) => {
                self.counts.add(Counts::PASSED);
                let note = if note.is_empty() { String::new() } else { format!(" ({note})") };
                self.log.say(&format!("{name} ok{note}"));
            }
            Err(wrong) => {
                self.counts.add(Counts::FAILED);
                self.log.say(&format!("{name} FAILED"));
                for line in &wrong {
                    self.log.say(&format!("    {line}"));
                }
            }
        }
    }

    /// Counts tests that a guest ran.
    pub(crate) fn count(&mut self, counts: Counts) {
        self.counts.add(counts);
    }

    /// Counts and names what is left out, and why.
    pub(crate) fn left_out(&mut self, name: &str, reason: &str) {
        self.counts.add(Counts::SKIPPED);
        self.log.say(&format!("{name} left out: {reason}"));
    }

    /// Runs a program whose success is one check.
    pub(crate) fn run_check(&mut self, name: &str, command: &mut Command, deadline: Duration) -> Result<()> {
        let done = self.log.run(name, command, deadline)?;
        if done.success() {
            self.check(name, Ok(seconds(done.time)));
        } else {
            self.log.show_failure(name, &done.output);
            self.check(name, Err(vec![done.ending()]));
        }
        Ok(())
    }

    /// Runs one test program, `way` saying in what namespaces, and counts its tests.
    pub(crate) fn run_tests(
        &mut self,
        test: &TestProgram,
        way: Option<&Way>,
        environment: &[(String, String)],
    ) -> Result<()> {
        let mut command = way.map_or_else(|| Command::new(&test.path), |way| way.enter(&test.path));
        clean_environment(&mut command);
        command.current_dir(&test.folder).envs(environment.iter().cloned());
        command.env("CARGO_MANIFEST_DIR", &test.folder).env("CARGO_PKG_NAME", &test.package);
        command.env("CARGO_PKG_VERSION", &test.version).env("INSTA_UPDATE", "no").env("RUST_BACKTRACE", "1");
        self.count_tests(&test.name(), &mut command, TEST_DEADLINE)
    }

    /// Runs a program that speaks as libtest does and counts its tests.
    pub(crate) fn count_tests(
        &mut self,
        name: &str,
        command: &mut Command,
        deadline: Duration,
    ) -> Result<()> {
        let done = self.log.run(name, command, deadline)?;
        let mut summary = count::parse(&done.output);
        if !done.success() && summary.counts.failed == 0 {
            summary.counts.failed = 1;
            summary.bad.push(format!("ended without a summary of its own: {}", done.ending()));
        } else if summary.results == 0 {
            summary.counts.failed = 1;
            summary.bad.push("said nothing about tests".into());
        }
        self.counts.add(summary.counts);
        let Counts { passed, failed, .. } = summary.counts;
        self.log.say(&format!("{name}: {passed} passed, {failed} failed, {}", seconds(done.time)));
        for what in &summary.left_out {
            self.log.say(&format!("    left out: {what}"));
        }
        if failed > 0 {
            self.log.show_failure(name, &done.output);
            for bad in &summary.bad {
                self.log.say(&format!("    {bad}"));
            }
        }
        Ok(())
    }
}

/// Explains the tiers.
pub(crate) fn list() {
    for tier in Tier::ALL {
        out::line(tier.name());
        for (word, text) in tier.about() {
            out::line(format!("    {word:<8}{text}"));
        }
    }
}

/// Runs the tiers and prints the table and the last line; `true` when nothing failed.
pub(crate) fn run(project: &Project, chosen: &[Tier], without: &[Tier]) -> Result<bool> {
    let mut tiers = if chosen.is_empty() { Tier::ALL.to_vec() } else { chosen.to_vec() };
    tiers.extend(without);
    tiers.sort();
    tiers.dedup();
    if let Some(warning) = disk::warning(project.metadata.target_directory.as_std_path())? {
        out::line(format!("warning: {warning}"));
    }
    let (mut rows, mut total, mut built) = (Vec::new(), Counts::default(), None);
    for tier in tiers {
        let row = if without.contains(&tier) {
            Row { name: tier.name().into(), counts: Counts::SKIPPED, time: None }
        } else {
            let start = Instant::now();
            let mut session = Session::new(project, Log::create(project, tier.name())?);
            session.built = built.take();
            let result = match tier {
                Tier::Lint => lint::run(&mut session),
                Tier::Unit => unit::run(&mut session),
                Tier::Net => net::run(&mut session),
                Tier::Peers => peers::run(&mut session),
                Tier::Darwin => darwin::run(&mut session),
                Tier::Vm => vm::run(&mut session),
            };
            if let Err(error) = result {
                session.check(&format!("tier {}", tier.name()), Err(vec![format!("{error:#}")]));
            }
            built = session.built.take();
            Row { name: tier.name().into(), counts: session.counts, time: Some(start.elapsed()) }
        };
        total.add(row.counts);
        rows.push(row);
    }
    out::line("");
    out::line(table::render(&rows));
    out::line(table::last_line(total));
    Ok(total.failed == 0)
}
