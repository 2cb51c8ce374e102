//! `cargo xtask soak`: the same again and again, for what shows only then.

use crate::artifacts::{self, Selected};
use crate::out;
use crate::process::Log;
use crate::project::Project;
use crate::vm::guest::Guest;
use crate::vm::{Job, Machine, judge};
use anyhow::{Result, ensure};
use clap::Subcommand;
use std::time::Duration;

const PACKAGE: &str = "iosmux-bridge";
const TEST: &str = "vm_replug";
/// How many replugs the test does; 20 when nobody says.
const COUNT: &str = "IOSMUX_VM_REPLUGS";
/// What a replug may take without KVM, on a machine that does other things as well.
const EACH: Duration = Duration::from_secs(8);
/// How the test's figures begin.
const FIGURE: &str = "soak: ";

/// What can be soaked.
#[derive(Debug, Subcommand)]
pub(crate) enum Soak {
    /// Unplug a phone and plug it in again, in a guest; prints times to joined and what leaked, and fails when something did.
    Replug {
        /// How often.
        #[arg(long, default_value_t = 1000)]
        count: u32,
        /// Where.
        #[arg(long, default_value = "6.12")]
        guest: Guest,
        /// Build as for a release, nearly: for figures.
        #[arg(long)]
        optimised: bool,
    },
}

impl Soak {
    /// `true` when nothing failed.
    pub(crate) fn run(self, project: &Project) -> Result<bool> {
        let Self::Replug { count, guest, optimised } = self;
        let mut log = Log::create(project, "soak-replug")?;
        let machine = Machine::provide(&mut log, &[guest])?;
        let tests = [TEST.to_owned()];
        let selected = Selected { package: PACKAGE, tests: &tests, with: &[], optimised };
        let built = artifacts::build_some(project, &mut log, selected)?;
        let test = built.tests.iter().find(|test| test.target == TEST);
        ensure!(test.is_some(), "{PACKAGE} has no test {TEST}");
        let job = |test| Job {
            environment: vec![(COUNT.to_owned(), count.to_string())],
            deadline: EACH * count + Duration::from_secs(120),
            ..Job::new(guest, test)
        };
        let (mut passed, folder) = (true, project.work_dir().join("vm"));
        log.say(&format!(
            "{count} replugs on {guest}; the longest that this may take is {} min",
            minutes(count)
        ));
        machine.run(test.map(job).into_iter().collect(), &built.binaries, &folder, &mut |ran| {
            passed &= judge::judge(&mut log, &ran).failed == 0;
            let said = std::fs::read_to_string(&ran.files.said).unwrap_or_default();
            for line in said.lines().filter_map(|line| line.trim_end().strip_prefix(FIGURE)) {
                out::line(line);
            }
            Ok(())
        })?;
        Ok(passed)
    }
}

fn minutes(count: u32) -> u64 {
    (EACH * count).as_secs().div_ceil(60) + 2
}
