//! `iosmux-bridge switch` and `iosmux-bridge restore`.

use std::io::Write;

use clap::Args;
use iosmux_bridge::oneoff::{Changed, set_mode};
use iosmux_bridge::phone::Reason;
use iosmux_bridge::privileges;
use iosmux_bridge::state::{self, Phone};
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
    if let Some(pid) = arguments.told.report().and_then(|report| holder(&report, &arguments.udid)) {
        return Err(Failure::Taken { udid: arguments.udid.to_string(), pid });
    }
    change(&arguments.udid, Mode::Initial, arguments.json, out)
}

/// The daemon that has this phone; one whose configuration leaves it out has it not.
fn holder(report: &state::Report, udid: &Udid) -> Option<u32> {
    let left_out =
        |phone: &Phone| phone.reason.as_ref().is_some_and(|reason| reason.name == Reason::NotAllowed.name());
    let has = |phone: &Phone| phone.udid.as_deref() == Some(udid.as_str()) && !left_out(phone);
    report.pid.filter(|_| report.phones.iter().any(has))
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

#[cfg(test)]
mod tests {
    use super::*;
    use iosmux_bridge::state::Why;

    const UDID: &str = "00008020-0000000000001234";

    fn told(reason: Option<&Reason>) -> state::Report {
        let text = format!(r#"{{"id":"1-2","udid":"{UDID}","state":"held","netdevs":[]}}"#);
        let phone: Phone = serde_json::from_str(&text).unwrap();
        let phone = Phone { reason: reason.map(Why::from), ..phone };
        state::Report { pid: Some(812), ..state::Report::new(vec![phone]) }
    }

    #[test]
    fn a_daemon_has_the_phones_that_it_runs_whatever_they_wait_for() {
        let udid: Udid = UDID.parse().unwrap();
        let missing = Reason::BridgeMissing { bridge: "virbr0".to_owned() };
        for reason in [None, Some(&Reason::TooOld), Some(&missing)] {
            assert_eq!(holder(&told(reason), &udid), Some(812));
        }
        let other: Udid = "00008020-0000000000005678".parse().unwrap();
        assert_eq!(holder(&told(None), &other), None);
    }

    #[test]
    fn a_daemon_has_no_phone_that_its_configuration_leaves_out() {
        assert_eq!(holder(&told(Some(&Reason::NotAllowed)), &UDID.parse().unwrap()), None);
    }
}
