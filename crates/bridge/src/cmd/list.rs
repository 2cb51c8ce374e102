//! `iosmux-bridge list`.

use std::io::Write;

use clap::Args;
use iosmux_bridge::state::{Report, list};

use super::block_on;
use super::failure::Failure;
use super::told::Told;

/// List the phones on USB, and where a running daemon has them
///
/// Needs no rights, and asks the phones nothing.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    told: Told,
}

/// Looks and prints.
pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    block_on(async {
        let system = |source| Failure::System { action: "USB can't be looked at", source };
        let report = list(arguments.told.report()).await.map_err(system)?;
        if arguments.json {
            serde_json::to_writer_pretty(&mut *out, &report).map_err(std::io::Error::from)?;
            return Ok(writeln!(out)?);
        }
        Ok(out.write_all(lines(&report).as_bytes())?)
    })
}

/// One line for each phone, and one for each thing that is to be said of it.
fn lines(report: &Report) -> String {
    if report.phones.is_empty() {
        return "No phone is plugged in.\n".to_owned();
    }
    let mut lines = String::new();
    for phone in &report.phones {
        let udid = phone.udid.as_deref().unwrap_or("(no UDID)");
        let mode = phone.mode.map_or_else(|| "mode ?".to_owned(), |mode| format!("mode {mode}"));
        let state = phone.state.as_deref().unwrap_or("not run by a daemon");
        lines += &format!("{}  {udid}  {mode}  {state}", phone.id);
        if let (Some(interface), Some(bridge)) = (&phone.interface, &phone.bridge) {
            lines += &format!("  {} on {bridge}", interface.name);
        }
        lines.push('\n');
        for why in phone.reason.iter().chain(&phone.notices) {
            lines += &format!("    {}. Next: {}\n", why.text, why.next_step);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use iosmux_bridge::state::{Phone, Why};

    fn phone(id: &str, state: Option<&str>) -> Phone {
        let text = format!(
            r#"{{"id":"{id}","udid":"00008020-0000000000001234","mode":3,"netdevs":[],"address":[1,4]}}"#
        );
        let mut phone: Phone = serde_json::from_str(&text).unwrap();
        phone.state = state.map(str::to_owned);
        phone
    }

    #[test]
    fn people_read_lines() {
        let mut held = phone("1-2", Some("held"));
        held.reason = Some(Why {
            name: "bridge-missing".to_owned(),
            text: "there is no bridge virbr0".to_owned(),
            next_step: "make it".to_owned(),
        });
        let report = Report::new(vec![held, phone("1-3", None)]);
        insta::assert_snapshot!(lines(&report));
        assert_eq!(lines(&Report::new(Vec::new())), "No phone is plugged in.\n");
    }
}
