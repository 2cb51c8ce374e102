//! What a hostile phone can do to its host, and to the phones beside it.
#![cfg(feature = "net-tests")]

mod flood;
mod support;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flood::{Watch, blocking, http2, inner, mdns, resident_kib};
use iosmux_lab::{Place, Station};
use serde_json::Value;
use support::Desk;
use support::process::{Process, device, get, inside};
use tokio::sync::oneshot::Receiver;
use tokio::time::sleep;

/// Packets in the phone's tunnel, frames on RSD's connection, and datagrams on the link: a million together.
const PACKETS: u64 = 450_000;
const FRAMES: u64 = 450_000;
const DATAGRAMS: u64 = 100_000;
/// What the daemon may have more, in KiB.
const GROWTH: u64 = 8 << 10;
/// What 99 of 100 round trips in the other phone's tunnel may take at most.
const P99: Duration = Duration::from_millis(50);

/// The hostile phone is 0, the one beside it 1.
struct Siege {
    desk: Desk,
    watch: Watch,
    /// How long the registry took for its answers.
    asked: Vec<Duration>,
}

#[tokio::test]
async fn security_flood() {
    let mut desk = Desk::new(3).await;
    desk.phone(0, |_| {}).await;
    desk.phone(1, |_| {}).await;
    let mut daemon = Process::start(&desk).await;
    let (hostile, _) = daemon.usable(&desk, 0).await;
    let (other, _) = daemon.usable(&desk, 1).await;
    sleep(Duration::from_secs(1)).await;
    let before = resident_kib(daemon.id());
    let interface = hostile["tunnel"]["interface"].as_str().unwrap().to_owned();
    let watch = Watch::start(&desk.lab.vm.namespace, daemon.id(), interface, inside(&other)).await;
    let mut siege = Siege { desk, watch, asked: Vec::new() };

    let mut sent = siege.packets(&hostile).await;
    siege.desk.stop_phone(0).await;
    sent += siege.frames().await;
    sent += siege.datagrams().await;
    assert_eq!(sent, 1_000_000);

    let Siege { mut desk, watch, mut asked } = siege;
    let (echoes, most) = watch.end().await;
    asked.sort_unstable();
    let (p99, grown) = (echoes[echoes.len() * 99 / 100], most.saturating_sub(before));
    let (worst, log) = (echoes.last(), daemon.log().len());
    tracing::info!(echoes = echoes.len(), ?p99, ?worst, before, grown, log, "flooded");
    tracing::info!(asked = asked.len(), median = ?asked[asked.len() / 2], worst = ?asked.last(), "registry");
    assert!(grown <= GROWTH, "the daemon has {grown} KiB more than {before}");
    assert!(p99 <= P99, "99 of 100 round trips beside the flood took up to {p99:?}");
    let after = device(&desk, 1).await.unwrap();
    assert_eq!((&after["tunnel"], &after["state"]), (&other["tunnel"], &other["state"]));
    // And when the phone behaves again, all is well.
    desk.phone(0, |_| {}).await;
    daemon.usable(&desk, 0).await;
    // Also one that was never seen before, while forged announcements are still believed.
    let start = Instant::now();
    desk.phone(2, |_| {}).await;
    daemon.usable(&desk, 2).await;
    tracing::info!(took = ?start.elapsed(), "a phone that is new");
}

impl Siege {
    /// All but a few must come out of the tunnel at the host.
    async fn packets(&mut self, hostile: &Value) -> u64 {
        // The phone's end is ::1, the host's ::2 (crates/fakephone, tunnels).
        let phone = inside(hostile);
        let [a, b, c, d, e, f, g, _] = phone.segments();
        let host = std::net::Ipv6Addr::new(a, b, c, d, e, f, g, 2);
        let arrived = Arc::clone(&self.watch.arrived);
        let count = seen(&arrived.packets);
        let sent = blocking(&self.station().namespace, move || inner::send(phone, host, PACKETS, &arrived));
        let sent = self.beside(sent.await).await;
        let came = seen(&self.watch.arrived.packets) - count;
        tracing::info!(sent, came, "packets");
        assert!(came > PACKETS / 100 * 95, "{came} of {sent} packets came through the tunnel");
        sent
    }

    /// The daemon must read all but those that make it close a connection.
    async fn frames(&mut self) -> u64 {
        let (own, index) = (self.station().address(), self.station().index);
        let sent = blocking(&self.station().namespace, move || http2::send(own, index, FRAMES)).await;
        let (sent, read) = self.beside(sent).await;
        tracing::info!(sent, read, "frames");
        assert!(read > FRAMES / 100 * 95, "{read} of {sent} frames were read");
        sent
    }

    /// All must reach the daemon's socket; what it has no time for, the kernel drops there.
    async fn datagrams(&mut self) -> u64 {
        let (own, index) = (self.station().address(), self.station().index);
        let arrived = Arc::clone(&self.watch.arrived);
        let count = [&arrived.read, &arrived.overflowed].map(seen);
        let sent =
            blocking(&self.station().namespace, move || mdns::send(own, index, DATAGRAMS, &arrived)).await;
        let sent = self.beside(sent).await;
        let arrived = &self.watch.arrived;
        let (read, overflowed) = (seen(&arrived.read) - count[0], seen(&arrived.overflowed) - count[1]);
        tracing::info!(sent, read, overflowed, "datagrams");
        assert!(read + overflowed > DATAGRAMS / 100 * 95, "{read} and {overflowed} of {sent} came");
        sent
    }

    fn station(&self) -> &Station {
        self.desk.lab.station(Place::Phone(0))
    }

    /// Waits for the end of a flood, and asks the registry meanwhile.
    async fn beside<T>(&mut self, flood: Receiver<T>) -> T {
        let mut flood = pin!(flood);
        loop {
            let ask = async {
                sleep(Duration::from_millis(50)).await;
                let began = Instant::now();
                assert!(get(&self.desk, "/v1/devices").await.is_some(), "the registry answers");
                began.elapsed()
            };
            tokio::select! {
                ended = &mut flood => return ended.unwrap(),
                took = ask => self.asked.push(took),
            }
        }
    }
}

fn seen(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
