//! `iosmux-tunneld check-config`.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use iosmux_service::config::Report;
use iosmux_tunneld::config::{Environment, Overrides, Settings};

use super::failure::Failure;

/// The version of the JSON that is printed.
const SCHEMA: &str = "iosmux-tunneld-check-config/1";

/// Check a configuration file, and show what the daemon would run with
///
/// Defaults are those of the user who asks, so that state-dir and socket may differ from the service's.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The file
    file: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Reads, checks, shows.
pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let settings = Settings::load(Some(&arguments.file), &Overrides::default(), &Environment::current());
    if !arguments.json {
        let settings = settings?;
        writeln!(out, "{} is valid. The daemon would run with:", arguments.file.display())?;
        return Ok(write!(out, "{settings}")?);
    }
    let report = Report::new(SCHEMA, settings.map(|settings| settings.written()))?;
    serde_json::to_writer_pretty(&mut *out, &report).map_err(std::io::Error::from)?;
    writeln!(out)?;
    if report.valid { Ok(()) } else { Err(Failure::Told) }
}
