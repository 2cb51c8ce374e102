//! Following the daemon on its way to every phone, hop by hop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use iosmux_tunneld::fleet::Fleet;
use iosmux_tunneld::model::{Device, HopTimes, Reason, Snapshot, State};
use tokio::sync::watch;
use tokio::time::{timeout, timeout_at};

use super::count;
use crate::failure::{PhoneFailed, PhonesMissing};
use crate::output::Output;
use iosmux_service::Exit;

/// How long phones are looked for.
const SEARCH: Duration = Duration::from_secs(10);
/// How long the hops of all phones may take, and how much longer with each phone more: what goes wrong is tried again.
const PATIENCE: Duration = Duration::from_secs(20);
const PATIENCE_EACH: Duration = Duration::from_secs(1);

/// How long each hop took: that of the slowest phone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HopTimings {
    /// Until all were found.
    pub(crate) discover: Duration,
    /// The Handshake on the link.
    pub(crate) rsd: Duration,
    pub(crate) pair: Duration,
    pub(crate) tunnel: Duration,
    /// The Handshake inside of the tunnel.
    pub(crate) catalogue: Duration,
}

/// A hop as people see it.
struct Hop {
    name: &'static str,
    doing: &'static str,
    took: fn(&HopTimes) -> Option<Duration>,
    said: fn(&[Device]) -> String,
}

const HOPS: [Hop; 4] = [
    Hop { name: "rsd", doing: "RSD handshakes over RemoteXPC", took: |times| times.rsd, said: introduced },
    Hop { name: "pair", doing: "asking to be trusted", took: |times| times.pair, said: trusted },
    Hop {
        name: "tunnel",
        doing: "TLS, CDTunnel and an interface",
        took: |times| times.tunnel,
        said: tunnelled,
    },
    Hop {
        name: "catalogue",
        doing: "RSD inside of the tunnels",
        took: |times| times.catalogue,
        said: offered,
    },
];

/// Waits until every phone's services are known, and shows each hop. `since` is when the daemon began to look.
pub(super) async fn follow(
    fleet: &Fleet,
    wanted: usize,
    since: Instant,
    output: &Output,
) -> Result<HopTimings> {
    let mut watch = fleet.watch();
    let step = output.step("discover", "browsing for _remoted._tcp", since);
    let found = timeout(SEARCH, watch.wait_for(|snapshot| sighted(snapshot) >= wanted)).await.map(drop);
    if found.is_err() {
        bail!(missing(&watch.borrow(), wanted));
    }
    let discover = step.done(&format!("{} found by mDNS", count(wanted as u64, "phone")));
    let mut way = Way { watch, wanted, until: Instant::now() + patience(wanted) };
    let mut took = [Duration::ZERO; HOPS.len()];
    for (hop, took) in HOPS.iter().zip(&mut took) {
        *took = way.hop(hop, output).await?;
    }
    let [rsd, pair, tunnel, catalogue] = took;
    Ok(HopTimings { discover, rsd, pair, tunnel, catalogue })
}

fn patience(phones: usize) -> Duration {
    PATIENCE + PATIENCE_EACH * u32::try_from(phones).unwrap_or(u32::MAX)
}

/// How many phones there are, known or not.
fn sighted(snapshot: &Snapshot) -> usize {
    snapshot.devices.iter().filter(|device| device.link.is_some()).count() + snapshot.unidentified.len()
}

fn missing(snapshot: &Snapshot, wanted: usize) -> PhonesMissing {
    let trouble = snapshot
        .searches
        .iter()
        .flat_map(|search| search.trouble.iter().map(|trouble| format!("; {}: {trouble}", search.interface)));
    PhonesMissing { found: sighted(snapshot), wanted, seconds: SEARCH.as_secs(), trouble: trouble.collect() }
}

/// The way of all phones.
struct Way {
    watch: watch::Receiver<Arc<Snapshot>>,
    wanted: usize,
    /// The end of patience.
    until: Instant,
}

impl Way {
    /// Waits until all have passed a hop; gives the time of the slowest.
    async fn hop(&mut self, hop: &Hop, output: &Output) -> Result<Duration> {
        let step = output.step(hop.name, hop.doing, Instant::now());
        loop {
            let snapshot = Arc::clone(&self.watch.borrow_and_update());
            if let Some(failure) = failure(&snapshot, self.until) {
                bail!(failure);
            }
            let took: Vec<Duration> =
                snapshot.devices.iter().filter_map(|device| (hop.took)(&device.times)).collect();
            // The services may be known a moment before the tunnel is said to be usable.
            let last =
                hop.name != "catalogue" || snapshot.devices.iter().all(|device| device.state.is_usable());
            if took.len() >= self.wanted && last {
                let slowest = took.into_iter().max().unwrap_or_default();
                return Ok(step.took(slowest, &(hop.said)(&snapshot.devices)));
            }
            match timeout_at(self.until.into(), self.watch.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => bail!("the daemon ended"),
                Err(_) => bail!(late(&snapshot, hop)),
            }
        }
    }
}

/// A phone that needs a person, or is tried again later than anybody waits.
fn failure(snapshot: &Snapshot, until: Instant) -> Option<PhoneFailed> {
    let given_up = |state: State, retry_at: Option<Instant>| match state {
        State::Held | State::Stopped | State::Unsupported => true,
        State::Down | State::Locked => retry_at.is_none_or(|at| at > until),
        _ => false,
    };
    let failed = snapshot.devices.iter().find(|device| given_up(device.state, device.retry_at));
    failed.map(failed_device).or_else(|| {
        let failed = snapshot.unidentified.iter().find(|one| given_up(one.state, one.retry_at));
        failed.map(|one| failed_phone(one.link.scoped(), one.state, one.reason.as_ref(), Exit::Failure))
    })
}

fn failed_device(device: &Device) -> PhoneFailed {
    // Times are kept until the next attempt: the first one that is not there is of the hop that failed.
    let at_trust = device.times.rsd.is_some() && device.times.pair.is_none();
    let exit = match device.state {
        State::Unsupported => Exit::UnsupportedHere,
        _ if at_trust => Exit::NotPaired,
        _ => Exit::Failure,
    };
    failed_phone(device.identity.udid.clone(), device.state, device.reason.as_ref(), exit)
}

fn failed_phone(device: String, state: State, reason: Option<&Reason>, exit: Exit) -> PhoneFailed {
    let text = reason.map_or_else(|| format!("it is {}", state.name()), |reason| reason.text.clone());
    PhoneFailed { device, reason: text, next_step: reason.and_then(|reason| reason.next_step.clone()), exit }
}

/// Patience is over: what the first phone says that has not passed the hop.
fn late(snapshot: &Snapshot, hop: &Hop) -> PhoneFailed {
    let waiting = snapshot.devices.iter().find(|device| (hop.took)(&device.times).is_none());
    let unidentified = snapshot.unidentified.first();
    match (waiting, unidentified) {
        (Some(device), _) => failed_device(device),
        (None, Some(one)) => failed_phone(one.link.scoped(), one.state, one.reason.as_ref(), Exit::Failure),
        (None, None) => failed_phone("a phone".to_owned(), State::Gone, None, Exit::DeviceNotFound),
    }
}

fn introduced(devices: &[Device]) -> String {
    format!("{} introduced on the link", count(devices.len() as u64, "phone"))
}

fn trusted(devices: &[Device]) -> String {
    let paired = devices.iter().filter(|device| device.newly_paired).count();
    match (paired, devices.len() - paired) {
        (paired, 0) => format!("{paired} paired"),
        (0, 1) => "verified from the record".to_owned(),
        (0, verified) => format!("{verified} verified from their records"),
        (paired, verified) => format!("{paired} paired, {verified} verified from their records"),
    }
}

fn tunnelled(devices: &[Device]) -> String {
    let tunnels = devices.iter().filter_map(|device| device.tunnel.as_ref());
    let mut transports: Vec<String> =
        tunnels.map(|tunnel| tunnel.transport.to_string().to_uppercase()).collect();
    let up = transports.len();
    transports.sort();
    transports.dedup();
    format!("{} over {}", count(up as u64, "tunnel"), transports.join(" and "))
}

fn offered(devices: &[Device]) -> String {
    let services = devices.iter().filter_map(|device| device.catalogue.as_ref());
    let services: usize = services.map(|catalogue| catalogue.services.len()).sum();
    format!("{} read inside", count(services as u64, "service"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use iosmux_tunneld::model::Identity;

    fn device(state: State, newly_paired: bool) -> Device {
        Device {
            identity: Identity {
                udid: "00008020-0000000000001234".to_owned(),
                product_type: None,
                os_version: None,
                build: None,
            },
            generation: 1,
            state,
            since: Instant::now(),
            reason: Some(Reason::new("why", Some("do it"))),
            retry_at: None,
            failures: 0,
            link: None,
            tunnel: None,
            catalogue: None,
            times: HopTimes { rsd: Some(Duration::from_millis(5)), ..HopTimes::default() },
            newly_paired,
        }
    }

    fn failed(device: Device) -> Option<(String, Exit)> {
        let snapshot = Snapshot { devices: vec![device], ..Snapshot::default() };
        let failed = failure(&snapshot, Instant::now() + PATIENCE)?;
        Some((failed.to_string(), failed.exit))
    }

    #[test]
    fn the_step_tells_a_new_pairing_from_a_record() {
        let said = |paired: &[bool]| {
            trusted(&paired.iter().map(|paired| device(State::Listening, *paired)).collect::<Vec<_>>())
        };
        assert_eq!(said(&[true]), "1 paired");
        assert_eq!(said(&[false]), "verified from the record");
        assert_eq!(said(&[false, false]), "2 verified from their records");
        assert_eq!(said(&[true, false]), "1 paired, 1 verified from their records");
    }

    #[test]
    fn a_phone_that_does_not_trust_the_vm_is_told_apart() {
        let told = "00008020-0000000000001234: why. Next: do it".to_owned();
        assert_eq!(failed(device(State::Held, false)), Some((told.clone(), Exit::NotPaired)));
        let mut trusted = device(State::Held, false);
        trusted.times.pair = Some(Duration::from_millis(9));
        assert_eq!(failed(trusted), Some((told.clone(), Exit::Failure)));
        assert_eq!(failed(device(State::Unsupported, false)), Some((told, Exit::UnsupportedHere)));
    }

    #[test]
    fn what_is_tried_again_soon_is_waited_for() {
        let down = |pause: u64| Device {
            retry_at: Some(Instant::now() + Duration::from_secs(pause)),
            ..device(State::Down, false)
        };
        assert_eq!(failed(down(1)), None);
        assert_eq!(failed(down(8316)).map(|(_, exit)| exit), Some(Exit::NotPaired));
        assert_eq!(failed(device(State::Pairing, false)), None);
    }
}
