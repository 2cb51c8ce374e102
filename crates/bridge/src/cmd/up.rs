//! `iosmux-bridge up`.

use std::collections::BTreeSet;
use std::io::Write;
use std::pin::pin;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use iosmux_bridge::config::{DEFAULT_BRIDGE, Device, Ending, Settings, bridge_name};
use iosmux_bridge::daemon::Happening;
use iosmux_bridge::phone::Driver;
use iosmux_bridge::privileges;
use iosmux_bridge::state::Why;
use iosmux_service::lines::Lines;
use iosmux_service::signals::Signals;
use iosmux_usb::Udid;
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::alone::alone;
use super::block_on;
use super::failure::Failure;
use super::start::start;
use super::told::Told;

/// The version of a JSON line.
const SCHEMA: &str = "iosmux-bridge-up/1";
/// The same of a line that says how many are missing before it.
const MISSED_SCHEMA: &str = "iosmux-bridge-up-missed/1";

/// Run once, in the foreground: show each phone's way to the bridge until Ctrl-C, which gives it back
///
/// Needs no file and no rule. Under sudo it becomes the calling user, with CAP_NET_ADMIN only; a helper process opens the phones' nodes.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The bridge to join
    #[arg(long, value_name = "NAME", default_value = DEFAULT_BRIDGE, value_parser = bridge_name)]
    bridge: String,
    /// This phone only; can be given several times
    #[arg(long = "udid", value_name = "UDID")]
    udids: Vec<Udid>,
    /// Leave the phone in the mode with NCM at the end
    #[arg(long)]
    keep: bool,
    /// Keep phones on the bridge from talking to each other
    #[arg(long)]
    isolated: bool,
    /// Which NCM driver carries the frames
    #[arg(long, value_enum, default_value = "auto")]
    driver: DriverName,
    /// Print one line of JSON for each change
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    told: Told,
}

/// A driver, as it is written.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum DriverName {
    /// The kernel's where it can, else iosmux' own
    Auto,
    /// The kernel's
    Kernel,
    /// iosmux' own
    Userspace,
}

/// One line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    schema: &'static str,
    seconds: f64,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    udid: Option<&'a str>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Why>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bridge: Option<&'a str>,
}

/// In the place of lines that were left out.
#[derive(Serialize)]
struct Missed {
    schema: &'static str,
    seconds: f64,
    missed: u64,
}

/// How lines are written, and since when their times count.
#[derive(Clone, Copy)]
struct Style {
    json: bool,
    began: Instant,
}

impl Arguments {
    fn settings(&self) -> Settings {
        let default = Device {
            bridge: self.bridge.clone(),
            on_stop: if self.keep { Ending::Keep } else { Ending::Restore },
            driver: match self.driver {
                DriverName::Auto => Driver::Auto,
                DriverName::Kernel => Driver::Kernel,
                DriverName::Userspace => Driver::Userspace,
            },
            isolated: self.isolated,
            ..Device::default()
        };
        let allow: BTreeSet<Udid> = self.udids.iter().cloned().collect();
        // The state file is the service's, which may run beside this.
        Settings {
            allow: (!allow.is_empty()).then_some(allow),
            default,
            state_file: None,
            ..Settings::default()
        }
    }
}

/// Runs until a signal ends it.
pub(super) fn run(arguments: &Arguments, out: impl Write + Send + 'static) -> Result<(), Failure> {
    let every_phone = arguments.udids.is_empty();
    if every_phone {
        arguments.told.refuse(None)?;
    }
    // As root yet: it is not the caller's to lock.
    let _alone = if every_phone { alone(&arguments.told.path())? } else { None };
    // While there is one thread: the kernel keeps privileges by thread.
    let access = privileges::for_caller()?;
    arguments.udids.iter().try_for_each(|udid| arguments.told.refuse(Some(udid)))?;
    block_on(async {
        let signals = Signals::follow()?;
        let (daemon, handle) = start(access, arguments.settings())?;
        let style = Style { json: arguments.json, began: Instant::now() };
        let (mut lines, writing) = Lines::to(out, move |missed| style.gap(missed));
        style.greeting(&arguments.bridge).into_iter().for_each(|line| lines.put(line));
        show(lines, style, handle.happenings(), daemon.run(signals.end())).await;
        Ok(writing.end().await?)
    })
}

/// Shows what happens while the daemon works; it goes on when nobody reads any more.
async fn show(
    mut lines: Lines,
    style: Style,
    mut happenings: Receiver<Happening>,
    work: impl Future<Output = ()>,
) {
    let (mut work, mut read) = (pin!(work), true);
    loop {
        tokio::select! {
            biased;
            () = lines.until_unread(), if read => read = false,
            happening = happenings.recv(), if read => match happening {
                Ok(happening) => lines.put(style.line(&happening)),
                Err(RecvError::Lagged(missed)) => lines.miss(missed),
                // The daemon's end is below.
                Err(RecvError::Closed) => {}
            },
            () = &mut work => break,
        }
    }
    while let Ok(happening) = happenings.try_recv() {
        lines.put(style.line(&happening));
    }
}

impl Style {
    /// For people only.
    fn greeting(self, bridge: &str) -> Option<String> {
        (!self.json).then(|| format!("Phones that are plugged in join {bridge}; Ctrl-C gives them back."))
    }

    fn line(self, happening: &Happening) -> String {
        let after = self.began.elapsed();
        if !self.json {
            return sentence(after, happening);
        }
        let joined = happening.joined.as_ref();
        json(&Line {
            schema: SCHEMA,
            seconds: after.as_secs_f64(),
            id: &happening.id,
            udid: happening.udid.as_deref(),
            state: happening.state.name(),
            reason: happening.reason.as_ref().map(Why::from),
            interface: joined.map(|(interface, _)| interface.as_str()),
            bridge: joined.map(|(_, bridge)| bridge.as_str()),
        })
    }

    /// In the place of lines that are not there.
    fn gap(self, missed: u64) -> String {
        if self.json {
            let seconds = self.began.elapsed().as_secs_f64();
            return json(&Missed { schema: MISSED_SCHEMA, seconds, missed });
        }
        let changes = if missed == 1 { "change was" } else { "changes were" };
        format!("({missed} {changes} not shown, as nobody read)")
    }
}

/// Every type that is written has text keys and no failing parts: this is never empty.
fn json(line: &impl Serialize) -> String {
    serde_json::to_string(line).unwrap_or_default()
}

/// A line for people: when, which phone, what, why, and what to do.
fn sentence(after: Duration, happening: &Happening) -> String {
    let who = happening.udid.as_deref().unwrap_or(&happening.id);
    let mut line = format!("{:>8.1} s  {who}  {}", after.as_secs_f64(), happening.state.words());
    if let Some((interface, bridge)) = &happening.joined {
        line += &format!(" {bridge}, as {interface}");
    }
    if let Some(reason) = &happening.reason {
        line += &format!(": {}. Next: {}", reason.text(), reason.next_step());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use iosmux_bridge::phone::{Reason, State};

    fn story(json: bool) -> String {
        let happening = |state, reason| Happening {
            id: "1-2".to_owned(),
            udid: Some("00008020-0000000000001234".to_owned()),
            state,
            reason,
            joined: (state == State::Joined).then(|| ("iosmux7".to_owned(), "virbr0".to_owned())),
        };
        let missing = Reason::BridgeMissing { bridge: "virbr0".to_owned() };
        let style = Style { json, began: Instant::now() };
        let happenings = [
            happening(State::ModeQueried, None),
            happening(State::Switching, None),
            happening(State::Held, Some(missing)),
            happening(State::Joined, None),
            happening(State::Restoring, None),
            happening(State::Gone, None),
        ];
        let told = happenings.iter().map(|happening| style.line(happening));
        style.greeting("virbr0").into_iter().chain(told).map(|line| line + "\n").collect()
    }

    #[test]
    fn a_gap_is_told_as_the_lines_are() {
        let gap = |json, missed| Style { json, began: Instant::now() }.gap(missed);
        assert_eq!(gap(false, 1), "(1 change was not shown, as nobody read)");
        let told: serde_json::Value = serde_json::from_str(&gap(true, 3)).unwrap();
        assert_eq!((&told["schema"], &told["missed"]), (&MISSED_SCHEMA.into(), &3.into()));
    }

    #[test]
    fn people_read_lines() {
        insta::assert_snapshot!(story(false));
    }

    #[test]
    fn programs_read_json_lines() {
        let text = story(true);
        let mut lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for line in &mut lines {
            assert!(line["seconds"].is_f64());
            line["seconds"] = 0.0.into();
        }
        insta::assert_json_snapshot!(lines);
    }
}
