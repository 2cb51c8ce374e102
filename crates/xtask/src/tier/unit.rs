//! unit: everything that needs nothing but Rust.

use super::Session;
use crate::commands;
use anyhow::{Result, ensure};
use std::time::Duration;

pub(super) const ABOUT: [(&str, &str); 3] = [
    (
        "proves",
        "codecs, state machines, texts and errors; short fuzz runs; documentation examples; README's commands",
    ),
    ("needs", "nothing but Rust"),
    ("budget", "on 2 cores, with lint: 12 minutes warm; the first time also the build of every dependency"),
];

pub(super) fn run(session: &mut Session<'_>) -> Result<()> {
    let built = session.built()?;
    let tests = built.of(None);
    ensure!(!tests.is_empty(), "no unit test was found");
    for test in tests {
        session.run_tests(test, None, &[])?;
    }
    let mut command = session.project.cargo();
    command.args(["test", "--workspace", "--all-features", "--doc", "--locked"]);
    session.count_tests("documentation examples", &mut command, Duration::from_secs(20 * 60))?;
    let wrong = commands::wrong_in_readme(session.project, &built)?;
    session.check("README's commands exist", if wrong.is_empty() { Ok(String::new()) } else { Err(wrong) });
    Ok(())
}
