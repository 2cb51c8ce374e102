//! What the daemon knows of phones, for people and for programs.

use serde::Serialize;

use crate::registry::wire::{Device, Standing, Unidentified};
use crate::registry::{Registry, RegistryError};
use crate::table::{lasting, table};

/// The form of the JSON. It changes when a field changes its meaning or goes away; new fields keep it.
const SCHEMA: &str = "iosmux-status/1";

/// Everything that the daemon knows.
#[derive(Debug)]
pub(crate) struct Status {
    daemon: String,
    /// Two answers with the same one tell the same.
    pub(crate) revision: u64,
    devices: Vec<Device>,
    unidentified: Vec<Unidentified>,
}

#[derive(Serialize)]
struct Json<'a> {
    schema: &'static str,
    daemon: &'a str,
    revision: u64,
    devices: &'a [Device],
    unidentified: &'a [Unidentified],
}

impl Status {
    /// Asks the daemon.
    pub(crate) async fn ask(registry: &Registry) -> Result<Self, RegistryError> {
        let devices = registry.devices().await?;
        let unidentified = registry.unidentified().await?.unidentified;
        let daemon = registry.address().to_string();
        Ok(Self { daemon, revision: devices.revision, devices: devices.devices, unidentified })
    }

    /// The JSON form.
    pub(crate) fn json(&self) -> impl Serialize {
        let Self { daemon, revision, devices, unidentified } = self;
        Json { schema: SCHEMA, daemon, revision: *revision, devices, unidentified }
    }

    /// Whether there is nothing to show.
    pub(crate) fn is_empty(&self) -> bool {
        self.devices.is_empty() && self.unidentified.is_empty()
    }

    /// Whether a phone is here.
    pub(crate) fn has_phone(&self) -> bool {
        self.devices.iter().any(Device::is_here) || self.unidentified.iter().any(Unidentified::is_phone)
    }

    /// One line for each phone.
    pub(crate) fn text(&self) -> String {
        let mut rows = vec![["MODEL", "IOS", "UDID", "STATE", "FOR", "TUNNEL", "NEXT"].map(str::to_owned)];
        rows.extend(self.devices.iter().map(row));
        rows.extend(self.unidentified.iter().map(unidentified_row));
        table(&rows)
    }
}

fn row(device: &Device) -> [String; 7] {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let tunnel = device.tunnel.as_ref();
    let tunnel =
        tunnel.map(|tunnel| format!("{} [{}]:{}", tunnel.interface, tunnel.address, tunnel.rsd_port));
    [
        or_dash(&device.product_type),
        or_dash(&device.os_version),
        device.udid.clone(),
        words(&device.standing.state).to_owned(),
        lasting(device.standing.for_seconds),
        or_dash(&tunnel),
        next(&device.standing),
    ]
}

fn unidentified_row(one: &Unidentified) -> [String; 7] {
    let unknown = || "-".to_owned();
    let standing = &one.standing;
    let state = words(&standing.state).to_owned();
    [
        unknown(),
        unknown(),
        one.link.address.clone(),
        state,
        lasting(standing.for_seconds),
        unknown(),
        next(standing),
    ]
}

/// What to do, or what happens by itself.
fn next(standing: &Standing) -> String {
    let reason = standing.reason.as_deref();
    match (&standing.next_step, standing.retry_in_seconds) {
        (Some(step), _) => step.clone(),
        (None, Some(seconds)) => {
            let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("nothing, it is tried again in {}{reason}", lasting(seconds))
        }
        (None, None) => reason.unwrap_or("-").to_owned(),
    }
}

/// A state in one or two words.
pub(crate) fn words(state: &str) -> &str {
    match state {
        "announced" => "seen",
        "rsd-untrusted" => "introducing itself",
        "awaiting-trust" => "asks its user",
        "listening" => "opening a tunnel",
        "tunnel-up" => "reading services",
        "catalogue-known" => "ready",
        "suspect" => "ready, in doubt",
        "down" => "down",
        "held" => "waits for you",
        "spare" => "reached otherwise",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::wire::{device, standing};

    fn status() -> Status {
        let with = |mut device: Device, reason: &str, step: Option<&str>, retry: Option<f64>| {
            device.standing.reason = Some(reason.to_owned());
            device.standing.next_step = step.map(str::to_owned);
            device.standing.retry_in_seconds = retry;
            device
        };
        let trust = Some("tap Trust on the phone");
        let locked = Unidentified {
            link: device(5, "locked").link.unwrap(),
            standing: Standing { next_step: Some("unlock the phone".to_owned()), ..standing("locked") },
        };
        Status {
            daemon: "http://127.0.0.1:49151".to_owned(),
            revision: 7,
            devices: vec![
                device(1, "catalogue-known"),
                with(device(2, "awaiting-trust"), "the phone asks its user", trust, None),
                with(device(3, "down"), "the tunnel ended: the phone closed it", None, Some(2.5)),
                Device { link: None, ..device(4, "gone") },
            ],
            unidentified: vec![locked],
        }
    }

    #[test]
    fn the_table_reads_as_intended() {
        insta::assert_snapshot!(status().text());
    }

    #[test]
    fn the_json_keeps_the_contract() {
        insta::assert_json_snapshot!(status().json());
    }

    #[test]
    fn a_phone_that_is_gone_is_none() {
        let only = |devices: Vec<Device>, unidentified: Vec<Unidentified>| Status {
            devices,
            unidentified,
            ..status()
        };
        let address = |state: &str, source: &str| {
            let mut link = device(1, state).link.unwrap();
            link.source = source.to_owned();
            Unidentified { link, standing: standing(state) }
        };
        assert!(!only(vec![device(4, "gone")], Vec::new()).has_phone());
        assert!(only(vec![device(4, "held")], Vec::new()).has_phone());
        assert!(!only(Vec::new(), vec![address("down", "neighbour")]).has_phone());
        assert!(only(Vec::new(), vec![address("locked", "neighbour")]).has_phone());
        assert!(only(Vec::new(), vec![address("down", "mdns")]).has_phone());
    }
}
