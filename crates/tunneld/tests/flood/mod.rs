//! A phone that floods its host, and what is seen of that from the host's side.
//!
//! | file | what the phone sends |
//! |---|---|
//! | `inner` | packets inside of its tunnel |
//! | `http2` | frames on RSD's connection |
//! | `mdns` | datagrams on the link, in its own name and in others' |

pub(crate) mod http2;
pub(crate) mod inner;
pub(crate) mod mdns;

use std::fs;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use iosmux_lab::Namespace;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::oneshot;

use crate::support::echo::Echo;

/// Between two looks at a counter.
const LOOK: Duration = Duration::from_millis(2);
/// Without an arrival for this long, what is under way counts as lost.
const LOST: Duration = Duration::from_millis(200);
/// Before the next echo.
const PAUSE: Duration = Duration::from_millis(3);
/// An echo that takes longer counts as this long.
const PATIENCE: Duration = Duration::from_secs(2);

/// A socket whose user makes the IPv6 header too: IPPROTO_RAW. Source: Linux, include/uapi/linux/in.h.
fn raw() -> Socket {
    Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::from(255))).unwrap()
}

/// Runs something that blocks on a thread of its own, in a namespace.
pub(crate) async fn blocking<T: Send + 'static>(
    namespace: &Namespace,
    job: impl FnOnce() -> T + Send + 'static,
) -> oneshot::Receiver<T> {
    let (tell, told) = oneshot::channel();
    let start = move || async move {
        thread::spawn(move || {
            // A test that has failed listens no more.
            let _ = tell.send(job());
        });
    };
    namespace.run(start).await.unwrap();
    told
}

/// What has arrived in the VM, as its kernel counts.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    /// Packets that came out of the hostile phone's tunnel.
    pub(crate) packets: AtomicU64,
    /// Datagrams that the daemon has read. Nobody else has a UDP socket there.
    pub(crate) read: AtomicU64,
    /// Datagrams that found its socket full.
    pub(crate) overflowed: AtomicU64,
}

/// What is watched while the flood lasts.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) arrived: Arc<Arrived>,
    done: Arc<AtomicBool>,
    echoes: oneshot::Receiver<Vec<Duration>>,
    resident: oneshot::Receiver<u64>,
}

impl Watch {
    /// Watches the memory of a process, a tunnel's interface, and echoes to an address in another tunnel.
    pub(crate) async fn start(vm: &Namespace, process: u32, interface: String, other: Ipv6Addr) -> Self {
        let (arrived, done) = (Arc::<Arrived>::default(), Arc::<AtomicBool>::default());
        let (ended, counts) = (Arc::clone(&done), Arc::clone(&arrived));
        let (ready, begun) = oneshot::channel();
        let mut ready = Some(ready);
        let resident = blocking(vm, move || {
            let mut most = 0;
            while !ended.load(Ordering::Relaxed) {
                count(&counts, &interface);
                most = most.max(resident_kib(process));
                ready.take().map(|ready| ready.send(()));
                thread::sleep(LOOK);
            }
            most
        });
        let resident = resident.await;
        begun.await.unwrap();
        let ended = Arc::clone(&done);
        let echoes = blocking(vm, move || {
            let (mut echo, mut times) = (Echo::open(other).unwrap(), Vec::new());
            while !ended.load(Ordering::Relaxed) {
                times.push(echo.round_trip(PATIENCE).unwrap_or(PATIENCE));
                thread::sleep(PAUSE);
            }
            times
        });
        Self { arrived, done, echoes: echoes.await, resident }
    }

    /// The times of all echoes, shortest first, and the most KiB that the process had.
    pub(crate) async fn end(self) -> (Vec<Duration>, u64) {
        self.done.store(true, Ordering::Relaxed);
        let mut echoes = self.echoes.await.unwrap();
        echoes.sort_unstable();
        (echoes, self.resident.await.unwrap())
    }
}

/// Memory of a process, in KiB.
pub(crate) fn resident_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn count(arrived: &Arrived, interface: &str) {
    let table = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let line = table.lines().find_map(|line| line.trim().strip_prefix(interface)?.strip_prefix(':'));
    // Bytes are first, packets second. The interface goes when the tunnel ends.
    if let Some(packets) = line.and_then(|line| line.split_whitespace().nth(1)) {
        arrived.packets.store(packets.parse().unwrap(), Ordering::Relaxed);
    }
    let table = fs::read_to_string("/proc/thread-self/net/snmp6").unwrap();
    let value = |name: &str| {
        let line = table.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().parse::<u64>().unwrap()
    };
    arrived.read.store(value("Udp6InDatagrams"), Ordering::Relaxed);
    arrived.overflowed.store(value("Udp6RcvbufErrors"), Ordering::Relaxed);
}

/// Lets through as much as the other side takes: what is dropped on the way is no load.
pub(crate) struct Gate<F> {
    arrived: F,
    window: u64,
    /// What had arrived, or was given up as lost, and what had been sent, when nothing was under way.
    base: u64,
    sent: u64,
    lost: u64,
}

impl<F: Fn() -> u64> Gate<F> {
    pub(crate) fn new(window: u64, arrived: F) -> Self {
        Self { base: arrived(), arrived, window, sent: 0, lost: 0 }
    }

    /// Waits until there is room for one more, and counts it.
    pub(crate) fn pass(&mut self) {
        let (mut seen, mut since) = (self.under_way(), Instant::now());
        while seen >= self.window {
            thread::sleep(LOOK);
            let now = self.under_way();
            if now < seen {
                (seen, since) = (now, Instant::now());
            } else if since.elapsed() > LOST {
                self.lost += now;
                return self.sent += 1;
            }
        }
        self.sent += 1;
    }

    fn under_way(&self) -> u64 {
        (self.sent - self.lost).saturating_sub((self.arrived)() - self.base)
    }
}
