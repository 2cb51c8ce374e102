//! `iosmux-tunneld up`.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use iosmux_service::signals::Signals;
use iosmux_tunneld::fleet::Fleet;
use iosmux_tunneld::model::{Happening, Identity, Snapshot, State, Tunnel};
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::failure::Failure;
use super::run::{block_on, start};
use super::sources::Sources;

/// The version of a JSON line.
const SCHEMA: &str = "iosmux-tunneld-up/1";
/// The same of a line that says how many are missing before it.
const MISSED_SCHEMA: &str = "iosmux-tunneld-up-missed/1";
/// Lines that wait for a slow reader; more are left out.
const WAITING: usize = 256;
/// How long the reader may take for them at the end.
const FAREWELL: Duration = Duration::from_secs(1);

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

/// Where the lines go, how many of the last ones did not, and since when their times count.
struct Lines {
    waiting: mpsc::Sender<String>,
    missed: u64,
    json: bool,
    began: Instant,
}

/// Runs until a signal or a client of the registry ends it.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut settings = arguments.sources.settings(arguments.config.as_deref())?;
    if arguments.config.is_none() {
        // The default one is for the service, which may run beside this.
        settings.socket = None;
    }
    block_on(async {
        let signals = Signals::follow()?;
        let daemon = start(&settings).await?;
        let (fleet, addresses) = (daemon.fleet(), daemon.addresses());
        let (waiting, lines) = mpsc::channel(WAITING);
        let written = spawn_blocking(|| write(lines, io::stdout()));
        let mut lines = Lines { waiting, missed: 0, json: arguments.json, began: Instant::now() };
        let end = async move {
            lines.say_where(&addresses);
            tokio::select! {
                () = signals.end() => {}
                () = lines.show(&fleet) => {}
            }
        };
        daemon.run(end).await;
        // Who does not read is not waited for.
        let Ok(written) = timeout(FAREWELL, written).await else { return Ok(()) };
        match written.map_err(io::Error::from)? {
            // Whoever read the lines has gone: that is how a pipe ends.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => Ok(written?),
        }
    })
}

/// Writes lines until no more can come or their reader is gone. It blocks while nobody reads, as after Ctrl-S: phones and
/// the registry's clients must not wait for that.
fn write(mut lines: mpsc::Receiver<String>, mut out: impl Write) -> io::Result<()> {
    while let Some(line) = lines.blocking_recv() {
        writeln!(out, "{line}")?;
        out.flush()?;
    }
    Ok(())
}

impl Lines {
    /// For people only.
    fn say_where(&mut self, addresses: &[SocketAddr]) {
        if !self.json {
            for address in addresses {
                self.put(format!("The registry listens on {address}; Ctrl-C ends it."));
            }
        }
    }

    /// Shows what happens until the fleet or the reader is gone.
    async fn show(&mut self, fleet: &Fleet) {
        let mut happenings = fleet.happenings();
        loop {
            tokio::select! {
                biased;
                () = self.waiting.closed() => return,
                Ok(room) = self.waiting.clone().reserve_owned(), if self.missed > 0 => {
                    let missed = std::mem::take(&mut self.missed);
                    room.send(left_out(self.json, self.began.elapsed(), missed));
                }
                happening = happenings.recv() => match happening {
                    Ok(happening) => self.put(self.line(&happening, &fleet.snapshot())),
                    Err(RecvError::Lagged(missed)) => self.missed = self.missed.saturating_add(missed),
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }

    /// Leaves a line out where there is no room, and those behind it until the gap is told.
    fn put(&mut self, line: String) {
        if self.missed > 0 || self.waiting.try_send(line).is_err() {
            self.missed = self.missed.saturating_add(1);
        }
    }

    fn line(&self, happening: &Happening, snapshot: &Snapshot) -> String {
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
}

/// A line about lines that are not there.
fn left_out(as_json: bool, after: Duration, missed: u64) -> String {
    if as_json {
        return json(&Missed { schema: MISSED_SCHEMA, seconds: after.as_secs_f64(), missed });
    }
    let changes = if missed == 1 { "change was" } else { "changes were" };
    format!("({missed} {changes} not shown, as nobody read: `iosmux status` shows how it is now)")
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
    use iosmux_tunneld::fleet::channel;
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
        let (mut lines, shown) = lines(json, WAITING);
        lines.say_where(&["127.0.0.1:49151".parse().unwrap()]);
        let happenings = [
            happening(1, "fe80::1%eth0", State::Announced, None),
            happening(2, "fe80::2%eth0", State::Down, silent),
            happening(3, &udid, State::AwaitingTrust, None),
            happening(4, &udid, State::Held, refused),
            happening(5, &udid, State::CatalogueKnown, None),
        ];
        for happening in happenings {
            lines.put(lines.line(&happening, &snapshot));
        }
        drop(lines);
        let mut out = Vec::new();
        write(shown, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn lines(json: bool, room: usize) -> (Lines, mpsc::Receiver<String>) {
        let (waiting, lines) = mpsc::channel(room);
        (Lines { waiting, missed: 0, json, began: Instant::now() }, lines)
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

    #[tokio::test]
    async fn who_does_not_read_is_told_how_much_was_left_out() {
        let (fleet, inbox) = channel();
        let (mut lines, mut reader) = lines(false, 2);
        let send = |number| {
            let news = happening(number, &format!("no. {number}"), State::Announced, None);
            inbox.happenings.send(news).unwrap();
        };
        let read = async {
            while inbox.happenings.receiver_count() == 0 {
                tokio::task::yield_now().await;
            }
            (1..=5).for_each(send);
            let mut seen = Vec::new();
            while seen.len() < 4 {
                // Nothing more happens until the gap is told.
                if seen.len() == 3 {
                    send(6);
                }
                seen.push(reader.recv().await.unwrap());
            }
            seen
        };
        let seen = tokio::select! {
            () = lines.show(&fleet) => panic!("nothing has ended"),
            seen = read => seen,
        };
        let begin = "(3 changes were not shown";
        for (line, part) in seen.iter().zip(["no. 1", "no. 2", begin, "no. 6"]) {
            assert!(line.contains(part), "{seen:?}");
        }
        let told = r#"{"schema":"iosmux-tunneld-up-missed/1","seconds":1.5,"missed":3}"#;
        assert_eq!(left_out(true, Duration::from_millis(1500), 3), told);
    }
}
