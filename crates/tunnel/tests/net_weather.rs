//! Tunnels over a path that loses a tenth of all packets and delays the others by up to 200 ms, so that they overtake
//! each other: for a minute, without losing the tunnel. Runs in a network namespace of its own.
//!
//! The path is a pair of TUN devices with this test between them: the kernel's netem module isn't everywhere.
#![cfg(feature = "net-tests")]
#![cfg(target_os = "linux")]

mod support;

#[path = "support/namespace.rs"]
mod namespace;

use iosmux_tunnel::Parameters;
use iosmux_tunnel::io::{
    Options, PacketDevice as _, QuicIdentity, QuicListener, TunDevice, Tunnel, TunnelError, TunnelLink,
    accept_tcp, connect_quic, connect_tcp,
};
use iosmux_tunnel::parameters::Role;
use namespace::Namespace;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};
use std::future::poll_fn;
use std::io::{Read as _, Write as _};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::{KEY, offer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};

/// How long the weather is bad.
const STORM: Duration = Duration::from_secs(60);
const LOSS_PERCENT: u32 = 10;
const JITTER_MILLIS: u32 = 200;

/// The two ends of the path under the tunnel.
const NEAR: Ipv6Addr = Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, 2);
const FAR: Ipv6Addr = Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, 1);

/// The path under the tunnel, between two namespaces.
struct Path {
    host: Namespace,
    phone: Namespace,
    storm: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
}

impl Path {
    fn new(runtime: &Runtime) -> Self {
        let path = Self {
            host: Namespace::new(),
            phone: Namespace::new(),
            storm: Arc::new(AtomicBool::new(false)),
            lost: Arc::default(),
        };
        let ends = Parameters { server_address: FAR, server_rsd_port: 1, client_address: NEAR, mtu: 1500 };
        let near = path.host.run(move || TunDevice::open(Some("path%d"), &ends, Role::Host)).unwrap();
        let far = path.phone.run(move || TunDevice::open(Some("path%d"), &ends, Role::Device)).unwrap();
        let ((to_near, near_queue), (to_far, far_queue)) = (mpsc::channel(1000), mpsc::channel(1000));
        runtime.spawn(path.direction(near, near_queue, to_far, 1));
        runtime.spawn(path.direction(far, far_queue, to_near, 2));
        path
    }

    /// Takes packets from one device to the other's queue, as the weather has it, and from its own queue.
    fn direction(
        &self,
        mut device: TunDevice,
        mut queue: mpsc::Receiver<Vec<u8>>,
        other: mpsc::Sender<Vec<u8>>,
        seed: u64,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (storm, lost) = (Arc::clone(&self.storm), Arc::clone(&self.lost));
        async move {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let mut packet = [0; 1501];
            device.attach().unwrap();
            loop {
                tokio::select! {
                    arrived = queue.recv() => match arrived {
                        Some(packet) => drop(device.send(&packet).unwrap()),
                        None => return,
                    },
                    count = poll_fn(|cx| device.poll_recv(cx, &mut packet)) => {
                        let packet = packet[..count.unwrap()].to_vec();
                        let (chance, delay) = (random.next_u32() % 100, random.next_u32() % JITTER_MILLIS);
                        let storm = storm.load(Ordering::Relaxed);
                        if storm && chance < LOSS_PERCENT {
                            lost.fetch_add(1, Ordering::Relaxed);
                            continue;
                        }
                        let (delay, other) = (if storm { delay } else { 0 }, other.clone());
                        tokio::spawn(async move {
                            tokio::time::sleep(Duration::from_millis(delay.into())).await;
                            // A full queue loses packets, as any does.
                            drop(other.try_send(packet));
                        });
                    }
                }
            }
        }
    }
}

/// Runs `work` on a runtime thread that was moved into the namespace.
fn inside<T: Send + 'static>(
    namespace: &Namespace,
    work: impl Future<Output = T> + Send + 'static,
) -> oneshot::Receiver<T> {
    let (tell, told) = oneshot::channel();
    drop(namespace.start(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        drop(tell.send(runtime.block_on(work)));
        // Sockets that were made here are still used: their driver goes on.
        std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    }));
    told
}

/// Opens a tunnel over the path: host, phone.
async fn open_tcp(path: &Path) -> (TunnelLink, TunnelLink) {
    let at = SocketAddr::from(SocketAddrV6::new(FAR, 5000, 0, 0));
    let (listening, listens) = oneshot::channel();
    let phone = inside(&path.phone, async move {
        let listener = TcpListener::bind(at).await.unwrap();
        listening.send(()).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        accept_tcp(stream, &KEY, &offer(16_000)).await
    });
    listens.await.unwrap();
    let host =
        inside(
            &path.host,
            async move { connect_tcp(TcpStream::connect(at).await.unwrap(), &KEY, 16_000).await },
        );
    (host.await.unwrap().unwrap(), phone.await.unwrap().unwrap())
}

/// The same by QUIC.
async fn open_quic(path: &Path) -> (TunnelLink, TunnelLink) {
    let at = SocketAddr::from(SocketAddrV6::new(FAR, 5000, 0, 0));
    let (listening, listens) = oneshot::channel();
    let phone = inside(&path.phone, async move {
        let listener = QuicListener::bind(at, &QuicIdentity::generate().unwrap(), None).unwrap();
        listening.send(()).unwrap();
        listener.accept(&offer(1400)).await
    });
    listens.await.unwrap();
    let host =
        inside(
            &path.host,
            async move { connect_quic(at, &QuicIdentity::generate().unwrap(), None, 1400).await },
        );
    (host.await.unwrap().unwrap(), phone.await.unwrap().unwrap())
}

fn run(namespace: &Namespace, link: TunnelLink, name: &'static str) -> Tunnel {
    let (parameters, role) = (*link.parameters(), link.role());
    let device = namespace.run(move || TunDevice::open(Some(name), &parameters, role)).unwrap();
    Tunnel::run(link, device, Options::default()).unwrap()
}

/// Sends through the tunnel until told to stop, from the host to the phone, and counts what arrives.
fn traffic(path: &Path, address: Ipv6Addr, stop: &Arc<AtomicBool>) -> Arc<AtomicU64> {
    let at = SocketAddrV6::new(address, 7, 0, 0);
    let listener = path.phone.run(move || std::net::TcpListener::bind(at)).unwrap();
    let (counted, stop) = (Arc::new(AtomicU64::new(0)), Arc::clone(stop));
    let counter = Arc::clone(&counted);
    std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut bytes = [0; 1 << 16];
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            counter.fetch_add(count as u64, Ordering::Relaxed);
        }
    });
    let mut stream = path.host.run(move || std::net::TcpStream::connect(at)).unwrap();
    std::thread::spawn(
        move || {
            while !stop.load(Ordering::Relaxed) && stream.write_all(&[0; 1 << 14]).is_ok() {}
        },
    );
    counted
}

/// A tunnel in bad weather, then in good: what went through in each.
fn weather(runtime: &Runtime, path: &Path, links: (TunnelLink, TunnelLink)) -> (u64, u64) {
    let address = links.0.parameters().server_address;
    let mut host = run(&path.host, links.0, "host%d");
    let mut phone = run(&path.phone, links.1, "phone%d");
    let stop = Arc::new(AtomicBool::new(false));
    let counted = traffic(path, address, &stop);
    path.storm.store(true, Ordering::Relaxed);
    let before = counted.load(Ordering::Relaxed);
    let ended: Result<(), String> = runtime.block_on(async {
        let say = |end: &str, ended: Result<_, TunnelError>| format!("the {end}'s tunnel ended: {ended:?}");
        tokio::select! {
            ended = host.ended() => Err(say("host", ended)),
            ended = phone.ended() => Err(say("phone", ended)),
            () = tokio::time::sleep(STORM) => Ok(()),
        }
    });
    ended.unwrap();
    let storm = counted.load(Ordering::Relaxed) - before;
    path.storm.store(false, Ordering::Relaxed);
    let (sun, start) = (counted.load(Ordering::Relaxed), Instant::now());
    // What was going on goes on: TCP's own patience is the limit.
    while counted.load(Ordering::Relaxed) - sun < 1 << 20 && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(50));
    }
    stop.store(true, Ordering::Relaxed);
    (storm, counted.load(Ordering::Relaxed) - sun)
}

fn a_minute_of_it(quic: bool) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let path = Path::new(&runtime);
    let links = runtime.block_on(async { if quic { open_quic(&path).await } else { open_tcp(&path).await } });
    let (storm, sun) = weather(&runtime, &path, links);
    let lost = path.lost.load(Ordering::Relaxed);
    assert!(lost > 50, "the weather was not bad: {lost} packets were lost");
    assert!(storm > 10_000, "{storm} bytes only came through in a minute");
    assert!(sun >= 1 << 20, "{sun} bytes only came through when the weather was good again");
}

#[test]
fn a_minute_of_loss_and_jitter_does_not_end_a_tcp_tunnel() {
    a_minute_of_it(false);
}

#[test]
fn a_minute_of_loss_and_jitter_does_not_end_a_quic_tunnel() {
    a_minute_of_it(true);
}
