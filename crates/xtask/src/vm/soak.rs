//! `cargo xtask soak`: the same again and again, for what shows only then.

use crate::artifacts::{self, Selected};
use crate::out;
use crate::process::Log;
use crate::project::Project;
use crate::vm::guest::Guest;
use crate::vm::{Job, Machine, judge};
use anyhow::{Result, ensure};
use clap::Subcommand;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const PACKAGE: &str = "iosmux-bridge";
const TEST: &str = "vm_replug";
/// How many replugs the test does; 20 when nobody says.
const COUNT: &str = "IOSMUX_VM_REPLUGS";
/// What a replug may take without KVM, on a machine that does other things as well.
const EACH: Duration = Duration::from_secs(8);
/// How the test's figures begin.
const FIGURE: &str = "soak: ";
/// Between two looks at what a guest said.
const LOOK: Duration = Duration::from_secs(2);

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
        let jobs: Vec<_> = test.map(job).into_iter().collect();
        let said = jobs.iter().map(|job| job.files(&folder).said).collect();
        let teller = Teller::start(said);
        machine.run(jobs, &built.binaries, &folder, &mut |ran| {
            passed &= judge::judge(&mut log, &ran).failed == 0;
            Ok(())
        })?;
        teller.end();
        Ok(passed)
    }
}

/// Tells what a guest says of itself while it runs.
struct Teller {
    end: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Teller {
    fn start(files: Vec<PathBuf>) -> Self {
        let (end, ended) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut told = 0;
            loop {
                let goes_on = ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout);
                let said: String =
                    files.iter().map(|file| std::fs::read_to_string(file).unwrap_or_default()).collect();
                let figures: Vec<_> = figures(&said).collect();
                figures.iter().skip(told).for_each(out::line);
                told = told.max(figures.len());
                if !goes_on {
                    return;
                }
            }
        });
        Self { end, thread }
    }

    /// Tells the rest.
    fn end(self) {
        drop(self.end);
        // It panicked: what it told is lost, not what was found.
        let _ = self.thread.join();
    }
}

/// Whole lines that are figures.
fn figures(said: &str) -> impl Iterator<Item = &str> {
    let whole = said.rfind('\n').and_then(|end| said.get(..end)).unwrap_or_default();
    whole.lines().filter_map(|line| line.trim_end().strip_prefix(FIGURE))
}

fn minutes(count: u32) -> u64 {
    (EACH * count).as_secs().div_ceil(60) + 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_are_told() {
        let said = "running 1 test\r\nsoak: 50 done\r\ntest x ... soak: no\nsoak: 100 do";
        assert_eq!(figures(said).collect::<Vec<_>>(), ["50 done"]);
        assert_eq!(figures("soak: half").count(), 0);
    }
}
