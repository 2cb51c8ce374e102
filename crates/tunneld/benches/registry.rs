//! What the daemon costs and how fast it is, beside pymobiledevice3's tunneld where `IOSMUX_PEER_PYTHON` names a Python that
//! has it: `cargo xtask bench tunneld`.
//!
//! Phones are simulated, in namespaces of this process; the daemons are processes in the VM's namespace. Addresses are there
//! before anything is measured: duplicate-address detection is the kernel's time.
#![allow(clippy::print_stdout, reason = "a bench talks to people")]

#[path = "registry/daemon.rs"]
mod daemon;
#[path = "registry/http.rs"]
mod http;
#[path = "registry/phones.rs"]
mod phones;
#[path = "registry/report.rs"]
mod report;

use std::ffi::OsString;
use std::time::{Duration, Instant};

use daemon::{Daemon, Program};
use iosmux_lab::Lab;
use phones::Phones;
use report::{Report, Scale};
use tokio::time::sleep;

const STARTS: usize = 9;
const ARRIVALS: usize = 5;
const SCALES: [u16; 7] = [1, 2, 4, 8, 16, 32, 64];
/// Over which idle CPU is measured.
const IDLE: Duration = Duration::from_secs(10);

fn main() {
    // Cargo passes `--bench`; `--test` is a run of tests over all targets, which measures nothing.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let report = runtime.block_on(measure(std::env::var_os("IOSMUX_PEER_PYTHON")));
    if std::env::args().any(|argument| argument == "--json") {
        println!("{}", report.json());
    } else {
        println!("{}", report.text());
    }
    assert!(report.passed(), "a target was missed");
}

async fn measure(python: Option<OsString>) -> Report {
    let mut programs = vec![Program::Ours];
    programs.extend(python.map(Program::Pymobiledevice3));
    let mut report = Report::default();
    for program in &programs {
        let (starts, arrivals) = match program {
            Program::Ours => (STARTS, ARRIVALS),
            // Each takes seconds.
            Program::Pymobiledevice3(_) => (3, 1),
        };
        for _ in 0..starts {
            report.starts(program).push(start(program).await);
        }
        for _ in 0..arrivals {
            let (pairing, paired, rss) = arrival(program).await;
            let one = report.program(program);
            one.pairing.push(pairing);
            one.paired.push(paired);
            one.rss.push(rss);
        }
    }
    for phones in SCALES {
        report.scales.push(scale(phones).await);
    }
    report
}

/// From the start of the process to its first answer.
async fn start(program: &Program) -> Duration {
    let lab = lab(1).await;
    let files = tempfile::tempdir().expect("a folder");
    let begun = Instant::now();
    let daemon = Daemon::start(program, &lab, files.path()).await;
    daemon.answers(&lab).await;
    begun.elapsed()
}

/// From a phone's announcement to its place in the list: when it has to be paired with, and when it is known; and the memory
/// with one tunnel, in KiB.
async fn arrival(program: &Program) -> (Duration, Duration, u64) {
    let lab = lab(1).await;
    let files = tempfile::tempdir().expect("a folder");
    let first = listed(program, &lab, files.path()).await;
    let second = listed(program, &lab, files.path()).await;
    (first.0, second.0, second.1)
}

async fn listed(program: &Program, lab: &Lab, files: &std::path::Path) -> (Duration, u64) {
    let daemon = Daemon::start(program, lab, files).await;
    daemon.answers(lab).await;
    // The daemon is at rest: what is measured begins with the announcement.
    sleep(Duration::from_secs(2)).await;
    let phones = Phones::start(lab, files).await;
    daemon.lists(lab, 1).await;
    let took = phones.announced.elapsed();
    sleep(Duration::from_secs(2)).await;
    let rss = daemon.rss();
    daemon.stop().await;
    phones.stop().await;
    (took, rss)
}

/// Phones that announce themselves already, and a daemon that starts.
async fn scale(number: u16) -> Scale {
    let lab = lab(number).await;
    let files = tempfile::tempdir().expect("a folder");
    let phones = Phones::start(&lab, files.path()).await;
    let begun = Instant::now();
    let daemon = Daemon::start(&Program::Ours, &lab, files.path()).await;
    daemon.lists(&lab, usize::from(number)).await;
    let all_listed = begun.elapsed();
    sleep(Duration::from_secs(3)).await;
    let before = daemon.cpu();
    sleep(IDLE).await;
    let idle = (daemon.cpu().saturating_sub(before)).as_secs_f64() / IDLE.as_secs_f64();
    let scale = Scale { phones: number, all_listed, rss: daemon.rss(), idle };
    daemon.stop().await;
    phones.stop().await;
    scale
}

async fn lab(phones: u16) -> Lab {
    let lab = Lab::build(phones).await.expect("namespaces: run as root, or in `unshare -Urn`");
    lab.bring_up_at_once().await.expect("the link comes up");
    // The kernel looks at carriers once a second.
    sleep(Duration::from_millis(1200)).await;
    lab
}
