//! The part of the daemon's JSON that is shown here. Fields that are not known are left alone: a newer daemon may have more.

use serde::{Deserialize, Serialize};

/// `/v1/devices`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Devices {
    pub(crate) revision: u64,
    pub(crate) devices: Vec<Device>,
}

/// One phone.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub(crate) struct Device {
    pub(crate) udid: String,
    pub(crate) product_type: Option<String>,
    pub(crate) os_version: Option<String>,
    pub(crate) build: Option<String>,
    pub(crate) generation: u64,
    #[serde(flatten)]
    pub(crate) standing: Standing,
    pub(crate) link: Option<Link>,
    pub(crate) tunnel: Option<Tunnel>,
    pub(crate) services: Option<usize>,
}

/// Where something is on the way to its tunnel.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub(crate) struct Standing {
    pub(crate) state: String,
    pub(crate) usable: bool,
    pub(crate) since: String,
    pub(crate) for_seconds: f64,
    pub(crate) reason: Option<String>,
    pub(crate) next_step: Option<String>,
    /// What on the daemon's computer has to change: `configuration` or `rights`.
    #[serde(default)]
    pub(crate) concern: Option<String>,
    pub(crate) retry_in_seconds: Option<f64>,
    pub(crate) failures: u32,
}

/// An address of a phone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Link {
    pub(crate) interface: String,
    pub(crate) address: String,
    pub(crate) rsd_port: u16,
    pub(crate) source: String,
}

/// A tunnel that is up.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Tunnel {
    pub(crate) address: std::net::Ipv6Addr,
    pub(crate) rsd_port: u16,
    pub(crate) interface: String,
    pub(crate) mtu: u16,
    pub(crate) transport: String,
}

/// `/v1/unidentified`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct AllUnidentified {
    pub(crate) unidentified: Vec<Unidentified>,
}

/// An address whose phone is not known.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub(crate) struct Unidentified {
    pub(crate) link: Link,
    #[serde(flatten)]
    pub(crate) standing: Standing,
}

/// `/v1/searches`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Searches {
    pub(crate) searches: Vec<Search>,
}

/// An interface on which phones are looked for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Search {
    pub(crate) interface: String,
    pub(crate) usable: bool,
    pub(crate) trouble: Vec<String>,
}

/// `/v1/version`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Version {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) for_seconds: u64,
    pub(crate) faces: Vec<Spoken>,
}

/// Faces on one address.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Spoken {
    pub(crate) faces: String,
    pub(crate) address: String,
}

impl Device {
    /// Whether it is attached.
    pub(crate) fn is_here(&self) -> bool {
        self.standing.state != "gone"
    }
}

impl Unidentified {
    /// Whether there is a phone for sure: only phones hide who they are, or announce themselves as phones do.
    pub(crate) fn is_phone(&self) -> bool {
        self.standing.state == "locked" || self.link.source == "mdns"
    }
}

/// A phone for tests, ready unless the state says otherwise.
#[cfg(test)]
pub(crate) fn device(last: u8, state: &str) -> Device {
    let usable = ["catalogue-known", "suspect"].contains(&state);
    let number = u16::from(last);
    Device {
        udid: format!("00008020-{:016X}", 0x1234 + u64::from(last) - 1),
        product_type: Some("iPhone11,6".to_owned()),
        os_version: Some("17.0.3".to_owned()),
        build: Some("21A360".to_owned()),
        generation: 1,
        standing: standing(state),
        link: Some(Link {
            interface: "eth0".to_owned(),
            address: format!("fe80::{last}%eth0"),
            rsd_port: 58783,
            source: "mdns".to_owned(),
        }),
        tunnel: usable.then(|| Tunnel {
            address: std::net::Ipv6Addr::new(0xfd12, 0x3456, 0x789a, 0, 0, 0, number, 1),
            rsd_port: 50_000,
            interface: format!("iosmux-tun{}", number - 1),
            mtu: 16_000,
            transport: "tcp".to_owned(),
        }),
        services: usable.then_some(67),
    }
}

#[cfg(test)]
pub(crate) fn standing(state: &str) -> Standing {
    Standing {
        state: state.to_owned(),
        usable: ["catalogue-known", "suspect"].contains(&state),
        since: "2026-01-31T12:00:00Z".to_owned(),
        for_seconds: 83.25,
        reason: None,
        next_step: None,
        concern: None,
        retry_in_seconds: None,
        failures: 0,
    }
}
