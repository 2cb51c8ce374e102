//! `iosmux-tunneld up`.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use iosmux_service::lines::Lines;
use iosmux_service::signals::Signals;
use iosmux_tunneld::fleet::Fleet;
use iosmux_tunneld::model::{Happening, Identity, Snapshot, State, Tunnel};
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;

use super::failure::Failure;
use super::run::{block_on, start};
use super::sources::Sources;

/// The version of a JSON line.
const SCHEMA: &str = "iosmux-tunneld-up/1";
/// The same of a line that says how many are missing before it.
const MISSED_SCHEMA: &str = "iosmux-tunneld-up-missed/1";

/// Run once, in the foreground: show what happens to each phone until Ctrl-C
///
/// Serves the registry like the service, but reads no configuration and makes no Unix socket unless one is named.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A configuration to read
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    sources: Sources,
    /// Print one line of JSON for each change
    #[arg(long)]
    json: bool,
}

/// One line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    schema: &'static str,
    seconds: f64,
    #[serde(flatten)]
    happening: &'a Happening,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<&'a Identity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel: Option<&'a Tunnel>,
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

/// Runs until a signal or a client of the registry ends it.
pub(super) fn run(arguments: &Arguments, out: impl Write + Send + 'static) -> Result<(), Failure> {
    let mut settings = arguments.sources.settings(arguments.config.as_deref())?;
    if arguments.config.is_none() {
        // The default one is for the service, which may run beside this.
        settings.socket = None;
    }
    block_on(async {
        let signals = Signals::follow()?;
        let daemon = start(&settings).await?;
        let (fleet, addresses) = (daemon.fleet(), daemon.addresses());
        let style = Style { json: arguments.json, began: Instant::now() };
        let (mut lines, writing) = Lines::to(out, move |missed| style.gap(missed));
        let end = async move {
            style.places(&addresses).for_each(|line| lines.put(line));
            tokio::select! {
                () = signals.end() => {}
                () = show(&fleet, &mut lines, style) => {}
            }
        };
        daemon.run(end).await;
        Ok(writing.end().await?)
    })
}

/// Shows what happens until the fleet or the reader is gone.
async fn show(fleet: &Fleet, lines: &mut Lines, style: Style) {
    let mut happenings = fleet.happenings();
    loop {
        tokio::select! {
            biased;
            () = lines.until_unread() => return,
            happening = happenings.recv() => match happening {
                Ok(happening) => lines.put(style.line(&happening, &fleet.snapshot())),
                Err(RecvError::Lagged(missed)) => lines.miss(missed),
                Err(RecvError::Closed) => return,
            },
        }
    }
}

impl Style {
    /// For people only.
    fn places(self, addresses: &[SocketAddr]) -> impl Iterator<Item = String> {
        let shown = if self.json { &[] } else { addresses };
        shown.iter().map(|address| format!("The registry listens on {address}; Ctrl-C ends it."))
    }

    fn line(self, happening: &Happening, snapshot: &Snapshot) -> String {
        let after = self.began.elapsed();
        if !self.json {
            return sentence(after, happening, snapshot);
        }
        let device = snapshot.device(&happening.device);
        // The picture may be newer than the happening.
        let now = device.filter(|device| device.state == happening.state);
        json(&Line {
            schema: SCHEMA,
            seconds: after.as_secs_f64(),
            happening,
            identity: device.map(|device| &device.identity),
            tunnel: now.and_then(|device| device.tunnel.as_ref()),
        })
    }

    /// In the place of lines that are not there.
    fn gap(self, missed: u64) -> String {
        if self.json {
            let seconds = self.began.elapsed().as_secs_f64();
            return json(&Missed { schema: MISSED_SCHEMA, seconds, missed });
        }
        let changes = if missed == 1 { "change was" } else { "changes were" };
        format!("({missed} {changes} not shown, as nobody read: `iosmux status` shows how it is now)")
    }
}

/// Every type that is written has text keys and no failing parts: this is never empty.
fn json(line: &impl Serialize) -> String {
    serde_json::to_string(line).unwrap_or_default()
}

/// A line for people: when, which phone, what, why, and what to do.
fn sentence(after: Duration, happening: &Happening, snapshot: &Snapshot) -> String {
    let device = snapshot.device(&happening.device);
    let product = device.and_then(|device| device.identity.product_type.as_deref());
    let system = device.and_then(|device| device.identity.os_version.as_deref());
    let who = match (product, system) {
        (Some(product), Some(system)) => format!("{} ({product}, iOS {system})", happening.device),
        _ => happening.device.clone(),
    };
    let mut line = format!("{:>8.1} s  {who}  {}", after.as_secs_f64(), words(happening.state));
    let tunnel =
        device.filter(|device| device.state == happening.state).and_then(|device| device.tunnel.as_ref());
    if let Some(tunnel) = tunnel.filter(|_| happening.state.is_usable()) {
        line += &format!(" [{}]:{} on {}", tunnel.address, tunnel.rsd_port, tunnel.interface);
    }
    if let Some(reason) = &happening.reason {
        line += &format!(": {}", reason.text);
        if let Some(step) = &reason.next_step {
            line += &format!(". Next: {step}");
        }
    }
    line
}

/// A state in words.
fn words(state: State) -> &'static str {
    match state {
        State::Announced => "an address",
        State::RsdUntrusted => "is asked who it is",
        State::AwaitingTrust => "waits for its user: tap Trust on it",
        State::Locked => "is locked: unlock it",
        State::Pairing => "trust is checked",
        State::Listening => "a tunnel is being opened",
        State::TunnelUp => "the tunnel is open, its services are being read",
        State::CatalogueKnown => "ready at",
        State::Suspect => "gives no sign of life",
        State::Down => "has no tunnel yet, which is tried again by itself",
        State::Held => "needs a person",
        State::Stopped => "was stopped",
        State::Unsupported => "is not supported",
        State::Spare => "is reached by another way already",
        State::Gone => "is gone",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::tests::phone;
    use iosmux_tunnel::Transport;
    use iosmux_tunneld::model::Reason;

    fn happening(number: u64, device: &str, state: State, reason: Option<Reason>) -> Happening {
        Happening { number, device: device.to_owned(), generation: 1, state, reason }
    }

    /// What is written about one phone on its way, and about an address.
    fn story(json: bool) -> String {
        let mut device = phone(0x34, State::CatalogueKnown);
        device.tunnel = Some(Tunnel {
            address: "fd15:aae:cf1::1".parse().unwrap(),
            rsd_port: 49152,
            interface: "iosmux-tun0".to_owned(),
            mtu: 16000,
            transport: Transport::Tcp,
            suite: Some("PSK-AES256-GCM-SHA384".to_owned()),
        });
        let udid = device.identity.udid.clone();
        let snapshot = Snapshot { devices: vec![device], ..Snapshot::default() };
        let reason = |text: &str, step: Option<&str>| Some(Reason::new(text, step));
        let silent = reason("nothing answered at port 58783 within 3 s", None);
        let refused = reason("its user tapped Don't Trust", Some("plug it in again and tap Trust"));
        let style = Style { json, began: Instant::now() };
        let happenings = [
            happening(1, "fe80::1%eth0", State::Announced, None),
            happening(2, "fe80::2%eth0", State::Down, silent),
            happening(3, &udid, State::AwaitingTrust, None),
            happening(4, &udid, State::Held, refused),
            happening(5, &udid, State::CatalogueKnown, None),
        ];
        let told = happenings.iter().map(|happening| style.line(happening, &snapshot));
        let places = ["127.0.0.1:49151".parse().unwrap()];
        style.places(&places).chain(told).map(|line| line + "\n").collect()
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

    #[test]
    fn a_gap_is_told_as_the_lines_are() {
        let gap = |json, missed| Style { json, began: Instant::now() }.gap(missed);
        assert!(gap(false, 1).starts_with("(1 change was not shown"));
        assert!(gap(false, 3).starts_with("(3 changes were not shown"));
        let told: serde_json::Value = serde_json::from_str(&gap(true, 3)).unwrap();
        assert_eq!((&told["schema"], &told["missed"]), (&MISSED_SCHEMA.into(), &3.into()));
    }
}
