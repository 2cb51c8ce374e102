//! Our own NCM driver beside the kernel's: frames a second and CPU, over the same simulated phone in the same guest. On 6.1 it is
//! alone: that kernel's does not bind the private function.
//!
//! Without KVM the figures are those of an emulated computer, most of which goes to the simulated phone: they compare the drivers,
//! no more.
#![cfg(feature = "vm-tests")]
#![allow(clippy::print_stdout, reason = "figures, which the runner asks for with --show-output")]

mod cable;

use std::fs;
use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};
use std::time::{Duration, Instant};

use cable::bridge::Daemon;
use cable::vm::Vm;
use cable::{Desk, PATIENCE};
use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, setns};

/// The payload of a frame that fills the link.
const PAYLOAD: usize = 1400;
/// How long each direction runs.
const RUN: Duration = Duration::from_secs(4);
/// Mbit/s, far below what is measured even without KVM and without optimisation: it catches a driver that stalls.
const SLOWEST: f64 = 1.0;
/// The discard port: nobody listens, frames are counted at the interface.
const PORT: u16 = 9;

/// The thread that a namespace is, by its name.
fn thread(name: &str) -> String {
    let named =
        |path: &std::path::Path| fs::read_to_string(path.join("comm")).is_ok_and(|text| text.trim() == name);
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    tasks.filter(|path| named(path)).map(|path| path.display().to_string()).next().unwrap()
}

/// Bytes that an interface of a namespace has received.
fn received(task: &str, interface: &str) -> u64 {
    let table = fs::read_to_string(format!("{task}/net/dev")).unwrap();
    let mut lines = table.lines().filter_map(|line| line.trim().split_once(':'));
    let (_, counters) = lines.find(|(name, _)| *name == interface).unwrap();
    counters.split_whitespace().next().unwrap().parse().unwrap()
}

/// Sends from a namespace for a while, as fast as its interface takes frames.
fn send(task: &str, interface: &'static str, to: Ipv6Addr) {
    let namespace = fs::File::open(format!("{task}/ns/net")).unwrap();
    let sender = std::thread::spawn(move || {
        setns(&namespace, CloneFlags::CLONE_NEWNET).unwrap();
        let index = if_nametoindex(interface).unwrap();
        let socket = UdpSocket::bind(("::", 0)).unwrap();
        let (to, began) = (SocketAddrV6::new(to, PORT, 0, index), Instant::now());
        while began.elapsed() < RUN {
            // A full queue says so; the next one may pass.
            let _ = socket.send_to(&[0; PAYLOAD], to);
        }
    });
    sender.join().unwrap();
}

struct Figures {
    /// Mbit/s to the phone and from it.
    rates: [f64; 2],
    /// CPU seconds of the daemon for a GB.
    daemon: f64,
}

async fn measure(driver: &str) -> Figures {
    let desk = Desk::new();
    let vm = Vm::new(&desk).await;
    let daemon = Daemon::start(&desk, &format!("driver = \"{driver}\"\n")).await;
    let phone = desk.phone(0, &[]).await;
    let row = daemon.joined(0).await;
    assert_eq!(row["interface"]["driver"], driver, "{row:#}");
    let (inside, outside) = (phone.state().borrow().address, vm.address().await);
    let (at_phone, at_vm) = (thread("phone"), thread("vm"));
    // Addresses are usable a moment later.
    let before = Instant::now();
    while received(&at_phone, "ncm0") < 10 * PAYLOAD as u64 {
        assert!(before.elapsed() < PATIENCE, "no frame reaches the phone\n{}", daemon.log());
        send_some(&at_vm, inside).await;
    }
    let (cpu, mut rates, mut all) = (daemon.cpu(), [0.0; 2], 0);
    let ways = [(&at_vm, "eth0", inside, &at_phone, "ncm0"), (&at_phone, "ncm0", outside, &at_vm, "eth0")];
    for (rate, (from, by, to, at, counted)) in rates.iter_mut().zip(ways) {
        let (before, began) = (received(at, counted), Instant::now());
        tokio::task::block_in_place(|| send(from, by, to));
        let bytes = received(at, counted) - before;
        all += bytes;
        *rate = bytes as f64 * 8.0 / began.elapsed().as_secs_f64() / 1e6;
    }
    let daemon = (daemon.cpu() - cpu).as_secs_f64() / (all as f64 / 1e9);
    Figures { rates, daemon }
}

async fn send_some(task: &str, to: Ipv6Addr) {
    let namespace = fs::File::open(format!("{task}/ns/net")).unwrap();
    let sender = std::thread::spawn(move || {
        setns(&namespace, CloneFlags::CLONE_NEWNET).unwrap();
        let to = SocketAddrV6::new(to, PORT, 0, if_nametoindex("eth0").unwrap());
        let socket = UdpSocket::bind(("::", 0)).unwrap();
        for _ in 0..4 {
            // Not before its address is checked.
            let _ = socket.send_to(&[0; PAYLOAD], to);
        }
    });
    sender.join().unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_own_driver_carries_frames_beside_the_kernel_s() {
    let old = std::env::var("IOSMUX_VM_GUEST").unwrap() == "6.1";
    let drivers: &[_] = if old { &["userspace"] } else { &["kernel", "userspace"] };
    let mut all = Vec::new();
    for driver in drivers {
        let figures = measure(driver).await;
        let [to, from] = figures.rates;
        println!(
            "{driver:<9}  to the phone {to:7.1} Mbit/s, from it {from:7.1} Mbit/s, daemon {:6.2} CPU s/GB",
            figures.daemon
        );
        all.push(figures);
    }
    if old {
        let [to, from] = all[0].rates;
        assert!(to > SLOWEST && from > SLOWEST, "{to} and {from} Mbit/s");
        return;
    }
    let [kernel, userspace] = <[Figures; 2]>::try_from(all).ok().unwrap();
    for (kernel, userspace) in kernel.rates.into_iter().zip(userspace.rates) {
        // Far below what is measured: it catches a driver that stalls.
        assert!(userspace > kernel / 20.0, "{userspace} beside {kernel}");
    }
    assert!(kernel.daemon < userspace.daemon, "the daemon takes no part where the kernel carries frames");
}
