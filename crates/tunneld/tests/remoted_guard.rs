//! The suspension guard on a process of our own: whatever happens, it runs again.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use iosmux_tunneld::remoted::{Shared, SuspendError, Suspension, Watchdog};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Tells a second run of this test program to be the one that is killed, and which process it suspends.
const HOLDER: &str = "IOSMUX_TEST_HOLDER_OF";
/// Longer than any test.
const LONG: Duration = Duration::from_secs(30);
/// How soon a process must run again.
const SOON: Duration = Duration::from_secs(5);

/// An ordinary process that ends with the test.
struct Sleeper(Child);

impl Sleeper {
    fn start() -> Self {
        Self(Command::new("sleep").arg("60").spawn().unwrap())
    }

    fn pid(&self) -> Pid {
        pid(&self.0)
    }

    /// Waits until it is suspended, or not.
    fn becomes(&self, suspended: bool, within: Duration) -> bool {
        let end = Instant::now() + within;
        loop {
            if is_suspended(self.pid()) == suspended {
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}

/// By `ps`, which is everywhere.
fn is_suspended(process: Pid) -> bool {
    let output = Command::new("ps").args(["-o", "state=", "-p", &process.to_string()]).output().unwrap();
    let state = String::from_utf8(output.stdout).unwrap();
    assert!(!state.trim().is_empty(), "ps says nothing of process {process}");
    state.trim().starts_with('T')
}

fn watchdog() -> Watchdog {
    Watchdog::program(env!("CARGO_BIN_EXE_iosmux-tunneld"))
}

fn suspend(sleeper: &Sleeper, longest: Duration) -> Suspension {
    Suspension::begin(&watchdog(), sleeper.pid(), longest).unwrap()
}

#[test]
fn suspended_while_held_and_resumed_on_drop() {
    let sleeper = Sleeper::start();
    let suspension = suspend(&sleeper, LONG);
    assert!(sleeper.becomes(true, SOON));
    std::thread::sleep(Duration::from_millis(300));
    assert!(is_suspended(sleeper.pid()), "it stays so");
    drop(suspension);
    assert!(sleeper.becomes(false, SOON));
}

#[test]
fn who_shares_a_suspension_ends_it_last() {
    static SHARED: Shared = Shared::new();
    let sleeper = Sleeper::start();
    let begin = || Suspension::begin(&watchdog(), sleeper.pid(), LONG);
    let first = SHARED.join(begin).unwrap();
    let second = SHARED.join(|| panic!("it is suspended already")).unwrap();
    assert!(sleeper.becomes(true, SOON));
    drop(first);
    std::thread::sleep(Duration::from_millis(300));
    assert!(is_suspended(sleeper.pid()), "somebody needs it still");
    drop(second);
    assert!(sleeper.becomes(false, SOON));
    let again = SHARED.join(begin).unwrap();
    assert!(sleeper.becomes(true, SOON));
    drop(again);
    assert!(sleeper.becomes(false, SOON));
}

#[test]
fn resumed_after_the_longest_time_although_it_is_held() {
    let sleeper = Sleeper::start();
    let begin = Instant::now();
    let suspension = suspend(&sleeper, Duration::from_millis(700));
    assert!(sleeper.becomes(true, SOON));
    assert!(sleeper.becomes(false, SOON));
    assert!(begin.elapsed() >= Duration::from_millis(700), "{:?}", begin.elapsed());
    drop(suspension);
}

/// The same function plays the process that is killed, in a second run of this program.
#[test]
fn resumed_after_our_sigkill() {
    if let Ok(process) = std::env::var(HOLDER) {
        let process = Pid::from_raw(process.parse().unwrap());
        let _held = Suspension::begin(&watchdog(), process, LONG).unwrap();
        println!("held");
        std::thread::sleep(LONG);
        panic!("nobody killed the holder");
    }
    let sleeper = Sleeper::start();
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "resumed_after_our_sigkill", "--nocapture"])
        .env(HOLDER, sleeper.pid().to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("held")), "the holder suspends");
    assert!(sleeper.becomes(true, SOON));
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!(sleeper.becomes(false, SOON));
}

#[test]
fn resumed_after_a_stop_of_our_own() {
    let sleeper = Sleeper::start();
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "resumed_after_our_sigkill", "--nocapture"])
        .env(HOLDER, sleeper.pid().to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("held")), "the holder suspends");
    // What ends a service ends the whole group: the watchdog is no part of it.
    kill(pid(&holder), Signal::SIGTERM).unwrap();
    holder.wait().unwrap();
    assert!(sleeper.becomes(false, SOON));
}

#[test]
fn a_watchdog_ignores_signals_until_its_work_is_done() {
    let sleeper = Sleeper::start();
    let suspension = suspend(&sleeper, LONG);
    assert!(sleeper.becomes(true, SOON));
    let output =
        Command::new("ps").args(["-o", "pid=,args=", "--ppid", &std::process::id().to_string()]).output();
    let listing = String::from_utf8(output.unwrap().stdout).unwrap();
    let ours = format!("--process {} ", sleeper.pid());
    let watchdog = listing.lines().find(|line| line.contains(&ours)).expect("a watchdog is a child of ours");
    let watchdog = Pid::from_raw(watchdog.split_whitespace().next().unwrap().parse().unwrap());
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        kill(watchdog, signal).unwrap();
    }
    std::thread::sleep(Duration::from_millis(200));
    assert!(is_suspended(sleeper.pid()), "and resumes nothing because of them");
    drop(suspension);
    assert!(sleeper.becomes(false, SOON));
}

#[test]
fn without_a_watchdog_nothing_is_suspended() {
    let sleeper = Sleeper::start();
    for program in ["/nonexistent/iosmux-tunneld", "true"] {
        let error =
            Suspension::begin(&Watchdog::program(Path::new(program)), sleeper.pid(), LONG).unwrap_err();
        assert!(matches!(error, SuspendError::Watchdog(_)), "{program}: {error}");
        assert!(!is_suspended(sleeper.pid()), "{program}");
    }
}

#[test]
fn a_process_that_is_gone_is_an_error() {
    let sleeper = Sleeper::start();
    let gone = sleeper.pid();
    drop(sleeper);
    let error = Suspension::begin(&watchdog(), gone, LONG).unwrap_err();
    assert!(matches!(error, SuspendError::Stop { process, .. } if process == gone), "{error}");
}
