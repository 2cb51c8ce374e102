//! nixos-module/files as systemd and udev read them.
#![cfg(feature = "vm-tests")]

use std::process::Command;

/// Both streams of a program that must end well.
fn said(program: &str, words: &[&str]) -> String {
    let output =
        Command::new(program).args(words).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{program} {words:?}: {}\n{text}", output.status);
    text
}

#[test]
fn udev_finds_nothing_wrong_with_the_rules() {
    let text = said("udevadm", &["verify", "/usr/lib/udev/rules.d/79-iosmux.rules"]);
    assert!(text.contains("Success: 1") || text.contains("Success:  1"), "{text}");
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    for name in ["iosmux-bridge.service", "iosmux-tunneld.service"] {
        let unit = std::fs::read_to_string(format!("/usr/lib/systemd/system/{name}")).unwrap();
        // The programs are not in every guest.
        let started = unit.lines().find(|line| line.starts_with("ExecStart=")).unwrap();
        let copy = format!("/run/{name}");
        std::fs::write(&copy, unit.replace(started, "ExecStart=/usr/bin/true")).unwrap();
        let text = said("systemd-analyze", &["verify", &copy]);
        assert!(!text.contains("iosmux"), "{text}");
    }
}

#[test]
fn the_unit_is_rated_one_and_a_half_or_better() {
    let text =
        said("systemd-analyze", &["security", "--no-pager", "--threshold=15", "iosmux-bridge.service"]);
    assert!(text.contains("Overall exposure level for iosmux-bridge.service"), "{text}");
}

#[test]
fn sysusers_made_the_group() {
    let groups = std::fs::read_to_string("/etc/group").unwrap();
    assert!(groups.lines().any(|line| line.starts_with("iosmux:")), "{groups}");
}
