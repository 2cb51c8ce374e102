//! Reads what a libtest program says about itself.

/// How many tests one or more programs ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Tests that passed.
    pub(crate) passed: usize,
    /// Tests that failed.
    pub(crate) failed: usize,
    /// Tests that were left out on purpose (`--without`) or that said what of them was, never ignored ones.
    pub(crate) skipped: usize,
}

impl Counts {
    /// One check that passed.
    pub(crate) const PASSED: Self = Self { passed: 1, failed: 0, skipped: 0 };
    /// One check that failed.
    pub(crate) const FAILED: Self = Self { passed: 0, failed: 1, skipped: 0 };
    /// One thing left out by name.
    pub(crate) const SKIPPED: Self = Self { passed: 0, failed: 0, skipped: 1 };

    /// Adds other counts to these.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// What the output of a test program holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Sum over all `test result:` lines; an ignored test counts as failed.
    pub(crate) counts: Counts,
    /// How many `test result:` lines there were.
    pub(crate) results: usize,
    /// Names of the tests that failed or were ignored, each with the word.
    pub(crate) bad: Vec<String>,
    /// What tests said that they could not show where they ran, and why.
    pub(crate) left_out: Vec<String>,
}

/// Sums the `test result:` lines of `output` and names what did not pass.
pub(crate) fn parse(output: &str) -> Summary {
    let mut summary = Summary::default();
    for line in output.lines().map(str::trim_end) {
        if let Some(rest) = line.strip_prefix("test result: ") {
            summary.results += 1;
            summary.counts.passed += number_before(rest, " passed");
            summary.counts.failed += number_before(rest, " failed") + number_before(rest, " ignored");
        } else if let Some(what) = line.strip_prefix("left out: ") {
            summary.counts.skipped += 1;
            summary.left_out.push(what.to_owned());
        } else if let Some(test) = line.strip_prefix("test ") {
            match test.rsplit_once(" ... ") {
                Some((name, "FAILED")) => summary.bad.push(format!("{name} failed")),
                Some((name, word)) if word.starts_with("ignored") => {
                    summary.bad.push(format!("{name} ignored"));
                }
                _ => {}
            }
        }
    }
    summary
}

fn number_before(text: &str, word: &str) -> usize {
    let Some((before, _)) = text.split_once(word) else { return 0 };
    let digits = before.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_every_result_line() {
        let text = "running 2 tests\ntest a ... ok\ntest b ... FAILED\n\n\
            test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
            test result: ok. 40 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s\n";
        let summary = parse(text);
        assert_eq!(summary.counts, Counts { passed: 41, failed: 1, skipped: 0 });
        assert_eq!(summary.results, 2);
        assert_eq!(summary.bad, ["b failed"]);
    }

    #[test]
    fn an_ignored_test_is_a_failed_one() {
        let text = "test slow ... ignored, too slow\n\
            test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
        let summary = parse(text);
        assert_eq!(summary.counts, Counts { passed: 3, failed: 1, skipped: 0 });
        assert_eq!(summary.bad, ["slow ignored"]);
    }

    #[test]
    fn what_a_test_could_not_show_counts_as_skipped_and_is_named() {
        let text = "left out: as_root: there is one user only\ntest as_root ... ok\n\
            test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
        let summary = parse(text);
        assert_eq!(summary.counts, Counts { passed: 1, failed: 0, skipped: 1 });
        assert_eq!(summary.left_out, ["as_root: there is one user only"]);
    }

    #[test]
    fn a_crash_leaves_no_result() {
        assert_eq!(parse("running 9 tests\ntest a ... ok\n").results, 0);
    }
}
