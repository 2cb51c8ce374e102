//! What `iosmux status` and `iosmux doctor` say beside a daemon with a phone, and without either.
#![cfg(feature = "net-tests")]

mod support;

use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Held, Installed, json, text};

const UDID: &str = "00008020-0000000000001234";

/// Runs a command of iosmux in a namespace of a demo that stays up.
fn inside(installed: &Installed, held: &Held, name: &str, arguments: &str) -> Output {
    installed.run(&format!("exec {} $iosmux {arguments}", held.join(name)))
}

/// The hops of a doctor's JSON with their verdicts.
fn hops(result: &Value) -> Vec<(&str, &str)> {
    let checks = result["checks"].as_array().unwrap().iter();
    checks.map(|check| (check["hop"].as_str().unwrap(), check["verdict"].as_str().unwrap())).collect()
}

#[test]
fn a_phone_with_a_tunnel_is_ready() {
    let installed = Installed::new();
    let held = Held::start(&installed, "");
    let shown = inside(&installed, &held, "vm", "status");
    let table = text(&shown.stdout);
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    let row = table.lines().find(|line| line.contains(UDID)).unwrap_or_else(|| panic!("{table}"));
    for cell in ["iPhone11,6", "17.0.3", "ready", "iosmux-tun0 [fd"] {
        assert!(row.contains(cell), "{row}");
    }
    let status = json(&inside(&installed, &held, "vm", "status --json"));
    assert_eq!(status["schema"], "iosmux-status/1");
    assert_eq!(status["devices"][0]["udid"], UDID);
    assert_eq!(status["devices"][0]["state"], "catalogue-known");
    assert_eq!(status["devices"][0]["tunnel"]["address"], held.json["phones"][0]["tunnel"]["address"]);

    let told = inside(&installed, &held, "vm", "doctor");
    assert!(text(&told.stdout).ends_with("Every hop works."), "{}", text(&told.stdout));
    assert_eq!(told.status.code(), Some(0));
    let examined = json(&inside(&installed, &held, "vm", "doctor --json"));
    assert_eq!(examined["schema"], "iosmux-doctor/1");
    let works = ["system", "tunnels", "interfaces", "daemon", "search", "phone"].map(|hop| (hop, "ok"));
    assert_eq!(hops(&examined), works, "{examined}");
    assert!(examined["first_broken"].is_null());
    assert_eq!(held.end("TERM"), Some(0));
}

/// The daemon is the VM's: the host has a loopback of its own.
#[test]
fn without_a_daemon_both_say_how_to_start_one() {
    let installed = Installed::new();
    let held = Held::start(&installed, "");
    for arguments in ["status", "status --json", "status --watch"] {
        let status = inside(&installed, &held, "host", arguments);
        assert_eq!(status.status.code(), Some(1));
        assert_eq!(text(&status.stdout), "");
        assert!(text(&status.stderr).contains("no daemon answers at http://127.0.0.1:49151"));
        assert!(text(&status.stderr).contains("iosmux-tunneld up"));
    }
    // A phone's link has an address, so that the daemon is the first that is missing.
    let told = inside(&installed, &held, "phone", "doctor");
    assert_eq!(told.status.code(), Some(1));
    let conclusion = text(&told.stdout).lines().last().unwrap_or_default().to_owned();
    assert!(conclusion.starts_with("The first broken hop is daemon: none answers at http"), "{conclusion}");
    assert_eq!(held.end("TERM"), Some(0));
}

#[test]
fn a_phone_that_went_away_is_missed() {
    let installed = Installed::new();
    let mut held = Held::start(&installed, "");
    // Nobody says goodbye: the interface is gone.
    let cut = format!("exec {} ip link set eth0 down", held.join("vm"));
    assert!(installed.run(&cut).status.success(), "this test needs iproute2's ip");
    let start = Instant::now();
    let gone = loop {
        let status = inside(&installed, &held, "vm", "status");
        if status.status.code() == Some(3) {
            break status;
        }
        assert!(start.elapsed() < Duration::from_secs(15), "still there: {}", text(&status.stdout));
        std::thread::sleep(Duration::from_millis(200));
    };
    assert!(text(&gone.stdout).contains("gone"), "{}", text(&gone.stdout));
    assert!(text(&gone.stderr).contains("sees no phone"), "{}", text(&gone.stderr));
    let told = inside(&installed, &held, "vm", "doctor --json");
    assert_eq!(told.status.code(), Some(1));
    let examined: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(examined["first_broken"], "interfaces", "{examined}");
    assert!(hops(&examined).contains(&("phone", "fail")), "{examined}");
    assert!(held.is_running());
    assert_eq!(held.end("TERM"), Some(0));
}

#[test]
fn watching_shows_it_at_once_and_goes_on() {
    let installed = Installed::new();
    let held = Held::start(&installed, "");
    let watched =
        installed.run(&format!("{} timeout 3 $iosmux status --watch --json || true", held.join("vm")));
    let lines = text(&watched.stdout);
    let first: Value = serde_json::from_str(lines.lines().next().unwrap_or_default()).unwrap();
    assert_eq!(first["devices"][0]["udid"], UDID);
    assert_eq!(held.end("TERM"), Some(0));
}

#[test]
fn an_address_that_is_none_is_bad_usage() {
    let installed = Installed::new();
    for arguments in ["status --url 127.0.0.1", "doctor --url https://localhost"] {
        assert_eq!(installed.run(&format!("exec $iosmux {arguments}")).status.code(), Some(2));
    }
    let from_variable = installed.run("IOSMUX_TUNNELD_URL=http://127.0.0.1:9 exec $iosmux status");
    assert!(
        text(&from_variable.stderr).contains("at http://127.0.0.1:9:"),
        "{}",
        text(&from_variable.stderr)
    );
}

/// An ordinary user needs no rights to look.
#[test]
fn a_computer_without_interfaces_is_told_so() {
    let output = Installed::new().run("exec unshare --user --map-current-user --net $iosmux doctor --json");
    assert_eq!(output.status.code(), Some(1));
    let examined: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(examined["first_broken"], "interfaces", "{examined}");
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn packages_get_completions_and_a_manual_page() {
    let installed = Installed::new();
    let completions = installed.run("exec $iosmux completions bash");
    assert!(text(&completions.stdout).contains("complete -F _iosmux"), "{}", text(&completions.stderr));
    let manual = installed.run("exec $iosmux man");
    for words in [".TH iosmux 1", ".SH \"DEMO\"", ".SH \"STATUS\"", ".SH \"DOCTOR\""] {
        assert!(text(&manual.stdout).contains(words), "{words}");
    }
}
