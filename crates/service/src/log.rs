//! Which log lines there are, and where they go: the journal when it listens at stderr, else text or JSON on stderr.

use std::env;
use std::os::fd::AsFd;

use nix::sys::stat::fstat;
pub use tracing_subscriber::filter::LevelFilter;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Chooses log lines, as in every program of iosmux.
const FILTER_VARIABLE: &str = "IOSMUX_LOG";
/// Every phone on a link bears the same name (protocol.md §2): that they say so of each other is no news anywhere.
const QUIET: &str = "iosmux_mdns::io::announce=error";
/// `json` or `text`.
const FORMAT_VARIABLE: &str = "IOSMUX_LOG_FORMAT";

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// To the journal, with fields.
    Journal,
    /// A line of JSON each.
    Json,
    /// For people.
    Text,
}

/// Begins to log into `writer`; `stderr` is the file behind it, and `terminal` whether that is one. Without IOSMUX_LOG what
/// is at `level` or worse is written.
pub fn start(
    level: LevelFilter,
    writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static,
    terminal: bool,
    stderr: impl AsFd,
) {
    let variable = |name| env::var(name).ok();
    let filter = EnvFilter::try_from_env(FILTER_VARIABLE)
        .unwrap_or_else(|_| EnvFilter::new(format!("{level},{QUIET}")));
    let journal = variable("JOURNAL_STREAM");
    let format = format(variable(FORMAT_VARIABLE).as_deref(), journal.as_deref(), stderr);
    let registry = tracing_subscriber::registry().with(filter);
    if format == Format::Journal
        && let Ok(journal) = tracing_journald::layer()
    {
        // The fields of an event as they are, e.g. `journalctl UDID=…`.
        return registry.with(journal.with_field_prefix(None)).init();
    }
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    match format {
        Format::Json => registry.with(lines.json().flatten_event(true)).init(),
        Format::Journal | Format::Text => registry.with(lines.with_ansi(terminal && colours())).init(),
    }
}

/// Source: no-color.org.
fn colours() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn format(wanted: Option<&str>, journal: Option<&str>, stderr: impl AsFd) -> Format {
    match wanted {
        Some("json") => Format::Json,
        Some("text") => Format::Text,
        _ if journal.is_some_and(|journal| is_journal(journal, stderr)) => Format::Journal,
        _ => Format::Text,
    }
}

/// Whether the file is the one that the variable names by device and inode: else the service manager's stderr was
/// replaced by another. Source: systemd.exec(5), JOURNAL_STREAM.
fn is_journal(stream: &str, stderr: impl AsFd) -> bool {
    let Ok(file) = fstat(stderr) else { return false };
    let Some((device, inode)) = stream.split_once(':') else { return false };
    let numbers = (device.parse::<u64>(), inode.parse::<u64>());
    // Not all systems have the same types here.
    #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
    let same = numbers == (Ok(file.st_dev as u64), Ok(file.st_ino as u64));
    same
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn the_journal_is_meant_only_when_stderr_is_its_stream() {
        let (file, other) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let metadata = file.metadata().unwrap();
        let stream = format!("{}:{}", metadata.dev(), metadata.ino());
        assert_eq!(format(None, Some(&stream), &file), Format::Journal);
        assert_eq!(format(None, Some(&stream), &other), Format::Text, "stderr was redirected");
        assert_eq!(format(None, None, &file), Format::Text);
        for garbage in ["", ":", "1", "a:b", "1:2:3"] {
            assert_eq!(format(None, Some(garbage), &file), Format::Text, "{garbage}");
        }
    }

    #[test]
    fn a_format_that_is_asked_for_wins() {
        let file = tempfile::tempfile().unwrap();
        let metadata = file.metadata().unwrap();
        let stream = format!("{}:{}", metadata.dev(), metadata.ino());
        assert_eq!(format(Some("json"), Some(&stream), &file), Format::Json);
        assert_eq!(format(Some("text"), Some(&stream), &file), Format::Text);
        assert_eq!(format(Some("xml"), None, &file), Format::Text);
    }
}
