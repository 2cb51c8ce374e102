//! What the demo learned, for people and for programs.

use std::fmt::Write as _;
use std::net::Ipv6Addr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use iosmux_fakephone::net::Ready;
use serde::Serialize;

use super::follow::HopTimings;
use crate::registry::wire::{Device, Link, Tunnel};
use crate::table::table;

/// The form of the JSON. It changes when a field changes its meaning or goes away; new fields keep it.
const SCHEMA: &str = "iosmux-demo/1";

/// The property with the UDID. Source: protocol.md §4.1.
const UDID: &str = "UniqueDeviceID";

/// How long each part took. `total` runs from the start of the program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timings {
    pub(crate) lab: Duration,
    /// The kernel's duplicate-address detection.
    pub(crate) address_detection: Duration,
    /// Until the simulated phones announced themselves.
    pub(crate) phones: Duration,
    /// Until the daemon's registry could be asked.
    pub(crate) tunneld: Duration,
    pub(crate) hops: HopTimings,
    /// Asking the registry.
    pub(crate) registry: Duration,
    pub(crate) total: Duration,
}

/// A phone as the registry lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Phone {
    pub(crate) udid: String,
    pub(crate) product_type: String,
    pub(crate) os_version: String,
    pub(crate) build_version: String,
    /// How many it offers inside of the tunnel.
    pub(crate) services: usize,
    pub(crate) link: Link,
    pub(crate) tunnel: Tunnel,
}

/// Fails when the registry does not tell all of it.
impl TryFrom<Device> for Phone {
    type Error = anyhow::Error;

    fn try_from(device: Device) -> Result<Self> {
        let Device { udid, product_type, os_version, build, link, tunnel, services, .. } = device;
        let lacks = |what: &str| format!("the registry lists {udid} without {what}");
        Ok(Self {
            product_type: product_type.with_context(|| lacks("a model"))?,
            os_version: os_version.with_context(|| lacks("a version"))?,
            build_version: build.with_context(|| lacks("a build"))?,
            services: services.with_context(|| lacks("services"))?,
            link: link.with_context(|| lacks("an address"))?,
            tunnel: tunnel.with_context(|| lacks("a tunnel"))?,
            udid,
        })
    }
}

/// A namespace of the lab and the command that enters it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Namespace {
    pub(crate) name: String,
    pub(crate) join: String,
}

/// The result of a demo.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) phones: &'a [Phone],
    /// What the simulated phones say of themselves.
    pub(crate) simulated: &'a [Ready],
    pub(crate) timings: Timings,
    /// Empty unless the lab stays up.
    pub(crate) namespaces: &'a [Namespace],
}

#[derive(Serialize)]
struct Json<'a> {
    schema: &'static str,
    phones: Vec<JsonPhone<'a>>,
    timings_ms: JsonTimings,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    namespaces: &'a [Namespace],
}

#[derive(Serialize)]
struct JsonPhone<'a> {
    udid: &'a str,
    /// What was made for the demo, not captured; `Services` are those on the link.
    derived_keys: &'a [&'static str],
    product_type: &'a str,
    os_version: &'a str,
    build_version: &'a str,
    link: JsonLink<'a>,
    transport: &'a str,
    tunnel: JsonTunnel<'a>,
    /// Inside of the tunnel.
    services: usize,
}

#[derive(Serialize)]
struct JsonLink<'a> {
    address: &'a str,
    rsd_port: u16,
}

#[derive(Serialize)]
struct JsonTunnel<'a> {
    address: Ipv6Addr,
    rsd_port: u16,
    interface: &'a str,
    mtu: u16,
}

#[derive(Serialize)]
struct JsonTimings {
    lab: f64,
    address_detection: f64,
    phones: f64,
    tunneld: f64,
    discover: f64,
    rsd: f64,
    pair: f64,
    tunnel: f64,
    catalogue: f64,
    registry: f64,
    total: f64,
}

impl Report<'_> {
    /// The JSON form.
    pub(crate) fn json(&self) -> impl Serialize {
        let Timings { lab, address_detection, phones, tunneld, hops, registry, total } = self.timings;
        Json {
            schema: SCHEMA,
            phones: self.phones.iter().map(|phone| self.json_phone(phone)).collect(),
            timings_ms: JsonTimings {
                lab: milliseconds(lab),
                address_detection: milliseconds(address_detection),
                phones: milliseconds(phones),
                tunneld: milliseconds(tunneld),
                discover: milliseconds(hops.discover),
                rsd: milliseconds(hops.rsd),
                pair: milliseconds(hops.pair),
                tunnel: milliseconds(hops.tunnel),
                catalogue: milliseconds(hops.catalogue),
                registry: milliseconds(registry),
                total: milliseconds(total),
            },
            namespaces: self.namespaces,
        }
    }

    fn json_phone<'a>(&'a self, phone: &'a Phone) -> JsonPhone<'a> {
        JsonPhone {
            udid: &phone.udid,
            derived_keys: self.derived_keys(phone),
            product_type: &phone.product_type,
            os_version: &phone.os_version,
            build_version: &phone.build_version,
            link: JsonLink { address: &phone.link.address, rsd_port: phone.link.rsd_port },
            transport: &phone.tunnel.transport,
            tunnel: JsonTunnel {
                address: phone.tunnel.address,
                rsd_port: phone.tunnel.rsd_port,
                interface: &phone.tunnel.interface,
                mtu: phone.tunnel.mtu,
            },
            services: phone.services,
        }
    }

    /// The table, and which part of the time was the kernel's.
    pub(crate) fn text(&self) -> String {
        let mut rows = vec![["MODEL", "IOS", "UDID", "SERVICES", "TUNNEL"].map(str::to_owned)];
        for phone in self.phones {
            let mark = if self.derived_keys(phone).contains(&UDID) { " (derived)" } else { "" };
            rows.push([
                phone.product_type.clone(),
                format!("{} ({})", phone.os_version, phone.build_version),
                format!("{}{mark}", phone.udid),
                phone.services.to_string(),
                format!("{} [{}]:{}", phone.tunnel.interface, phone.tunnel.address, phone.tunnel.rsd_port),
            ]);
        }
        let mut text = table(&rows);
        let Timings { total, address_detection, .. } = self.timings;
        let (total, kernel) = (total.as_secs_f64(), address_detection.as_secs_f64());
        let _ = write!(
            text,
            "\n{total:.2} s in all, {kernel:.2} s of it the kernel's duplicate-address detection"
        );
        text
    }

    fn derived_keys(&self, phone: &Phone) -> &[&'static str] {
        let simulated = self.simulated.iter().find(|simulated| simulated.udid == phone.udid);
        simulated.map(|simulated| simulated.derived_keys.as_slice()).unwrap_or_default()
    }
}

/// Milliseconds to a tenth.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

/// A report for the tests of what is shown.
#[cfg(test)]
pub(super) fn with_report<T>(test: impl FnOnce(&Report<'_>) -> T) -> T {
    let phone = |last: u8| Phone::try_from(crate::registry::wire::device(last, "catalogue-known")).unwrap();
    let simulated = |udid: &str, derived_keys: &[&'static str]| Ready {
        schema: "fakephone/ready/1",
        interface: "ncm0".to_owned(),
        address: String::new(),
        rsd_port: 58783,
        announced_port: 1,
        udid: udid.to_owned(),
        uuid: uuid::Uuid::nil(),
        services: 7,
        derived: true,
        derived_keys: derived_keys.to_vec(),
    };
    let (first, second) = ("00008020-0000000000001234", "00008020-0000000000001235");
    let namespace = |name: &str, fd: u8| Namespace {
        name: name.to_owned(),
        join: format!("nsenter --target 4242 --user --preserve-credentials --net=/proc/4242/fd/{fd}"),
    };
    test(&Report {
        phones: &[phone(1), phone(2)],
        simulated: &[simulated(first, &["Services"]), simulated(second, &[UDID, "UUID", "Services"])],
        timings: sample_timings(),
        namespaces: &[namespace("host", 9), namespace("vm", 15), namespace("phone", 20)],
    })
}

#[cfg(test)]
fn sample_timings() -> Timings {
    let ms = Duration::from_millis;
    let hops = HopTimings { discover: ms(30), rsd: ms(9), pair: ms(310), tunnel: ms(12), catalogue: ms(8) };
    let lab = Duration::from_micros(7_340);
    let (address_detection, phones) = (ms(1_500), ms(5));
    Timings { lab, address_detection, phones, tunneld: ms(4), hops, registry: ms(2), total: ms(1_890) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_reads_as_intended() {
        with_report(|report| insta::assert_snapshot!(report.text()));
    }

    #[test]
    fn the_json_keeps_the_contract() {
        with_report(|report| insta::assert_json_snapshot!(report.json()));
    }
}
