//! What the daemon knows about phones, as every face shows it.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::sync::Arc;
use std::time::{Duration, Instant};

use iosmux_tunnel::Transport;
use iosmux_tunnel::io::TunnelCounters;
use iosmux_xpc::rsd::Catalogue;
use serde::Serialize;

/// Where a phone is on the way to its tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// An address where a phone may be; nobody has talked to it yet.
    Announced,
    /// Its RSD on the link is being read.
    RsdUntrusted,
    /// It asks its user whether to trust this host.
    AwaitingTrust,
    /// It hides who it is until it is unlocked.
    Locked,
    /// Trust is being verified or made.
    Pairing,
    /// Trusted; a listener is asked for and the tunnel opened.
    Listening,
    /// Packets can pass; the services inside are being read.
    TunnelUp,
    /// The tunnel is up and its services are known: what users wait for.
    CatalogueKnown,
    /// The tunnel is up and there is doubt whether the phone is still there.
    Suspect,
    /// Something failed; it is tried again by itself.
    Down,
    /// Something failed that only a person can change.
    Held,
    /// A person stopped its tunnel.
    Stopped,
    /// A phone that tunnels are impossible with, or that the configuration leaves out.
    Unsupported,
    /// Another way to the same phone is in use.
    Spare,
    /// It was here and is not any more.
    Gone,
}

impl State {
    /// The name in JSON and in metrics, e.g. `catalogue-known`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Announced => "announced",
            Self::RsdUntrusted => "rsd-untrusted",
            Self::AwaitingTrust => "awaiting-trust",
            Self::Locked => "locked",
            Self::Pairing => "pairing",
            Self::Listening => "listening",
            Self::TunnelUp => "tunnel-up",
            Self::CatalogueKnown => "catalogue-known",
            Self::Suspect => "suspect",
            Self::Down => "down",
            Self::Held => "held",
            Self::Stopped => "stopped",
            Self::Unsupported => "unsupported",
            Self::Spare => "spare",
            Self::Gone => "gone",
        }
    }

    /// Whether the tunnel can be used.
    pub fn is_usable(self) -> bool {
        matches!(self, Self::CatalogueKnown | Self::Suspect)
    }
}

/// How an address came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The phone announces `_remoted._tcp`.
    Mdns,
    /// A neighbour answered an echo, and RSD's fixed port may be open.
    Neighbour,
    /// The configuration names it.
    Configured,
}

/// An address where a phone's RSD may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The interface's name; empty for a configured address that is on no link of ours.
    pub interface: String,
    /// The phone's address, with the interface's index as its scope, and the port of its RSD.
    pub address: SocketAddrV6,
    /// How it became known.
    pub source: Source,
}

impl Link {
    /// The address as people write it: `fe80::1%eth0`.
    pub fn scoped(&self) -> String {
        match self.interface.as_str() {
            "" => self.address.ip().to_string(),
            interface => format!("{}%{interface}", self.address.ip()),
        }
    }
}

/// Who a phone is, from its Handshake on the link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// The UDID, as the phone writes it.
    pub udid: String,
    /// E.g. `iPhone11,6`.
    pub product_type: Option<String>,
    /// E.g. `17.0.3`.
    pub os_version: Option<String>,
    /// E.g. `21A360`.
    pub build: Option<String>,
}

/// A tunnel that is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tunnel {
    /// The phone's address inside.
    pub address: Ipv6Addr,
    /// The port of RSD inside.
    pub rsd_port: u16,
    /// This computer's interface.
    pub interface: String,
    /// In bytes.
    pub mtu: u16,
    /// What carries it.
    #[serde(serialize_with = "display")]
    pub transport: Transport,
    /// The TLS suite, over TCP.
    pub suite: Option<String>,
}

fn display<S: serde::Serializer>(value: &impl std::fmt::Display, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

/// Why a phone is where it is, and what a person can do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// What happened: what was expected and what came.
    pub text: String,
    /// What to do next; none when it will be tried again by itself.
    pub next_step: Option<String>,
    /// What has to change, where that is not the phone or its user.
    pub concern: Option<Concern>,
}

/// What on this computer keeps a phone from its tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Concern {
    /// The configuration says so.
    Configuration,
    /// The daemon's rights do not suffice.
    Rights,
}

impl Reason {
    /// A reason with what to do next, if anything.
    pub fn new(text: impl Into<String>, next_step: Option<&str>) -> Self {
        Self { text: text.into(), next_step: next_step.map(str::to_owned), concern: None }
    }
}

/// How long the hops of the present tunnel took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HopTimes {
    /// RSD on the link.
    pub rsd: Option<Duration>,
    /// Verifying or making trust, the user's part included.
    pub pair: Option<Duration>,
    /// Listener, connection, interface.
    pub tunnel: Option<Duration>,
    /// RSD inside of the tunnel.
    pub catalogue: Option<Duration>,
    /// From the sighting to the catalogue.
    pub total: Option<Duration>,
}

/// One phone.
#[derive(Debug, Clone)]
pub struct Device {
    /// Who it is.
    pub identity: Identity,
    /// Counts its attachments: 1 for the first, one more for each replug or reboot.
    pub generation: u64,
    /// Where it is on the way.
    pub state: State,
    /// Since when.
    pub since: Instant,
    /// Why, where that is of interest.
    pub reason: Option<Reason>,
    /// When it will be tried again.
    pub retry_at: Option<Instant>,
    /// Failures in a row.
    pub failures: u32,
    /// Where it is attached; none when it is gone.
    pub link: Option<Link>,
    /// Its tunnel.
    pub tunnel: Option<Tunnel>,
    /// What it offers inside of the tunnel.
    pub catalogue: Option<Arc<Catalogue>>,
    /// How long the hops took.
    pub times: HopTimes,
    /// Whether a pair-setup was done for the present tunnel; false when the record was enough.
    pub newly_paired: bool,
}

impl Device {
    /// A phone that was here, and how often; nothing else is known of it any more.
    pub fn gone(identity: Identity, generation: u64, since: Instant) -> Self {
        Self {
            identity,
            generation,
            state: State::Gone,
            since,
            reason: None,
            retry_at: None,
            failures: 0,
            link: None,
            tunnel: None,
            catalogue: None,
            times: HopTimes::default(),
            newly_paired: false,
        }
    }
}

/// An address whose phone is not known.
#[derive(Debug, Clone)]
pub struct Unidentified {
    /// Where.
    pub link: Link,
    /// What is known.
    pub state: State,
    /// Since when.
    pub since: Instant,
    /// Why.
    pub reason: Option<Reason>,
    /// When it will be tried again.
    pub retry_at: Option<Instant>,
    /// Failures in a row.
    pub failures: u32,
}

/// An interface and how phones are looked for on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Search {
    /// The interface's name.
    pub interface: String,
    /// Its index.
    pub index: u32,
    /// Whether it is up and has a link-local address.
    pub usable: bool,
    /// What prevents the search there, in words: no mDNS socket, no right to send echoes.
    pub trouble: Vec<String>,
}

/// Everything, at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Rises with every change.
    pub revision: u64,
    /// By UDID.
    pub devices: Vec<Device>,
    /// By address.
    pub unidentified: Vec<Unidentified>,
    /// By name.
    pub searches: Vec<Search>,
}

impl Snapshot {
    /// A device by its UDID, with or without dash, in any case.
    pub fn device(&self, udid: &str) -> Option<&Device> {
        self.devices.iter().find(|device| same_udid(&device.identity.udid, udid))
    }
}

/// Whether two texts are the same UDID: the dash and the case of letters do not matter.
///
/// Tools write newer UDIDs with and without their dash. Source: protocol.md §1.1.
pub fn same_udid(one: &str, other: &str) -> bool {
    let plain = |text: &str| {
        let kept = text.bytes().filter(|byte| *byte != b'-').map(|byte| byte.to_ascii_lowercase());
        kept.collect::<Vec<_>>()
    };
    plain(one) == plain(other)
}

/// Something that happened to a phone, in the order in which it happened.
#[derive(Debug, Clone, Serialize)]
pub struct Happening {
    /// Counts up from 1.
    pub number: u64,
    /// Which phone, or the address while it is not known.
    pub device: String,
    /// Its attachments so far.
    pub generation: u64,
    /// The state that it came to.
    pub state: State,
    /// Why.
    pub reason: Option<Reason>,
}

/// What went through a tunnel.
pub type Counters = TunnelCounters;
