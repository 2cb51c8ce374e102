//! `iosmux-bridge switch` and `iosmux-bridge restore`.

use std::io::Write;

use clap::Args;
use iosmux_bridge::oneoff::{Changed, set_mode};
use iosmux_bridge::privileges;
use iosmux_bridge::usb::Host;
use iosmux_usb::{Mode, Udid};
use serde::Serialize;

use super::block_on;
use super::failure::Failure;
use super::told::Told;

/// The version of the JSON that is printed.
const SCHEMA: &str = "iosmux-bridge-mode/1";

/// Bring a phone into the mode with NCM, and leave it there
///
/// It joins no bridge by that. A phone that is in the mode already is not touched.
#[derive(Debug, Args)]
pub(super) struct Switch {
    /// Which phone
    udid: Udid,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Bring a phone back into the mode that it has when it is plugged in, in which tethering works
#[derive(Debug, Args)]
pub(super) struct Restore {
    /// Which phone
    udid: Udid,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    told: Told,
}

/// The JSON.
#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    udid: &'a str,
    mode: u8,
    changed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
}

/// Brings it into mode 3.
pub(super) fn switch(arguments: &Switch, out: &mut dyn Write) -> Result<(), Failure> {
    change(&arguments.udid, Mode::Ncm, arguments.json, out)
}

/// Brings it into mode 1.
pub(super) fn restore(arguments: &Restore, out: &mut dyn Write) -> Result<(), Failure> {
    arguments.told.refuse(Some(&arguments.udid))?;
    change(&arguments.udid, Mode::Initial, arguments.json, out)
}

fn change(udid: &Udid, mode: Mode, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let access = privileges::for_caller()?;
    block_on(async {
        let usb =
            Host::new(access).map_err(|source| Failure::System { action: "USB can't be reached", source })?;
        let changed = set_mode(&usb, udid, mode).await?;
        if json {
            let seconds = match changed {
                Changed::Already => None,
                Changed::After(time) => Some(time.as_secs_f64()),
            };
            let (changed, udid) = (seconds.is_some(), udid.as_str());
            let report = Report { schema: SCHEMA, udid, mode: mode.number(), changed, seconds };
            serde_json::to_writer_pretty(&mut *out, &report).map_err(std::io::Error::from)?;
            return Ok(writeln!(out)?);
        }
        match changed {
            Changed::Already => writeln!(out, "{udid} is in mode {mode} already")?,
            Changed::After(time) => {
                writeln!(out, "{udid} is in mode {mode}, after {:.1} s", time.as_secs_f64())?;
            }
        }
        Ok(())
    })
}
