//! pymobiledevice3 reads the phone.

use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value, json};

use crate::idevice_crate;
use crate::process::{command, output, peer};
use crate::stage::{Ports, Stage, assert_ports, catalogue, properties};

/// A run of its command line, with a home of its own: it keeps records there.
pub(crate) fn pymobiledevice3(home: &Path, arguments: &[&str]) -> Command {
    let mut command = command(peer("IOSMUX_PEER_PYTHON"));
    command.args(["-m", "pymobiledevice3"]).args(arguments);
    command.env("HOME", home).env("XDG_DATA_HOME", home).env("NO_COLOR", "1").current_dir(home);
    command
}

/// Runs a command that takes `--rsd` and reads the JSON it prints.
fn over_rsd(stage: &Stage, words: &[&str]) -> Value {
    let home = tempfile::tempdir().unwrap();
    let (host, port) = (stage.scoped(), stage.rsd_port().to_string());
    let arguments: Vec<&str> = words.iter().copied().chain(["--rsd", &host, &port]).collect();
    let command = pymobiledevice3(home.path(), &arguments);
    let text = stage.host().run(move || output(command));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

#[test]
fn rsd_info_shows_every_property_and_every_service() {
    let stage = Stage::shared();
    let mut shown = over_rsd(stage, &["remote", "rsd-info"]);
    let mut captured = catalogue();
    assert_eq!(shown["UUID"], stage.ready["uuid"]);
    assert_eq!(shown["Properties"], Value::Object(properties()));
    assert_ports(&ports(&shown));
    assert_eq!(ports(&shown), idevice_crate::ports(stage));
    for message in [&mut shown, &mut captured] {
        without_session(message);
    }
    assert_eq!(shown, captured);
}

/// Ports as it shows them: decimal strings.
fn ports(shown: &Value) -> Ports {
    let port = |entry: &Value| entry["Port"].as_str().unwrap().parse().unwrap();
    shown["Services"].as_object().unwrap().iter().map(|(name, entry)| (name.clone(), port(entry))).collect()
}

/// Takes out what differs from one attach to the next.
fn without_session(message: &mut Value) {
    message.as_object_mut().unwrap().remove("UUID");
    for service in message["Services"].as_object_mut().unwrap().values_mut() {
        service.as_object_mut().unwrap().remove("Port").unwrap();
    }
}

/// Lockdown's name for what RSD calls otherwise.
const RENAMED: [(&str, &str); 2] = [("HardwareModel", "HWModel"), ("ProductVersion", "OSVersion")];

fn expected_lockdown(values: &Map<String, Value>) -> Map<String, Value> {
    let rsd = |key: &str| {
        RENAMED
            .iter()
            .find(|(lockdown, _)| *lockdown == key)
            .map_or(key.to_owned(), |(_, rsd)| (*rsd).to_owned())
    };
    let captured = properties();
    values
        .keys()
        .map(|key| (key.clone(), captured.get(&rsd(key)).cloned().unwrap_or(json!("in no capture"))))
        .collect()
}

#[test]
fn lockdown_info_shows_only_what_was_captured() {
    let shown = over_rsd(Stage::shared(), &["lockdown", "info"]);
    let values = shown.as_object().unwrap();
    assert_eq!(values, &expected_lockdown(values));
    let must =
        ["BuildVersion", "DeviceClass", "HardwareModel", "ProductName", "ProductType", "ProductVersion"];
    for key in must.into_iter().chain(["SerialNumber", "UniqueChipID", "UniqueDeviceID"]) {
        assert!(values.contains_key(key), "{key} is missing in {values:?}");
    }
}

#[test]
fn lockdown_get_answers_one_key() {
    let stage = Stage::shared();
    // The second word is the domain; python's None would be taken as its name.
    let shown = over_rsd(stage, &["lockdown", "get", "", "ProductVersion"]);
    assert_eq!(shown, properties()["OSVersion"]);
}

/// From iOS 27.2 a second RSD connection replaces the first and another host UUID closes every service's listener:
/// pymobiledevice3 gets by because it keeps one connection and one UUID.
#[test]
fn the_rules_of_ios_27_2_let_it_read_twice() {
    let stage = Stage::new(&["--ios", "27.2"]);
    for _ in 0..2 {
        let shown = over_rsd(&stage, &["lockdown", "info"]);
        assert_eq!(shown["ProductVersion"], "27.2");
        assert_eq!(shown["UniqueDeviceID"], properties()["UniqueDeviceID"]);
    }
}
