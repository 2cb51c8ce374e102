//! Work that takes a while: a spinner where stderr is a terminal, else one plain line for each step.

use std::time::{Duration, Instant};

use console::{Term, style};
use indicatif::{ProgressBar, ProgressStyle};

use super::Output;

/// How wide the names of steps are.
const STEP_WIDTH: usize = 18;

/// A step that is going on. Dropping it leaves no line behind.
pub(crate) struct Step {
    output: Output,
    name: &'static str,
    start: Instant,
    bar: Option<ProgressBar>,
}

impl Output {
    /// Shows a step that began at `start`.
    pub(crate) fn step(&self, name: &'static str, doing: &str, start: Instant) -> Step {
        let bar = Term::stderr().is_term().then(|| {
            let bar = self.bars.add(ProgressBar::new_spinner());
            bar.set_style(
                ProgressStyle::with_template("{spinner} {prefix} {msg} {elapsed}")
                    .unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
            bar.set_prefix(format!("{name:STEP_WIDTH$}"));
            bar.set_message(doing.to_owned());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Step { output: self.clone(), name, start, bar }
    }

    /// A line for the person at the terminal.
    pub(crate) fn note(&self, line: &str) {
        self.bars.suspend(|| eprintln!("{line}"));
    }
}

impl Step {
    /// Ends the step and says how long it took.
    pub(crate) fn done(self, what: &str) -> Duration {
        let took = self.start.elapsed();
        self.took(took, what)
    }

    /// Ends a step that somebody else measured.
    pub(crate) fn took(mut self, took: Duration, what: &str) -> Duration {
        self.clear();
        let line = line(self.name, what, took);
        let mark = style("✓").for_stderr().green();
        self.output.bars.suspend(|| eprintln!("{mark} {line}"));
        took
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.clear();
    }
}

fn line(name: &str, what: &str, took: Duration) -> String {
    format!("{name:STEP_WIDTH$} {:>8.1} ms  {what}", took.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_line_up() {
        let lines = [
            line("lab", "3 namespaces", Duration::from_micros(7_340)),
            line("address detection", "2 addresses", Duration::from_millis(1_512)),
        ];
        insta::assert_snapshot!(lines.join("\n"));
    }
}
