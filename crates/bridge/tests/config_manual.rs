//! docs/bridge.md names every key and every reason, and its example is valid.

use iosmux_bridge::config::Settings;

const MANUAL: &str = include_str!("../../../docs/bridge.md");

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
