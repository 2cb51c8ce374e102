//! What is wrong with a configuration is told all at once, with its place.

use iosmux_bridge::config::Settings;

const WRONG: &str = r#"allow = ["00008020-0000000000001234", "000080200000000000001234", "../x"]
bridge = "a bridge with a long name"
mode = 1
on-stop = "forget"
driver = "ndis"
state-file = "bridge.json"

[device."00008020-0000000000001234"]
mode = 300

[device.phone]
bridge = ""
"#;

#[test]
fn everything_is_told_at_once() {
    let error = Settings::from_text(Some("bridge.toml".to_owned()), WRONG).unwrap_err();
    insta::assert_snapshot!(error);
}

#[test]
fn what_is_no_configuration_is_told_where_that_is_seen() {
    let told: Vec<String> =
        ["brigde = \"br0\"", "allow = \"x\"", "allow = []", "isolated = 1", "[device.\"\"]\nhub = 1", "= 3"]
            .iter()
            .map(|text| Settings::from_text(Some("bridge.toml".to_owned()), text).unwrap_err().to_string())
            .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn settings_are_written_as_a_file_that_makes_them() {
    let texts = [
        "",
        "on-stop = \"keep\"\ndriver = \"userspace\"\nisolated = true\nmode = 5\nstate-file = \"off\"",
        "bridge = \"br0\"\n[device.\"00008020-0000000000ABCDEF\"]\nmode = 4\n",
    ];
    for text in texts {
        let settings = Settings::from_text(None, text).unwrap();
        assert_eq!(Settings::from_text(None, &settings.to_string()).unwrap(), settings);
    }
}
