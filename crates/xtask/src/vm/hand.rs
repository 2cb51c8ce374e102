//! `cargo xtask vm`: test programs in guests, while they are written.

use crate::artifacts::{self, Selected, VM};
use crate::out;
use crate::process::Log;
use crate::project::Project;
use crate::vm::guest::Guest;
use crate::vm::{Job, Machine, judge};
use anyhow::{Result, ensure};
use clap::Args;

/// What `cargo xtask vm` takes.
#[derive(Debug, Args)]
pub(crate) struct ByHand {
    /// Where it runs; may be named more than once.
    #[arg(long, default_value = "6.12")]
    guest: Vec<Guest>,
    /// The package of the test.
    #[arg(long, short)]
    package: String,
    /// Name of the test, `vm_SOMETHING`; also of another tier. May be named more than once.
    #[arg(long, required = true)]
    test: Vec<String>,
    /// Packages whose programs the test starts, besides its own.
    #[arg(long, value_name = "PACKAGE")]
    with: Vec<String>,
    /// Build as for a release, nearly: for figures.
    #[arg(long)]
    optimised: bool,
    /// For the test program: a filter, --exact, --nocapture …
    #[arg(last = true)]
    words: Vec<String>,
}

impl ByHand {
    fn selected(&self) -> Selected<'_> {
        let Self { package, test: tests, with, optimised, .. } = self;
        Selected { package, tests, with, optimised: *optimised }
    }

    /// Builds what is named and no more, and runs it; `true` when all passed.
    pub(crate) fn run(self, project: &Project) -> Result<bool> {
        let mut log = Log::create(project, "vm-by-hand")?;
        let machine = Machine::provide(&mut log, &self.guest)?;
        let built = artifacts::build_some(project, &mut log, self.selected())?;
        let tests: Vec<_> = built.tests.iter().filter(|test| self.test.contains(&test.target)).collect();
        ensure!(!tests.is_empty(), "{} has no test {} (feature {VM})", self.package, self.test.join(", "));
        let job = |guest: &Guest, test: &&artifacts::TestProgram| Job {
            words: self.words.clone(),
            ..Job::new(*guest, test)
        };
        let jobs =
            tests.iter().flat_map(|test| self.guest.iter().map(move |guest| job(guest, test))).collect();
        let (mut passed, folder) = (true, project.work_dir().join("vm"));
        machine.run(jobs, &built.binaries, &folder, &mut |ran| {
            passed &= judge::judge(&mut log, &ran).failed == 0;
            out::line(std::fs::read_to_string(&ran.files.said).unwrap_or_default().replace('\r', ""));
            out::line(format!("kernel log: {}", project.shorten(&ran.files.console)));
            Ok(())
        })?;
        Ok(passed)
    }
}
