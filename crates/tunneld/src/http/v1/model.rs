//! Phones, tunnels and addresses as this face shows them: times are seconds or milliseconds, and the moment a state began is a date.

use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

use crate::http::lease::Held;
use crate::model::{self, HopTimes};

/// One phone.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Device {
    /// As the phone writes it. Requests may leave out the dash.
    udid: String,
    product_type: Option<String>,
    os_version: Option<String>,
    build: Option<String>,
    /// Attachments so far: one more for each replug or reboot.
    generation: u64,
    #[serde(flatten)]
    standing: Standing,
    /// Where it is attached; null when it is gone.
    link: Option<Link>,
    /// Its tunnel, once there is one.
    tunnel: Option<Tunnel>,
    /// How long the hops to the present tunnel took.
    times_ms: Times,
    /// Whether the present tunnel needed a new pairing.
    newly_paired: bool,
    /// How many services there are inside of the tunnel: /v1/devices/{udid}/catalogue lists them.
    services: Option<usize>,
    /// Who claims it.
    lease: Option<Lease>,
}

/// Where something is on the way to its tunnel.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Standing {
    /// announced, rsd-untrusted, awaiting-trust, locked, pairing, listening, tunnel-up, catalogue-known, suspect, down, held, stopped,
    /// unsupported, spare or gone.
    #[schema(example = "catalogue-known")]
    state: &'static str,
    /// Whether the tunnel can be used.
    usable: bool,
    /// When the state began, by this computer's clock.
    #[schema(example = "2026-01-31T12:00:00Z")]
    since: String,
    for_seconds: f64,
    /// Why, where that is of interest.
    reason: Option<String>,
    /// What a person can do about it; null when it is tried again by itself.
    next_step: Option<String>,
    /// What on this computer has to change, where it is not the phone or its user: configuration or rights.
    #[schema(value_type = Option<String>)]
    concern: Option<model::Concern>,
    retry_in_seconds: Option<f64>,
    /// Failures in a row.
    failures: u32,
}

/// An address of a phone.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Link {
    interface: String,
    /// With the interface as its zone.
    #[schema(example = "fe80::1%eth0")]
    address: String,
    rsd_port: u16,
    /// mdns, neighbour or configured.
    #[schema(value_type = String)]
    source: model::Source,
}

/// A tunnel that is up.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Tunnel {
    /// The phone's address inside.
    address: String,
    rsd_port: u16,
    interface: String,
    mtu: u16,
    transport: String,
    /// The TLS suite, over TCP.
    suite: Option<String>,
}

/// Milliseconds of each hop; null for what has not been passed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Times {
    rsd: Option<f64>,
    pair: Option<f64>,
    tunnel: Option<f64>,
    catalogue: Option<f64>,
    total: Option<f64>,
}

/// Who claims a phone, and for how long still.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Lease {
    udid: String,
    owner: String,
    seconds_left: f64,
}

/// An address whose phone is not known.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Unidentified {
    link: Link,
    #[serde(flatten)]
    standing: Standing,
}

/// An interface on which phones are looked for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Search {
    interface: String,
    index: u32,
    /// Whether it is up and has a link-local address.
    usable: bool,
    /// What prevents the search there, in words.
    trouble: Vec<String>,
}

/// The clocks at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now(Instant, SystemTime);

impl Now {
    pub(super) fn read() -> Self {
        Self(Instant::now(), SystemTime::now())
    }

    fn date(self, age: Duration) -> String {
        let moment = self.1.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
        let moment = OffsetDateTime::from(moment);
        moment.replace_nanosecond(0).unwrap_or(moment).format(&Rfc3339).unwrap_or_default()
    }
}

impl Device {
    pub(super) fn new(device: &model::Device, lease: Option<Held>, now: Now) -> Self {
        let identity = &device.identity;
        let services = device.catalogue.as_ref().map(|catalogue| catalogue.services.iter().count());
        Self {
            udid: identity.udid.clone(),
            product_type: identity.product_type.clone(),
            os_version: identity.os_version.clone(),
            build: identity.build.clone(),
            generation: device.generation,
            standing: Standing::new(
                device.state,
                (device.since, device.retry_at, device.failures),
                device.reason.as_ref(),
                now,
            ),
            link: device.link.as_ref().map(Link::new),
            tunnel: device.tunnel.as_ref().map(Tunnel::new),
            times_ms: Times::new(&device.times),
            newly_paired: device.newly_paired,
            services,
            lease: lease.map(Lease::new),
        }
    }
}

impl Standing {
    fn new(
        state: model::State,
        (since, retry_at, failures): (Instant, Option<Instant>, u32),
        reason: Option<&model::Reason>,
        now: Now,
    ) -> Self {
        let age = now.0.saturating_duration_since(since);
        Self {
            state: state.name(),
            usable: state.is_usable(),
            since: now.date(age),
            for_seconds: thousandths(age),
            reason: reason.map(|reason| reason.text.clone()),
            next_step: reason.and_then(|reason| reason.next_step.clone()),
            concern: reason.and_then(|reason| reason.concern),
            retry_in_seconds: retry_at.map(|at| thousandths(at.saturating_duration_since(now.0))),
            failures,
        }
    }
}

impl Unidentified {
    pub(super) fn new(one: &model::Unidentified, now: Now) -> Self {
        let times = (one.since, one.retry_at, one.failures);
        Self {
            link: Link::new(&one.link),
            standing: Standing::new(one.state, times, one.reason.as_ref(), now),
        }
    }
}

impl Link {
    fn new(link: &model::Link) -> Self {
        Self {
            interface: link.interface.clone(),
            address: link.scoped(),
            rsd_port: link.address.port(),
            source: link.source,
        }
    }
}

impl Tunnel {
    pub(super) fn new(tunnel: &model::Tunnel) -> Self {
        Self {
            address: tunnel.address.to_string(),
            rsd_port: tunnel.rsd_port,
            interface: tunnel.interface.clone(),
            mtu: tunnel.mtu,
            transport: tunnel.transport.to_string(),
            suite: tunnel.suite.clone(),
        }
    }
}

impl Times {
    fn new(times: &HopTimes) -> Self {
        let ms = |time: Option<Duration>| time.map(|time| thousandths(time.saturating_mul(1000)));
        Self {
            rsd: ms(times.rsd),
            pair: ms(times.pair),
            tunnel: ms(times.tunnel),
            catalogue: ms(times.catalogue),
            total: ms(times.total),
        }
    }
}

impl Lease {
    pub(super) fn new(held: Held) -> Self {
        Self { udid: held.udid, owner: held.owner, seconds_left: thousandths(held.left) }
    }
}

impl Search {
    pub(super) fn new(search: &model::Search) -> Self {
        Self {
            interface: search.interface.clone(),
            index: search.index,
            usable: search.usable,
            trouble: search.trouble.clone(),
        }
    }
}

/// Seconds with three digits behind the point: more would be noise.
fn thousandths(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}
