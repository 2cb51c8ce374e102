//! docs/bridge.md names every command, every key and every reason, and its example is valid.

use iosmux_bridge::config::Settings;

const MANUAL: &str = include_str!("../../../docs/bridge.md");

#[test]
fn every_command_is_named() {
    let help =
        std::process::Command::new(env!("CARGO_BIN_EXE_iosmux-bridge")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, rest) = help.split_once("Commands:\n").unwrap();
    let (commands, _) = rest.split_once("\n\n").unwrap();
    let lines = commands.lines().filter(|line| !line.starts_with("   "));
    let names: Vec<&str> = lines.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"completions") && names.contains(&"man"), "{names:?}");
    for name in names.into_iter().filter(|name| *name != "help") {
        assert!(MANUAL.contains(&format!("iosmux-bridge {name}")), "{name} is not named");
    }
}

#[test]
fn every_key_has_a_row() {
    let text = Settings::default().to_string() + "allow = []";
    for line in text.lines() {
        let (key, _) = line.split_once(" = ").unwrap();
        assert!(MANUAL.contains(&format!("\n| `{key}` |")), "{key} has no row");
    }
}

#[test]
fn every_reason_is_explained() {
    let source = include_str!("../src/phone/reason.rs");
    let (_, rest) = source.split_once("pub fn name").unwrap();
    let (body, _) = rest.split_once("/// What was expected").unwrap();
    let names: Vec<&str> = body.split("=> \"").skip(1).filter_map(|part| part.split('"').next()).collect();
    assert!(names.len() > 15);
    for name in names {
        assert!(MANUAL.contains(&format!("`{name}`")), "{name} is not explained");
    }
}

#[test]
fn the_example_is_valid() {
    let (_, rest) = MANUAL.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let settings = Settings::from_text(None, example).unwrap();
    assert_eq!(settings.allow.as_ref().map(std::collections::BTreeSet::len), Some(2));
    let udid = "00008020-0000000000005678".parse().unwrap();
    assert!(settings.device(&udid).isolated);
    assert_eq!((settings.default.bridge.as_str(), settings.device(&udid).bridge.as_str()), ("br0", "virbr0"));
}
