//! The way from the VM to what the phones offer, hop by hop, with all phones at once.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::{join_all, try_join_all};
use iosmux_capture::Recorder;

use super::catalogue::{self, Phone};
use super::link::LinkPhone;
use super::pair::{self, Records};
use super::tunnel::OpenTunnel;
use super::{count, discover};
use crate::output::Output;

/// What the VM goes with.
pub(super) struct Hops {
    /// Its interface on the link.
    pub(super) interface: u32,
    /// How many phones there are.
    pub(super) wanted: usize,
    pub(super) records: Records,
    pub(super) recorder: Option<Recorder>,
    pub(super) output: Output,
}

/// How long each hop took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HopTimings {
    pub(crate) discover: Duration,
    /// The Handshakes on the link.
    pub(crate) rsd: Duration,
    pub(crate) pair: Duration,
    pub(crate) tunnel: Duration,
    /// The Handshakes inside of the tunnels.
    pub(crate) catalogue: Duration,
}

/// What the VM learned, by UDID, and the tunnels that are up.
pub(super) struct Arrival {
    pub(super) phones: Vec<Phone>,
    pub(super) tunnels: Vec<OpenTunnel>,
    pub(super) timings: HopTimings,
}

impl Hops {
    /// Goes all the way. Must be called in the VM's namespace.
    pub(super) async fn walk(self) -> Result<Arrival> {
        let (met, discover, rsd) = self.meet().await?;
        let (tunnels, pair, tunnel) = self.tunnel(&met).await?;

        let step = self.output.step("catalogue", "RSD inside of the tunnels", Instant::now());
        let ways = met.iter().zip(&tunnels);
        let read = ways
            .map(|(phone, tunnel)| catalogue::read(tunnel, &phone.udid, phone.at, self.recorder.as_ref()));
        let mut phones = try_join_all(read).await?;
        let services: usize = phones.iter().map(|phone| phone.services).sum();
        let catalogue = step.done(&format!("{} read inside", count(services as u64, "service")));

        join_all(met.into_iter().map(LinkPhone::leave)).await;
        phones.sort_by(|one, other| one.udid.cmp(&other.udid));
        Ok(Arrival { phones, tunnels, timings: HopTimings { discover, rsd, pair, tunnel, catalogue } })
    }

    async fn meet(&self) -> Result<(Vec<LinkPhone>, Duration, Duration)> {
        let step = self.output.step("discover", "browsing for _remoted._tcp", Instant::now());
        let addresses = discover::discover(self.interface, self.wanted).await?;
        let discover = step.done(&format!("{} found by mDNS", count(addresses.len() as u64, "phone")));

        let step = self.output.step("rsd", "RSD handshakes over RemoteXPC", Instant::now());
        let meet = addresses.into_iter().map(|address| LinkPhone::meet(address, self.recorder.as_ref()));
        let met = try_join_all(meet).await?;
        let services: usize = met.iter().map(|phone| phone.services).sum();
        let rsd = step.done(&format!("{} offered before trust", count(services as u64, "service")));
        Ok((met, discover, rsd))
    }

    async fn tunnel(&self, met: &[LinkPhone]) -> Result<(Vec<OpenTunnel>, Duration, Duration)> {
        let step = self.output.step("pair", "asking to be trusted", Instant::now());
        let pairings = met.iter().map(|phone| {
            pair::pair(&phone.udid, phone.tunnel_service, self.records.clone(), self.recorder.as_ref())
        });
        let (channels, trusts): (Vec<_>, Vec<_>) = try_join_all(pairings).await?.into_iter().unzip();
        let pair = step.done(&pair::summary(&trusts));

        let step = self.output.step("tunnel", "TLS, CDTunnel and an interface", Instant::now());
        let open = met.iter().zip(channels);
        let open = open.map(|(phone, channel)| OpenTunnel::open(&phone.udid, channel, phone.at));
        let tunnels = try_join_all(open).await?;
        let tunnel = step.done(&format!("{} over TCP", count(tunnels.len() as u64, "tunnel")));
        Ok((tunnels, pair, tunnel))
    }
}
