//! The only place that prints: steps and errors on stderr, results on stdout.
#![allow(clippy::print_stderr, reason = "this is the module that prints")]

use std::io::{self, Write};

use console::{Term, style};
use indicatif::MultiProgress;
use iosmux_service::log::{self, LevelFilter};
use serde::Serialize;
use tracing_subscriber::fmt::MakeWriter;

// Only the demo has work that takes long.
#[cfg(target_os = "linux")]
mod step;

/// The terminal, or what stands in for it.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    bars: MultiProgress,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self { bars: MultiProgress::new() }
    }

    /// Sends log lines to stderr, above the steps. The variable IOSMUX_LOG chooses them.
    pub(crate) fn log(&self) {
        log::start(LevelFilter::WARN, self.clone(), console::colors_enabled_stderr(), io::stderr());
    }

    /// The reason why a command fails.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        let mark = style("error:").for_stderr().red().bold();
        self.bars.suspend(|| eprintln!("{mark} {}", sentence(error)));
    }

    /// A result as text on stdout.
    pub(crate) fn result(&self, text: &str) -> io::Result<()> {
        self.bars.suspend(|| writeln!(io::stdout(), "{text}"))
    }

    /// One of many results, as a line of JSON on stdout.
    pub(crate) fn line(&self, value: &impl Serialize) -> io::Result<()> {
        self.result(&serde_json::to_string(value)?)
    }

    /// A result that takes the place of the one before it, where stdout is a terminal; else it follows it.
    pub(crate) fn screen(&self, text: &str) -> io::Result<()> {
        if self.is_screen() {
            Term::stdout().clear_screen()?;
        }
        self.result(text)
    }

    /// Whether [`Self::screen`] takes the place of what was there.
    pub(crate) fn is_screen(&self) -> bool {
        Term::stdout().is_term()
    }

    /// A result as JSON on stdout.
    pub(crate) fn json(&self, value: &impl Serialize) -> io::Result<()> {
        self.result(&serde_json::to_string_pretty(value)?)
    }
}

/// The chain of causes, without those that the one before has told already.
fn sentence(error: &anyhow::Error) -> String {
    let mut sentence = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !sentence.contains(&cause) {
            let separator = if sentence.is_empty() { "" } else { ": " };
            sentence = format!("{sentence}{separator}{cause}");
        }
    }
    sentence
}

/// One log line: written as a whole, so that a spinner can step aside for it.
pub(crate) struct LogLine<'a> {
    bars: &'a MultiProgress,
    text: Vec<u8>,
}

impl Write for LogLine<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogLine<'_> {
    fn drop(&mut self) {
        // A log that can't be written has nowhere to say so.
        let _ = self.bars.suspend(|| io::stderr().write_all(&self.text));
    }
}

impl<'a> MakeWriter<'a> for Output {
    type Writer = LogLine<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        LogLine { bars: &self.bars, text: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let cause = io::Error::other("no room");
        let told = anyhow::Error::new(cause).context("cannot write x: no room").context("in the lab");
        assert_eq!(sentence(&told), "in the lab: cannot write x: no room");
        assert_eq!(sentence(&anyhow::anyhow!("alone")), "alone");
    }
}
