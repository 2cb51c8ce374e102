//! `iosmux-tunneld check-config`: what people and scripts read, and the exit codes.

use std::fs;
use std::process::{Command, Output};

const GOOD: &str = r#"interfaces = ["virbr0"]
state-dir = "/var/lib/iosmux-tunneld"
host-name = "desk"
allow = ["000080200000000000001234"]
[socket]
path = "off"
[device.000080200000000000001234]
transport = "quic"
"#;
const BAD: &str = "listen = [\"0.0.0.0:49151\"]\npair = \"always\"\n";

fn check(text: Option<&str>, arguments: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    if let Some(text) = text {
        fs::write(directory.path().join("tunneld.toml"), text).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_iosmux-tunneld"));
    command.args(["check-config", "tunneld.toml"]).args(arguments).current_dir(directory.path());
    command.output().unwrap()
}

/// Exit code, stdout, stderr.
fn told(text: Option<&str>, arguments: &[&str]) -> String {
    let output = check(text, arguments);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    format!(
        "exit {}\n-- stdout\n{}-- stderr\n{}",
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr)
    )
}

#[test]
fn a_good_file_is_shown_with_its_defaults() {
    insta::assert_snapshot!(told(Some(GOOD), &[]));
}

#[test]
fn a_good_file_is_shown_as_json() {
    insta::assert_snapshot!(told(Some(GOOD), &["--json"]));
}

#[test]
fn a_bad_file_is_a_usage_error_with_every_problem() {
    insta::assert_snapshot!(told(Some(BAD), &[]));
}

#[test]
fn a_bad_file_is_told_as_json() {
    insta::assert_snapshot!(told(Some(BAD), &["--json"]));
}

#[test]
fn a_missing_file_is_a_usage_error() {
    insta::assert_snapshot!(told(None, &[]));
    assert_eq!(check(None, &["--json"]).status.code(), Some(2));
}

#[test]
fn what_the_registry_would_refuse_later_is_refused_here() {
    for text in ["upstreams = [\"http://lab:99999\"]\n", "hosts = [\"lab-1:49151\"]\n"] {
        assert_eq!(check(Some(text), &[]).status.code(), Some(2), "{text}");
    }
}

#[test]
fn an_empty_file_is_valid() {
    assert_eq!(check(Some(""), &[]).status.code(), Some(0));
}
