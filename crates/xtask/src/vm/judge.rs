//! What came of a guest: libtest's own words, and whether the kernel itself came to harm.

use crate::count::{self, Counts};
use crate::process::Log;
use crate::table::seconds;
use crate::vm::Ran;
use crate::vm::image::STATUS;

/// How much of each log is shown when something failed.
const TAIL: usize = 60;
/// What a kernel says when it is not well.
const HARM: [&str; 4] = ["Kernel panic", "BUG: ", "Oops: ", "general protection fault"];

/// Counts a job's tests, and says what failed and why.
pub(crate) fn judge(log: &mut Log, ran: &Ran) -> Counts {
    let name = ran.job.name();
    let read = |path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).replace('\r', "");
    let (said, console, qemu) = (read(&ran.files.said), read(&ran.files.console), read(&ran.files.qemu));
    for (what, text) in [("qemu", &qemu), ("kernel", &console), ("tests", &said)] {
        log.keep(&format!("=== {name}: {what}\n{text}"));
    }
    let (counts, bad) = verdict(ran, &said, &console);
    log.say(&format!("{name}: {} passed, {} failed, {}", counts.passed, counts.failed, seconds(ran.time)));
    if counts.failed > 0 {
        for (what, text) in [("QEMU", &qemu), ("kernel log", &console), ("tests", &said)] {
            log.say(&format!("{name}: end of the {what}:"));
            let lines: Vec<&str> = text.lines().collect();
            for line in lines.iter().skip(lines.len().saturating_sub(TAIL)) {
                log.say(&format!("    {line}"));
            }
        }
        for line in bad {
            log.say(&format!("    {name}: {line}"));
        }
    }
    counts
}

fn verdict(ran: &Ran, said: &str, console: &str) -> (Counts, Vec<String>) {
    let summary = count::parse(said);
    let (mut counts, mut bad) = (summary.counts, summary.bad);
    let status = said.lines().find_map(|line| line.strip_prefix(STATUS)).map(str::trim);
    let mut wrong: Vec<String> = Vec::new();
    match &ran.ending {
        Err(error) => wrong.push(format!("the guest did not start: {error:#}")),
        Ok(None) => wrong.push(format!("the guest was killed after {}", seconds(ran.time))),
        Ok(Some(status)) if !status.success() => wrong.push(format!("QEMU: {status}")),
        Ok(Some(_)) if status.is_none() => wrong.push("the guest ended before its tests did".into()),
        Ok(Some(_)) if summary.results == 0 => wrong.push("the tests said nothing about themselves".into()),
        Ok(Some(_)) if status != Some("0") && counts.failed == 0 => {
            wrong.push(format!("the tests ended with status {}", status.unwrap_or_default()));
        }
        Ok(Some(_)) => {}
    }
    let harm = console.lines().filter(|line| HARM.iter().any(|word| line.contains(word)));
    wrong.extend(harm.map(|line| format!("the kernel: {line}")));
    if !wrong.is_empty() {
        counts.failed += 1;
    }
    bad.extend(wrong);
    (counts, bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifacts::TestProgram;
    use crate::vm::Job;
    use crate::vm::guest::Guest;
    use crate::vm::qemu::Files;
    use anyhow::Result;
    use std::os::unix::process::ExitStatusExt as _;
    use std::path::Path;
    use std::process::ExitStatus;
    use std::time::Duration;

    const FINE: &str = "running 1 test\ntest a ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored;\niosmux-vm: status 0\n";

    fn ran(ending: Result<Option<ExitStatus>>) -> Ran {
        let test = TestProgram {
            package: "p".into(),
            target: "t".into(),
            feature: None,
            path: "/x".into(),
            folder: "/".into(),
            version: "1".into(),
        };
        let job = Job::new(Guest::Linux61, &test);
        Ran { job, ending, files: Files::of(Path::new("/"), "x"), time: Duration::from_secs(61) }
    }

    fn failed(ending: Result<Option<ExitStatus>>, said: &str, console: &str) -> Vec<String> {
        let (counts, bad) = verdict(&ran(ending), said, console);
        assert_eq!(counts.failed > 0, !bad.is_empty());
        bad
    }

    fn ended() -> Result<Option<ExitStatus>> {
        Ok(Some(ExitStatus::from_raw(0)))
    }

    #[test]
    fn a_whole_run_passes() {
        assert_eq!(failed(ended(), FINE, "[    0.0] Linux version 6.1.0"), Vec::<String>::new());
    }

    #[test]
    fn each_way_to_end_early_is_named() {
        let cut = FINE.replace("iosmux-vm: status 0\n", "");
        assert_eq!(failed(ended(), &cut, ""), ["the guest ended before its tests did"]);
        assert_eq!(
            failed(ended(), "iosmux-vm: status 127\n", ""),
            ["the tests said nothing about themselves"]
        );
        assert_eq!(failed(Ok(None), FINE, ""), ["the guest was killed after 1 min 01 s"]);
        let signal = FINE.replace("status 0", "status 139");
        assert_eq!(failed(ended(), &signal, ""), ["the tests ended with status 139"]);
        assert_eq!(failed(Err(anyhow::anyhow!("no memory")), "", ""), ["the guest did not start: no memory"]);
    }

    #[test]
    fn a_kernel_in_trouble_fails_tests_that_passed() {
        let console = "[    9.0] Oops: 0000 [#1] PREEMPT SMP";
        assert_eq!(failed(ended(), FINE, console), [format!("the kernel: {console}")]);
    }

    #[test]
    fn a_failed_test_is_one_failure() {
        let said = "test a ... FAILED\ntest result: FAILED. 0 passed; 1 failed;\niosmux-vm: status 101\n";
        let (counts, bad) = verdict(&ran(ended()), said, "");
        assert_eq!((counts.failed, bad), (1, vec!["a failed".to_owned()]));
    }
}
