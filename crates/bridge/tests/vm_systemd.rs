//! The whole chain on a Debian with systemd, udev and usbmuxd: a phone is plugged in, nobody does anything, and the VM hears it.
#![cfg(feature = "vm-tests")]
#![allow(clippy::print_stdout, reason = "figures, which the runner asks for with --show-output")]

mod cable;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use cable::bridge::{installed_report, installed_row};
use cable::vm::{Vm, device_here};
use cable::{BRIDGE, Desk, PATIENCE, configuration, on_usb, ports, until};
use iosmux_fakephone::usb::{UsbPhone, UsbPhoneConfig};
use iosmux_usb::Mode;

/// Bit 12 of a set of capabilities. Source: Linux, CAP_NET_ADMIN.
const NET_ADMIN: &str = "0000000000001000";
/// Bit 13 as well. Source: Linux, CAP_NET_RAW.
const NET_ADMIN_AND_RAW: &str = "0000000000003000";
const UNIT: &str = "iosmux-bridge.service";
const TUNNELD: &str = "iosmux-tunneld.service";

/// Standard output of a program that must be content.
fn said(program: &str, words: &[&str]) -> String {
    let output =
        Command::new(program).args(words).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {words:?}: {}\n{errors}", output.status);
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn property(name: &str) -> String {
    property_of(UNIT, name)
}

fn property_of(unit: &str, name: &str) -> String {
    said("systemctl", &["show", "--value", "--property", name, unit])
}

/// What the kernel says of a process, by key.
fn status(process: &str, key: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line =
        text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_else(|| panic!("{key}\n{text}"));
    line.trim_start_matches(':').trim().to_owned()
}

fn journal() -> String {
    said("journalctl", &["--no-pager", "-b", "-u", UNIT, "-u", TUNNELD, "-u", "usbmuxd.service"])
}

fn configure(more: &str) {
    fs::create_dir_all("/etc/iosmux").unwrap();
    fs::write("/etc/iosmux/bridge.toml", format!("bridge = \"{BRIDGE}\"\n{more}")).unwrap();
}

/// Nothing of ours is root's, and CAP_NET_ADMIN is all that anything of ours has or could get.
fn held() {
    holds_only(UNIT, NET_ADMIN);
}

fn holds_only(unit: &str, capabilities: &str) {
    let group = property_of(unit, "ControlGroup");
    let processes = fs::read_to_string(format!("/sys/fs/cgroup{group}/cgroup.procs")).unwrap();
    assert!(processes.lines().count() >= 1);
    for process in processes.lines() {
        let users = status(process, "Uid");
        assert!(users.split_whitespace().all(|user| user != "0"), "{users}");
        for set in ["CapEff", "CapPrm", "CapBnd", "CapAmb", "CapInh"] {
            let has = status(process, set);
            assert!(has == capabilities || (set != "CapEff" && has == "0000000000000000"), "{set} {has}");
        }
        assert_eq!(status(process, "NoNewPrivs"), "1");
        assert_eq!(status(process, "Seccomp"), "2");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugged_phone_comes_to_the_vm_by_itself_and_goes_back() {
    let desk = Desk::new();
    let mut vm = Vm::new(&desk).await;
    vm.tunneld().await;
    // Ready without a phone and without a file; the file is read when it is there.
    said("systemctl", &["enable", "--now", UNIT]);
    assert_eq!(property("ActiveState"), "active", "{}", journal());
    configure("");
    said("systemctl", &["reload", UNIT]);
    let plugged = Instant::now();
    let phone = desk.phone(0, &[]).await;
    let (row, joined) = until("joined", 3 * PATIENCE, || installed_row(0, "joined")).await;
    println!("plug to joined {joined:?}\n{row:#}");
    let (listed, _) = vm.until(0, "catalogue-known", PATIENCE).await;
    println!("plug to listed in the VM {:?}\n{listed:#}", plugged.elapsed());

    // The chain: udev's name, the configuration, the unit's state.
    let port = row["interface"]["name"].as_str().unwrap();
    assert!(port.starts_with("iosmux"), "{row:#}");
    assert_eq!(ports().into_iter().collect::<Vec<_>>(), [port]);
    assert_eq!(configuration(0), Some(("5".into(), "5".into())));
    assert_eq!((property("ActiveState"), property("NRestarts")), ("active".into(), "0".into()));
    assert!(property("StatusText").contains('1'), "{}", property("StatusText"));
    held();

    // Debian's usbmuxd is there, wants the phone, and is refused; the phone stays where it is.
    assert_eq!(said("systemctl", &["is-active", "usbmuxd.service"]), "active");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(installed_row(0, "joined").is_some(), "{:#}\n{}", installed_report(), journal());
    assert!(journal().contains("LIBUSB_ERROR_ACCESS"), "{}", journal());

    // Stopped, the phone is usbmuxd's again, and stays so though it was plugged in anew; started, it is the bridge's.
    said("systemctl", &["stop", UNIT]);
    assert_eq!(property("Result"), "success", "{}", journal());
    until("it is in mode 1", PATIENCE, || (phone.state().borrow().mode == 1).then_some(())).await;
    let back = || configuration(0).filter(|(_, configurations)| configurations == "4");
    until("it is back", PATIENCE, back).await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(
        (property("ActiveState"), phone.state().borrow().mode),
        ("inactive".into(), 1),
        "{}",
        journal()
    );
    assert!(ports().is_empty());
    said("systemctl", &["start", UNIT]);
    until("joined again", 2 * PATIENCE, || installed_row(0, "joined")).await;
    held();

    // The unit leaves our own driver what it needs.
    configure("driver = \"userspace\"\n");
    said("systemctl", &["restart", UNIT]);
    let (row, _) = until("joined by our own driver", 2 * PATIENCE, || installed_row(0, "joined")).await;
    assert_eq!(row["interface"]["driver"], "userspace", "{row:#}\n{}", journal());
    let (listed, _) = vm.until(0, "catalogue-known", PATIENCE).await;
    println!("listed by way of our own driver\n{listed:#}");
    held();

    phone.unplug().await.unwrap();
    until("off the bus", PATIENCE, || on_usb(0).is_none().then_some(())).await;
    phone.plug().await.unwrap();
    let (_, again) = until("joined after a replug", 2 * PATIENCE, || installed_row(0, "joined")).await;
    println!("replug to joined {again:?}");
    assert_eq!(property("NRestarts"), "0", "{}", journal());
    println!("{}", journal());
}

/// The daemon would choose the same: it is stopped, so nobody but the rule can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rule_alone_chooses_the_configuration_of_a_phone_in_mode_3() {
    let desk = Desk::new();
    said("systemctl", &["stop", UNIT]);
    let config = UsbPhoneConfig { mode: Mode::Ncm, ..desk.phone_config(0, &[]) };
    let _phone = UsbPhone::start(config).await.unwrap();
    let (_, chosen) = until("the rule chooses", PATIENCE, || {
        configuration(0).filter(|both| *both == ("5".into(), "5".into()))
    })
    .await;
    println!("plug to chosen {chosen:?}");
    assert_eq!(property("ActiveState"), "inactive");
}

/// A drop-in, gone with the test.
struct DropIn(&'static str);

impl DropIn {
    fn new(lines: &str) -> Self {
        let folder = "/run/systemd/system/iosmux-bridge.service.d";
        fs::create_dir_all(folder).unwrap();
        fs::write(format!("{folder}/test.conf"), format!("[Service]\n{lines}\n")).unwrap();
        said("systemctl", &["daemon-reload"]);
        Self(folder)
    }
}

impl Drop for DropIn {
    fn drop(&mut self) {
        fs::remove_dir_all(self.0).unwrap();
        said("systemctl", &["daemon-reload"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_watchdog_leaves_a_daemon_that_lives_alone_and_replaces_one_that_hangs() {
    const WATCHDOG: Duration = Duration::from_secs(8);
    let desk = Desk::new();
    configure("");
    let _watchdog = DropIn::new(&format!("WatchdogSec={}", WATCHDOG.as_secs()));
    said("systemctl", &["restart", UNIT]);
    let _phone = desk.phone(0, &[]).await;
    until("joined", 3 * PATIENCE, || installed_row(0, "joined")).await;
    let first = property("MainPID");
    tokio::time::sleep(WATCHDOG * 5 / 2).await;
    assert_eq!(
        (property("ActiveState"), property("MainPID")),
        ("active".into(), first.clone()),
        "{}",
        journal()
    );
    assert!(installed_row(0, "joined").is_some(), "{:#}\n{}", installed_report(), journal());

    said("systemctl", &["kill", "--kill-whom=main", "--signal=SIGSTOP", UNIT]);
    // The state file that tells of it is the next daemon's: the first one's goes with its runtime directory.
    let next = || installed_report()["pid"].as_u64().filter(|pid| pid.to_string() != first);
    let (pid, replaced) = until("another daemon", WATCHDOG + 2 * PATIENCE, next).await;
    println!("hangs to replaced {replaced:?}");
    until("joined again", 2 * PATIENCE, || installed_row(0, "joined")).await;
    assert_eq!((property("NRestarts"), property("MainPID")), ("1".into(), pid.to_string()), "{}", journal());
    assert!(journal().contains("Watchdog timeout"), "{}", journal());
    said("systemctl", &["stop", UNIT]);
}

/// On the same computer, where phones are used without a VM.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tunnel_daemons_unit_is_nobody_with_two_rights_and_keeps_a_tunnel() {
    let desk = Desk::new();
    configure("");
    said("systemctl", &["restart", UNIT]);
    let config =
        format!("interfaces = [\"{BRIDGE}\"]\nhost-name = \"iosmux-test\"\n[socket]\ngroups = [20]\n");
    fs::write("/etc/iosmux/tunneld.toml", config).unwrap();
    said("systemctl", &["start", TUNNELD]);
    let _phone = desk.phone(0, &[]).await;
    until("joined", 3 * PATIENCE, || installed_row(0, "joined")).await;

    let began = Instant::now();
    let row = loop {
        let row = device_here(0).await;
        if let Some(row) = row.clone().filter(|row| row["state"] == "catalogue-known") {
            break row;
        }
        assert!(began.elapsed() < 3 * PATIENCE, "{row:#?}\n{}", journal());
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    println!("joined to listed {:?}\n{row:#}", began.elapsed());
    holds_only(TUNNELD, NET_ADMIN_AND_RAW);
    // systemd's link to a directory that is nobody else's, and the phone's record in it.
    let records = fs::canonicalize("/var/lib/iosmux-tunneld").unwrap();
    assert_eq!(records.to_str(), Some("/var/lib/private/iosmux-tunneld"));
    let files = fs::read_dir(&records).unwrap();
    let modes: Vec<_> = files.map(|file| file.unwrap().metadata().unwrap().mode() & 0o777).collect();
    assert!(modes.len() >= 2 && modes.iter().all(|mode| *mode == 0o600), "{modes:?}");
    // It can give the socket to no group: who asks is checked instead.
    assert_eq!(fs::metadata("/run/iosmux-tunneld/tunneld.sock").unwrap().mode() & 0o777, 0o666);

    said("systemctl", &["restart", TUNNELD]);
    until("paired still", 3 * PATIENCE, || property_of(TUNNELD, "StatusText").contains('1').then_some(()))
        .await;
    said("systemctl", &["stop", TUNNELD]);
    assert_eq!(property_of(TUNNELD, "Result"), "success", "{}", journal());
    assert!(!cable::exists("iosmux-tun0"));
}
