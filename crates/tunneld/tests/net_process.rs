//! What a desk does to the daemon's process, seen by who uses its registry.
#![cfg(feature = "net-tests")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use iosmux_fakephone::fault::Fault;
use nix::sys::signal::Signal;
use serde_json::Value;
use support::process::{self, Process, answers, ask, device, inside};
use support::{Desk, fault, udid};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);
/// The daemon's threads that wait for work end after ten seconds without any.
const QUIET: Duration = Duration::from_secs(13);

/// One phone, a daemon, and a tunnel.
async fn ready() -> (Desk, Process, Value) {
    let mut desk = Desk::new(1).await;
    desk.phone(0, |_| {}).await;
    let mut daemon = Process::start(&desk).await;
    let (row, _) = daemon.usable(&desk, 0).await;
    (desk, daemon, row)
}

#[tokio::test]
async fn a_daemon_that_is_stopped_for_90_s_and_continued_heals_within_20_s() {
    let (desk, mut daemon, before) = ready().await;
    daemon.signal(Signal::SIGSTOP);
    sleep(89 * SECOND).await;
    assert!(!answers(&desk, inside(&before), SECOND).await, "it is stopped: nobody moves packets");
    daemon.signal(Signal::SIGCONT);
    let continued = Instant::now();
    // Its own picture is old at first: only packets prove a tunnel.
    let after = loop {
        let (row, _) = daemon.usable(&desk, 0).await;
        if answers(&desk, inside(&row), SECOND / 2).await {
            break row;
        }
        assert!(continued.elapsed() < 20 * SECOND, "{row:#?}\n{}", daemon.log());
    };
    let took = continued.elapsed();
    assert!(took < 20 * SECOND, "{took:?}");
    assert_eq!(after["newly_paired"].as_bool(), Some(before["tunnel"] == after["tunnel"]), "{after:#?}");
    process::until_interfaces(&desk, 1, SECOND).await;
    tracing::info!(?took, lived = before["tunnel"] == after["tunnel"], "healed");
}

#[tokio::test]
async fn a_daemon_that_is_killed_leaves_nothing_and_the_next_one_needs_no_consent() {
    let (desk, mut daemon, before) = ready().await;
    assert_eq!(before["newly_paired"], true);
    assert_eq!(process::interfaces(&desk).await.len(), 1);
    daemon.signal(Signal::SIGKILL);
    daemon.end(SECOND).await;
    process::until_interfaces(&desk, 0, SECOND).await;
    let began = Instant::now();
    let mut daemon = Process::start(&desk).await;
    let (after, _) = daemon.usable(&desk, 0).await;
    let took = began.elapsed();
    assert!(took < 5 * SECOND, "{took:?}");
    assert_eq!(after["newly_paired"], false);
    assert!(!daemon.log().contains("awaiting-trust"), "{}", daemon.log());
    assert!(answers(&desk, inside(&after), SECOND).await);
    assert_eq!(process::interfaces(&desk).await.len(), 1);
    tracing::info!(?took, "back");
}

#[tokio::test]
async fn sigterm_ends_the_daemon_and_every_tunnel_in_3_s() {
    let mut desk = Desk::new(2).await;
    desk.phone(0, |_| {}).await;
    desk.phone(1, |_| {}).await;
    let mut daemon = Process::start(&desk).await;
    daemon.usable(&desk, 0).await;
    daemon.usable(&desk, 1).await;
    assert_eq!(process::interfaces(&desk).await.len(), 2);
    daemon.signal(Signal::SIGTERM);
    let (status, took) = daemon.end(3 * SECOND).await;
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    assert_eq!(process::interfaces(&desk).await, [""; 0], "gone before the end is told");
    tracing::info!(?took, "ended");
}

#[tokio::test]
async fn sighup_ends_the_tunnel_of_a_phone_that_is_allowed_no_more_and_of_no_other() {
    let mut desk = Desk::new(2).await;
    desk.phone(0, |_| {}).await;
    desk.phone(1, |_| {}).await;
    let mut daemon = Process::start(&desk).await;
    daemon.usable(&desk, 0).await;
    let (stays, _) = daemon.usable(&desk, 1).await;
    process::configure(&desk, &format!("allow = [\"{}\"]\n", udid(1)));
    daemon.signal(Signal::SIGHUP);
    let (refused, _) = daemon.until(&desk, 0, 3 * SECOND, |row| row["state"] == "unsupported").await;
    assert_eq!(refused["tunnel"], Value::Null);
    assert!(refused["reason"].as_str().unwrap().contains("does not allow"), "{refused:#?}");
    process::until_interfaces(&desk, 1, 3 * SECOND).await;
    let kept = device(&desk, 1).await.unwrap();
    assert_eq!((&kept["tunnel"], &kept["state"]), (&stays["tunnel"], &stays["state"]));
    assert!(answers(&desk, inside(&kept), SECOND).await);

    process::configure(&desk, "");
    daemon.signal(Signal::SIGHUP);
    let (back, _) = daemon.usable(&desk, 0).await;
    assert_eq!(back["newly_paired"], false);
    assert_eq!(device(&desk, 1).await.unwrap()["tunnel"], stays["tunnel"]);
}

#[tokio::test]
async fn a_second_daemon_says_who_has_the_port() {
    let (desk, first, _) = ready().await;
    let mut second = Process::spawn(&desk, |_| {}).await;
    let (status, _) = second.end(3 * SECOND).await;
    assert_eq!(status.code(), Some(1));
    let told = second.log();
    let holder = format!("{} is held by iosmux-tunneld (process {})", process::REGISTRY, first.id());
    assert!(told.contains(&holder), "{told}");
    assert_eq!(device(&desk, 0).await.unwrap()["state"], "catalogue-known");
}

#[tokio::test]
async fn without_a_tun_device_the_phones_row_says_so() {
    let mut desk = Desk::new(1).await;
    desk.phone(0, |_| {}).await;
    process::configure(&desk, "");
    // The device is hidden from the daemon alone: the phone has one.
    let daemon = process::command(&desk, Path::new(env!("CARGO_BIN_EXE_iosmux-tunneld")));
    let mut hidden = Command::new("unshare");
    hidden.args(["--mount", "sh", "-c", "mount -t tmpfs none /dev/net && exec \"$0\" \"$@\""]);
    hidden.arg(daemon.get_program()).args(daemon.get_args());
    let mut daemon = Process::spawn_command(&desk, hidden).await;
    let (row, _) = daemon.until(&desk, 0, 10 * SECOND, |row| row["state"] == "held").await;
    let text = |key: &str| row[key].as_str().unwrap().to_owned();
    assert!(text("reason").contains("a TUN device can't be opened"), "{row:#?}");
    assert!(text("reason").contains("load the kernel's tun module"), "{row:#?}");
    assert!(text("next_step").contains("/dev/net/tun"), "{row:#?}");
    assert_eq!(row["retry_in_seconds"], Value::Null, "only a person can change it");
}

#[tokio::test]
async fn a_hundred_replugs_leave_nothing_behind_in_the_daemons_process() {
    let (mut desk, mut daemon, _) = ready().await;
    let generation = |row: &Value| row["generation"].as_u64().unwrap();
    let mut before = String::new();
    for replug in 2..=102 {
        desk.replug(0).await;
        let back = |row: &Value| row["state"] == "catalogue-known" && generation(row) >= replug;
        daemon.until(&desk, 0, 20 * SECOND, back).await;
        if replug == 2 {
            before = footprint(&desk, QUIET, |_| false).await;
        }
    }
    let after = footprint(&desk, QUIET, |now| now == before).await;
    assert_eq!(after, before);
}

/// What the daemon has open, once it is as wanted or patience is over.
async fn footprint(desk: &Desk, patience: Duration, is: impl Fn(&str) -> bool) -> String {
    let began = Instant::now();
    loop {
        let metrics = process::get(desk, "/metrics").await.unwrap();
        let counted = ["process_tasks", "process_threads", "process_open_fds"];
        let counted = |line: &&str| counted.iter().any(|name| line.starts_with(&format!("iosmux_{name} ")));
        let mut now = metrics.lines().filter(counted).collect::<Vec<_>>().join("\n");
        assert_eq!(now.lines().count(), 3, "{metrics}");
        let routes = desk.in_vm(|| async { fs::read_to_string("/proc/thread-self/net/ipv6_route").unwrap() });
        let (routes, interfaces) = (routes.await.lines().count(), process::interfaces(desk).await.len());
        now += &format!("\nroutes {routes}\ninterfaces {interfaces}");
        if is(&now) || began.elapsed() > patience {
            return now;
        }
        sleep(SECOND / 5).await;
    }
}

/// A wall clock that tests set; the monotonic one goes on as it is.
struct Clock(PathBuf);

impl Clock {
    fn new(desk: &Desk) -> Self {
        let clock = Self(desk.path("clock"));
        clock.set(0);
        clock
    }

    /// How far from the true time it is.
    fn set(&self, seconds: i64) {
        let fresh = self.0.with_extension("new");
        fs::write(&fresh, format!("{seconds:+}\n")).unwrap();
        fs::rename(fresh, &self.0).unwrap();
    }

    fn fake(&self, command: &mut Command) {
        let library = std::env::var_os("IOSMUX_FAKETIME");
        let library =
            library.expect("IOSMUX_FAKETIME: `cargo xtask provision net` prints what this tier needs");
        command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", &self.0);
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("FAKETIME_NO_CACHE", "1");
        command.env("FAKETIME_DISABLE_SHM", "1");
    }
}

/// The moment at which a row's state began, by the daemon's wall clock, in seconds of the day.
fn since(row: &Value) -> i64 {
    let date = row["since"].as_str().unwrap();
    let field = |at: std::ops::Range<usize>| date[at].parse::<i64>().unwrap();
    field(11..13) * 3600 + field(14..16) * 60 + field(17..19)
}

/// How far the daemon's wall clock has moved between two rows of one state.
fn moved(before: &Value, after: &Value) -> i64 {
    (since(after) - since(before) + 12 * 3600).rem_euclid(24 * 3600) - 12 * 3600
}

fn number(row: &Value, key: &str) -> f64 {
    row[key].as_f64().unwrap_or_else(|| panic!("{key}: {row:#?}"))
}

#[tokio::test]
async fn a_wall_clock_that_jumps_an_hour_both_ways_ends_nothing_and_moves_no_retry() {
    let mut desk = Desk::new(2).await;
    desk.phone(0, |_| {}).await;
    desk.phone(1, fault(Fault::GarbageHandshake)).await;
    let clock = Clock::new(&desk);
    let mut daemon = Process::start_with(&desk, "", |command| clock.fake(command)).await;
    let (up, _) = daemon.usable(&desk, 0).await;
    let lease = r#"{"owner": "the clock's test", "seconds": 60}"#;
    let path = format!("/v1/devices/{}/lease", udid(0));
    assert_eq!(ask(&desk, "POST", &path, lease).await.unwrap().0, 200);
    let leased = Instant::now();

    for (failures, offset, jump) in [(5, 3600, 3600), (6, -3600, -7200)] {
        let before = device(&desk, 0).await.unwrap();
        // Waiting about 4 s, then about 8.
        let pending = |row: &Value| row["failures"] == failures && row["retry_in_seconds"].is_f64();
        let waiting = daemon.unidentified(&desk, pending).await;
        let (seen, pause) = (Instant::now(), number(&waiting, "retry_in_seconds"));
        assert!(pause > 1.5, "{waiting:#?}");
        clock.set(offset);
        let after = device(&desk, 0).await.unwrap();
        assert!((moved(&before, &after) - jump).abs() <= 1, "the clock jumped: {before:#?} {after:#?}");
        let still = daemon.unidentified(&desk, |_| true).await;
        let left = pause - seen.elapsed().as_secs_f64();
        assert!((number(&still, "retry_in_seconds") - left).abs() < 0.3, "{left} {still:#?}");
        daemon.unidentified(&desk, |row| row["failures"] == failures + 1).await;
        let late = seen.elapsed().as_secs_f64() - pause;
        assert!((-0.1..1.5).contains(&late), "{late} s late");
    }
    let after = device(&desk, 0).await.unwrap();
    assert_eq!((&after["tunnel"], &after["state"]), (&up["tunnel"], &up["state"]));
    assert!(number(&after, "for_seconds") > leased.elapsed().as_secs_f64() - 1.0);
    assert!(answers(&desk, inside(&after), SECOND).await);
    let left = number(&after["lease"], "seconds_left");
    assert!((left - (60.0 - leased.elapsed().as_secs_f64())).abs() < 1.0, "the lease: {left} s");
}
