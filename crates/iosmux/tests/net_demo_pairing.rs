//! The demo's pairing as people meet it: records, and every way in which a phone does not trust the VM.
#![cfg(feature = "net-tests")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use support::{Installed, json, text};

/// The line of the step that pairs.
fn pair_step(stderr: &[u8]) -> String {
    let steps = text(stderr);
    let step = steps.lines().find(|line| line.contains(" ms ") && line.contains(" pair "));
    step.unwrap_or_else(|| panic!("no such step: {steps}")).to_owned()
}

/// Runs the demo, which must fail for want of trust, and gives its last line.
fn not_paired(installed: &Installed, arguments: &str) -> String {
    let output = installed.run(&format!("exec $iosmux demo --json {arguments}"));
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{errors}");
    assert_eq!(text(&output.stdout), "");
    errors.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn the_second_run_uses_the_record_of_the_first() {
    let installed = Installed::new();
    let demo =
        |phones: u8| installed.run(&format!("exec $iosmux demo --json --state-dir state --phones {phones}"));
    let first = demo(1);
    json(&first);
    assert!(pair_step(&first.stderr).ends_with("1 paired"), "{}", text(&first.stderr));
    let second = demo(1);
    json(&second);
    assert!(pair_step(&second.stderr).ends_with("verified from the record"), "{}", text(&second.stderr));
    let third = demo(2);
    json(&third);
    let step = pair_step(&third.stderr);
    assert!(step.ends_with("1 paired, 1 verified from their records"), "{step}");
    for folder in ["state", "state/vm", "state/phone", "state/phone2"] {
        let mode = fs::metadata(installed.path(folder)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{folder}");
    }
}

#[test]
fn nothing_is_kept_unless_asked_for() {
    let installed = Installed::new();
    for _ in 0..2 {
        let output = installed.run("exec env HOME=$PWD TMPDIR=$PWD $iosmux demo --json");
        json(&output);
        assert!(pair_step(&output.stderr).ends_with("1 paired"), "{}", text(&output.stderr));
    }
    let left: Vec<_> =
        fs::read_dir(installed.path(".")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["iosmux"]);
}

#[test]
fn a_phone_that_forgot_the_vm_is_paired_again() {
    let installed = Installed::new();
    json(&installed.run("exec $iosmux demo --json --state-dir state"));
    let again = installed.run("rm state/phone/peer-*; exec $iosmux demo --json --state-dir state");
    json(&again);
    assert!(pair_step(&again.stderr).ends_with("1 paired"), "{}", text(&again.stderr));
}

#[test]
fn another_phone_under_the_same_name_is_refused() {
    let installed = Installed::new();
    json(&installed.run("exec $iosmux demo --json --state-dir state"));
    fs::remove_dir_all(installed.path("state/phone")).unwrap();
    let error = not_paired(&installed, "--state-dir state");
    assert!(error.contains("is not the one that this host paired with"), "{error}");
    assert!(error.contains("forget its pair record and pair again"), "{error}");
}

#[test]
fn a_user_who_does_not_tap_trust_is_told_apart() {
    insta::assert_snapshot!(not_paired(&Installed::new(), "--pair-policy reject"));
}

#[test]
fn a_phone_that_wants_a_pause_says_how_long() {
    insta::assert_snapshot!(not_paired(&Installed::new(), "--pair-policy backoff:8316"));
}

#[test]
fn the_pin_that_a_phone_shows_pairs_and_another_does_not() {
    let installed = Installed::new();
    let right = installed.run("exec $iosmux demo --json --pair-policy pin:012345");
    json(&right);
    assert!(pair_step(&right.stderr).ends_with("1 paired"), "{}", text(&right.stderr));
    insta::assert_snapshot!(not_paired(&installed, "--pair-policy pin:012345 --pin 543210"));
}

#[test]
fn records_that_others_can_read_are_refused() {
    let installed = Installed::new();
    json(&installed.run("exec $iosmux demo --json --state-dir state"));
    fs::set_permissions(installed.path("state/vm"), fs::Permissions::from_mode(0o755)).unwrap();
    let output = installed.run("exec $iosmux demo --json --state-dir state");
    assert_eq!(output.status.code(), Some(4));
    assert!(text(&output.stderr).contains("run chmod 700"), "{}", text(&output.stderr));
}
