//! The program from outside: what it prints, and its exit codes.

use std::process::{Command, Output};

fn bridge(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_iosmux-bridge")).args(arguments).output().unwrap()
}

#[test]
fn a_configuration_is_checked_with_its_exit_code() {
    let directory = tempfile::tempdir().unwrap();
    let (good, bad) = (directory.path().join("good.toml"), directory.path().join("bad.toml"));
    std::fs::write(&good, "bridge = \"br0\"\n").unwrap();
    std::fs::write(&bad, "bridge = \"\"\n").unwrap();
    let good = bridge(&["check-config", good.to_str().unwrap()]);
    assert_eq!(good.status.code(), Some(0));
    assert!(String::from_utf8(good.stdout).unwrap().contains("bridge = \"br0\""));
    let json = bridge(&["check-config", "--json", bad.to_str().unwrap()]);
    assert_eq!(json.status.code(), Some(2));
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(
        (&report["schema"], &report["valid"]),
        (&"iosmux-bridge-check-config/1".into(), &false.into())
    );
    assert_eq!(report["problems"][0]["line"], 1);
    assert_eq!(bridge(&["check-config", "/nonexistent.toml"]).status.code(), Some(2));
}

#[test]
fn a_list_has_its_schema() {
    let list = bridge(&["list", "--json"]);
    assert_eq!(list.status.code(), Some(0), "{list:?}");
    let report: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!(report["schema"], "iosmux-bridge-state/1");
    assert!(report["phones"].is_array());
}

#[test]
fn a_list_believes_a_state_file_while_its_daemon_runs() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bridge.json");
    let told_by = |pid: u32| {
        let text = format!(r#"{{"schema":"iosmux-bridge-state/1","version":"0","pid":{pid},"phones":[]}}"#);
        std::fs::write(&path, text).unwrap();
        let list = bridge(&["list", "--json", "--state-file", path.to_str().unwrap()]);
        assert_eq!(list.status.code(), Some(0), "{list:?}");
        serde_json::from_slice::<serde_json::Value>(&list.stdout).unwrap()["pid"].clone()
    };
    let mut daemon = Command::new("sleep").arg("600").spawn().unwrap();
    assert_eq!(told_by(daemon.id()), daemon.id());
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    assert_eq!(told_by(daemon.id()), serde_json::Value::Null);
}

#[test]
fn a_phone_of_a_running_daemon_is_not_restored_and_one_that_it_leaves_out_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bridge.json");
    let udid = "00008020-0000000000001234";
    let restored = |reason: &str| {
        let pid = std::process::id();
        let text = format!(
            r#"{{"schema":"iosmux-bridge-state/1","pid":{pid},"phones":[{{"id":"1-2","udid":"{udid}","state":"held",
            "reason":{{"name":"{reason}","text":"","next_step":""}},"netdevs":[]}}]}}"#
        );
        std::fs::write(&path, text).unwrap();
        let restored = bridge(&["restore", udid, "--state-file", path.to_str().unwrap()]);
        String::from_utf8(restored.stderr).unwrap()
    };
    let taken = restored("bridge-missing");
    assert!(taken.contains("belongs to a running iosmux-bridge"), "{taken}");
    let looked_for = restored("not-allowed");
    assert!(looked_for.contains("no phone with the UDID"), "{looked_for}");
}

#[test]
fn a_udid_that_is_none_is_usage() {
    assert_eq!(bridge(&["switch", "../etc/passwd"]).status.code(), Some(2));
    assert_eq!(bridge(&["up", "--udid", "x"]).status.code(), Some(2));
}

#[test]
fn a_bridge_that_no_interface_can_be_called_is_usage() {
    for name in ["", "a/b", "a name of 16 bytes", ".."] {
        let up = bridge(&["up", "--bridge", name]);
        assert_eq!(up.status.code(), Some(2), "{name}");
        let text = String::from_utf8(up.stderr).unwrap();
        assert!(text.contains("the name of a bridge (1 to 15 bytes) was expected"), "{text}");
    }
}

#[test]
fn packages_get_completions_and_a_manual_page() {
    for shell in ["bash", "zsh", "fish"] {
        let text = bridge(&["completions", shell]).stdout;
        assert!(String::from_utf8(text).unwrap().contains("check-config"), "{shell}");
    }
    let man = String::from_utf8(bridge(&["man"]).stdout).unwrap();
    for words in ["iosmux\\-bridge", "RESTORE", "COMPLETIONS"] {
        assert!(man.contains(words), "{words} is not in {man}");
    }
}
