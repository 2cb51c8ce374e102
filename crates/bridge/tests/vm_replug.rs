//! A phone that is unplugged and plugged in again: times to joined, and nothing left behind.
//!
//! 20 times in the vm tier; `cargo xtask soak replug` says how often with IOSMUX_VM_REPLUGS.
#![cfg(feature = "vm-tests")]
#![allow(clippy::print_stdout, reason = "figures, which the runner asks for with --show-output")]

mod cable;

use std::io::Write as _;
use std::time::{Duration, Instant};

use cable::bridge::{Daemon, Size};
use cable::{Desk, PATIENCE, ports, until};

/// The first replugs fill caches and pools.
const WARM: usize = 5;
/// No hand is quicker.
const HAND: Duration = Duration::from_millis(700);

/// Between two words about how far it is.
const STEP: usize = 50;

fn count() -> usize {
    std::env::var("IOSMUX_VM_REPLUGS").map_or(20, |text| text.parse().expect("IOSMUX_VM_REPLUGS is a number"))
}

fn at(times: &[Duration], percent: usize) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replugs_leave_nothing_behind() {
    let desk = Desk::new();
    let daemon = Daemon::start(&desk, "").await;
    let phone = desk.phone(0, &[]).await;
    daemon.joined(0).await;
    let (mut times, mut before) = (Vec::new(), None);
    for number in 0..count() {
        if number == WARM {
            before = Some(rest(&daemon).await);
        }
        // A phone that leaves at once was switched, not unplugged.
        tokio::time::sleep(HAND).await;
        phone.unplug().await.unwrap();
        daemon.row_gone(0, PATIENCE).await;
        until("its port is gone", PATIENCE, || ports().is_empty().then_some(())).await;
        let plugged = Instant::now();
        phone.plug().await.unwrap();
        daemon.joined(0).await;
        times.push(plugged.elapsed());
        if (number + 1) % STEP == 0 {
            // Past libtest, which keeps what is printed for the end.
            let done = number + 1;
            writeln!(std::io::stdout(), "\nsoak: {done} done, p50 {:?}", at(&times, 50)).unwrap();
        }
    }
    let (before, after) = (before.expect("more replugs than warm ones"), rest(&daemon).await);
    let away = desk.phone_config(0, &[]).reenumeration;
    println!("soak: {} of {} replugs joined", times.len(), count());
    println!(
        "soak: plug to joined: p50 {:?}, p99 {:?}, most {:?}, of which {away:?} are the phone's own re-enumeration",
        at(&times, 50),
        at(&times, 99),
        at(&times, 100)
    );
    println!("soak: before: {before:?}\nsoak: after:  {after:?}");
    assert_eq!((after.files, after.threads), (before.files, before.threads), "{before:?}\n{}", daemon.log());
    assert_eq!(after.links, before.links, "netdevs of the guest");
    let grown = after.resident.saturating_sub(before.resident);
    assert!(grown < 1024 + 2 * count() as u64, "{grown} KiB more than {before:?}");
}

/// What the daemon has when nothing happens: threads that wait for work end after a while.
async fn rest(daemon: &Daemon) -> Size {
    let (mut last, mut since) = (daemon.size(), Instant::now());
    while since.elapsed() < Duration::from_secs(12) {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let now = daemon.size();
        if (now.files, now.threads) != (last.files, last.threads) {
            since = Instant::now();
        }
        last = now;
    }
    last
}
