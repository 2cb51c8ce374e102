//! A minute of a bad link: tunnels that were open before stay, and what is inside of them goes on.
//!
//! Kernels without `sch_netem` exist, so that the link is a wire in this program instead of a veth pair: a TUN device on
//! each side, and between them what `netem loss 10% delay 100ms 100ms reorder 25%` does to packets, seeded.
#![cfg(feature = "net-tests")]

mod support;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use iosmux_fakephone::lockdown::{Message, encode, read_message};
use iosmux_tunnel::Parameters;
use iosmux_tunnel::io::{Ended, PacketDevice as _, TunDevice};
use iosmux_tunnel::parameters::Role;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use support::far::FarLink;
use support::host::{Computer, Open, quic, tcp};
use support::{SOON, ip};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep, timeout};

const UDID: &str = "00008020-0000000000001234";
const DURATION: Duration = Duration::from_secs(60);
/// Less than the silence after which a tunnel is given up.
const PATIENCE: Duration = Duration::from_secs(25);
/// Packets in a hundred that are lost, and that overtake the waiting ones.
const LOST: u32 = 10;
const AT_ONCE: u32 = 25;
/// The others wait up to this long: 100 ms, 100 ms more or less.
const LONGEST: Duration = Duration::from_millis(200);
const MTU: u16 = 1500;

/// One direction of the wire.
#[derive(Debug, Default)]
struct Direction {
    bad: AtomicBool,
    sent: AtomicU64,
    lost: AtomicU64,
    /// Those that arrived after a later one.
    overtaken: AtomicU64,
    latest: AtomicU64,
}

impl Direction {
    /// Hands packets over in order, or as a bad link does.
    async fn run(
        self: Arc<Self>,
        seed: u64,
        mut from: UnboundedReceiver<Vec<u8>>,
        to: UnboundedSender<Vec<u8>>,
    ) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        while let Some(packet) = from.recv().await {
            if !self.bad.load(Ordering::Relaxed) {
                // Without a receiver the test is over.
                let _ = to.send(packet);
                continue;
            }
            let number = self.sent.fetch_add(1, Ordering::Relaxed);
            let fate = rng.next_u32() % 100;
            if fate < LOST {
                self.lost.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let waits = if fate < LOST + AT_ONCE { 0 } else { rng.next_u32() % 1000 };
            let (direction, to) = (Arc::clone(&self), to.clone());
            tokio::spawn(async move {
                sleep(LONGEST * waits / 1000).await;
                if direction.latest.fetch_max(number, Ordering::Relaxed) > number {
                    direction.overtaken.fetch_add(1, Ordering::Relaxed);
                }
                let _ = to.send(packet);
            });
        }
    }

    /// It was as bad as it should be.
    fn assert_bad(&self, name: &str) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (sent, lost, overtaken) = (count(&self.sent), count(&self.lost), count(&self.overtaken));
        tracing::info!(name, sent, lost, overtaken, "the wire");
        assert!(sent > 200, "{name}: {sent} packets");
        assert!((5..=15).contains(&(lost * 100 / sent)), "{name}: {lost} of {sent} packets were lost");
        assert!(overtaken * 10 > sent, "{name}: {overtaken} of {sent} packets came late");
    }
}

/// A TUN device at one end of the wire, in the namespace of whoever calls.
async fn end(name: String, role: Role, out: UnboundedSender<Vec<u8>>, mut back: UnboundedReceiver<Vec<u8>>) {
    // Its own addresses serve nobody: the link has link-local ones.
    let parameters = Parameters {
        server_address: "fd00::1".parse().unwrap(),
        server_rsd_port: 1,
        client_address: "fd00::2".parse().unwrap(),
        mtu: MTU,
    };
    let mut device = TunDevice::open(Some(&name), &parameters, role).unwrap();
    device.attach().unwrap();
    tokio::spawn(async move {
        let mut packet = vec![0; usize::from(MTU)];
        loop {
            tokio::select! {
                length = poll_fn(|cx| device.poll_recv(cx, &mut packet)) => {
                    let Ok(length) = length else { return };
                    if out.send(packet[..length].to_vec()).is_err() {
                        return;
                    }
                }
                Some(packet) = back.recv() => {
                    device.send(&packet).unwrap();
                }
                else => return,
            }
        }
    });
}

/// Replaces the link's veth pair by a wire.
async fn rewire(far: &FarLink) -> [Arc<Direction>; 2] {
    let (host, phone) = (far.link.host_end(), far.link.phone_end());
    ip(&["link", "delete", &host]);
    let ((host_out, host_sends), (to_host, host_back)) = (unbounded_channel(), unbounded_channel());
    let ((phone_out, phone_sends), (to_phone, phone_back)) = (unbounded_channel(), unbounded_channel());
    end(host.clone(), Role::Host, host_out, host_back).await;
    far.run(move || end(phone, Role::Device, phone_out, phone_back)).await;
    let address = format!("{}/64", far.link.address(0xff));
    ip(&["address", "add", &address, "dev", &host, "nodad"]);
    let directions: [Arc<Direction>; 2] = Default::default();
    let [up, down] = directions.clone();
    tokio::spawn(up.run(1, host_sends, to_phone));
    tokio::spawn(down.run(2, phone_sends, to_host));
    directions
}

/// A lockdownd inside of a tunnel, over one TCP connection.
struct Lockdown(TcpStream);

impl Lockdown {
    async fn new(open: &Open) -> Lockdown {
        let services = open.handshake().await.services;
        let port = services.get("com.apple.mobile.lockdown.remote.trusted").unwrap().port;
        let mut lockdown = Lockdown(open.connect(port).await.unwrap());
        assert_eq!(lockdown.ask("RSDCheckin", SOON).await["Request"].as_string(), Some("RSDCheckin"));
        // It says one thing more to a check-in.
        read_message(&mut lockdown.0, SOON).await.unwrap().unwrap();
        lockdown
    }

    async fn ask(&mut self, request: &str, patience: Duration) -> Message {
        let message =
            Message::from_iter([("Label", "test"), ("Request", request), ("Key", "ProductVersion")]);
        self.0.write_all(&encode(message).unwrap()).await.unwrap();
        let answer = timeout(patience, read_message(&mut self.0, patience)).await;
        answer.expect("an answer in time").unwrap().expect("the connection is open")
    }

    /// Asks again and again; gives the number of answers and the longest wait.
    async fn talk(&mut self) -> (u32, Duration) {
        let (start, mut answers, mut longest) = (Instant::now(), 0, Duration::ZERO);
        while start.elapsed() < DURATION {
            let asked = Instant::now();
            let answer = self.ask("GetValue", PATIENCE).await;
            assert_eq!(answer["Value"].as_string(), Some("17.0.3"));
            (answers, longest) = (answers + 1, longest.max(asked.elapsed()));
        }
        (answers, longest)
    }
}

/// The minute of one tunnel.
async fn minute(name: &str, open: &mut Open, lockdown: &mut Lockdown) {
    let (answers, longest) = tokio::select! {
        talked = lockdown.talk() => talked,
        ended = open.tunnel.ended() => panic!("the {name} tunnel is lost: {ended:?}"),
    };
    tracing::info!(name, answers, ?longest, "the tunnel lived");
    assert!(answers >= 10, "{answers} answers over {name}, the slowest in {longest:?}");
}

#[tokio::test]
async fn tunnels_outlive_a_minute_of_loss_jitter_and_reordering() {
    let far = FarLink::new();
    let wire = rewire(&far).await;
    let phone = far.usual_phone(|config| config.ios = Some("17.0.3".parse().unwrap())).await;
    let directory = tempfile::tempdir().unwrap();
    let mut computer = Computer::new(directory.path());
    // Both tunnels and what is inside of them begin on a good link.
    let mut host = computer.paired(&far.link, UDID).await.0;
    let mut over_tcp = tcp(&far.link, &mut host).await;
    let mut over_quic = quic(&far.link, &mut host).await;
    let (mut first, mut second) = (Lockdown::new(&over_tcp).await, Lockdown::new(&over_quic).await);
    host.close().await;
    let interfaces = || async { (ip(&["-o", "link", "show"]), far.ip("-o link show").await) };
    let before = interfaces().await;

    wire.iter().for_each(|direction| direction.bad.store(true, Ordering::Relaxed));
    tokio::join!(minute("TCP", &mut over_tcp, &mut first), minute("QUIC", &mut over_quic, &mut second));
    wire.iter().for_each(|direction| direction.bad.store(false, Ordering::Relaxed));

    wire[0].assert_bad("to the phone");
    wire[1].assert_bad("to the host");
    // The same interfaces by index and name: no tunnel was replaced by another.
    assert_eq!(interfaces().await, before);
    for (open, lockdown) in [(over_tcp, first), (over_quic, second)] {
        drop(lockdown);
        open.handshake().await;
        assert_eq!(open.tunnel.stop().await.unwrap(), Ended::Stopped);
    }
    drop(phone);
}
