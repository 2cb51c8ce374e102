//! One transfer with iperf3.

use super::ends::{Ends, FAR_INNER};
use super::figures::{Direction, Sample};
use super::rig::{self, Rig};
use crate::process::Log;
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const PORT: u16 = 5201;

/// What iperf3 says about one transfer.
#[derive(Debug, PartialEq)]
struct Transfer {
    bytes: f64,
    seconds: f64,
}

/// Sends for `seconds` one way through the tunnel.
pub(super) fn transfer(
    rig: &Rig,
    ends: &Ends,
    iperf3: &Path,
    (direction, seconds): (Direction, u32),
    log: &mut Log,
) -> Result<Sample> {
    let mut server = rig.far(iperf3);
    server.args(["-s", "-1", "-B", FAR_INNER]).stdin(Stdio::null()).stdout(Stdio::null());
    let mut server = server.spawn().context("cannot start nsenter (util-linux)")?;
    let result = (|| {
        let pid = server.id();
        rig::until("iperf3's server", || rig::listens(pid, PORT))?;
        let mut client = Command::new(iperf3);
        client.args(["-6", "-J", "-c", FAR_INNER, "-t", &seconds.to_string()]);
        client.args((direction == Direction::Down).then_some("-R"));
        let before = ends.host_cpu()?;
        let done = log.run("iperf3", &mut client, Duration::from_secs(u64::from(seconds) + 20))?;
        let cpu = ends.host_cpu()? - before;
        if !done.success() {
            log.show_failure("iperf3", &done.output);
            bail!("iperf3: {}", done.ending());
        }
        Ok(sample(&parse(&done.output)?, cpu))
    })();
    drop(server.kill());
    drop(server.wait());
    result
}

fn parse(json: &str) -> Result<Transfer> {
    let json: Value = serde_json::from_str(json).context("iperf3 printed no JSON")?;
    let received = &json["end"]["sum_received"];
    match (received["bytes"].as_f64(), received["seconds"].as_f64()) {
        (Some(bytes), Some(seconds)) if bytes > 0.0 && seconds > 0.0 => Ok(Transfer { bytes, seconds }),
        _ => bail!("iperf3 moved nothing: {}", json["error"].as_str().unwrap_or("no reason given")),
    }
}

fn sample(transfer: &Transfer, cpu: f64) -> Sample {
    Sample {
        gigabits: transfer.bytes * 8.0 / transfer.seconds / 1e9,
        cpu_per_gigabyte: cpu / (transfer.bytes / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_received_counts() {
        let json = r#"{"start":{},"end":{"sum_sent":{"bytes":9000000000,"seconds":4.0},
            "sum_received":{"bytes":2500000000,"seconds":4.0,"bits_per_second":5e9}}}"#;
        let transfer = parse(json).unwrap();
        assert_eq!(transfer, Transfer { bytes: 2.5e9, seconds: 4.0 });
        assert_eq!(sample(&transfer, 1.25), Sample { gigabits: 5.0, cpu_per_gigabyte: 0.5 });
    }

    #[test]
    fn an_empty_transfer_is_an_error() {
        let refused = r#"{"start":{},"end":{},"error":"unable to connect to server"}"#;
        assert!(parse(refused).unwrap_err().to_string().contains("unable to connect"));
        assert!(parse(r#"{"end":{"sum_received":{"bytes":0,"seconds":5.0}}}"#).is_err());
        assert!(parse("iperf3: error").is_err());
    }
}
