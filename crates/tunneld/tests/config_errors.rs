//! What people read when a configuration is wrong: the line, the key, what is allowed.

use iosmux_tunneld::config::{Environment, Overrides, Settings};

fn environment() -> Environment {
    Environment {
        user: 1000,
        host_name: Some("mac.local".to_owned()),
        state_directory: None,
        runtime_directory: None,
        xdg_state_home: None,
        xdg_runtime_dir: None,
        home: Some("/people/ada".into()),
        user_id: |name| (name == "ada").then_some(1000),
        group_id: |name| (name == "phones").then_some(990),
    }
}

fn told(text: &str) -> String {
    let file = Some("tunneld.toml".to_owned());
    Settings::from_text(file, text, &Overrides::default(), &environment()).unwrap_err().to_string()
}

#[test]
fn unknown_keys_are_named_with_those_that_exist() {
    insta::assert_snapshot!("unknown_key", told("pair = \"ask\"\nintefaces = [\"eth0\"]\n"));
    insta::assert_snapshot!("unknown_key_in_a_table", told("[socket]\npath = \"/run/x\"\nuids = [0]\n"));
    let device = "[device.\"00008020-0000000000001234\"]\ntransport = \"tcp\"\nmtu = 1\n";
    insta::assert_snapshot!("unknown_key_of_a_device", told(device));
}

#[test]
fn wrong_types_and_wrong_toml_are_named_by_line() {
    insta::assert_snapshot!("wrong_type", told("# phones\nlisten = \"127.0.0.1:1\"\n"));
    insta::assert_snapshot!(
        "wrong_type_in_a_list",
        told("allow = [\n  \"00008020-0000000000001234\",\n  7,\n]\n")
    );
    insta::assert_snapshot!("wrong_account", told("[socket]\nusers = [true]\n"));
    insta::assert_snapshot!("no_toml", told("listen = [\"127.0.0.1:1\"\npair = \"ask\"\n"));
    insta::assert_snapshot!("a_key_twice", told("pair = \"ask\"\npair = \"never\"\n"));
}

#[test]
fn a_registry_that_others_reach_is_refused_with_the_reason() {
    insta::assert_snapshot!("listen", told("listen = [\"127.0.0.1:49151\", \"0.0.0.0:49151\", \"49151\"]\n"));
    insta::assert_snapshot!("agent", told("agent = \"[2001:db8::1]:60105\"\n"));
    insta::assert_snapshot!("agent_at_the_registry", told("agent = \"127.0.0.1:49151\"\n"));
}

#[test]
fn hosts_that_no_request_would_match_are_refused_with_what_to_write() {
    let text = r#"hosts = [
  "lab-1:49151",
  "[fd00::7]:49151",
  "fd00::7",
  "[fd00:0::7]",
  "::ffff:192.0.2.7",
  "fe80::1%eth0",
  "[lab-1]",
  "me@lab-1",
  "lab-1/",
  "münchen",
  ":49151",
  "",
]
"#;
    insta::assert_snapshot!("hosts", told(text));
}

#[test]
fn upstreams_that_can_not_be_asked_are_refused_by_line() {
    let text = r#"upstreams = [
  "http://lab/x",
  "http://lab:99999",
  "http://",
  "https://lab",
  "http://[::1",
  "http://[a@b]",
  "http://lab",
  "http://LAB:49151/",
]
"#;
    insta::assert_snapshot!("upstreams", told(text));
    let many: String = (1..=33).map(|port| format!("\n  \"http://lab:{port}\",")).collect();
    insta::assert_snapshot!("too_many_upstreams", told(&format!("upstreams = [{many}\n]\n")));
}

#[test]
fn udids_are_checked_and_counted_in_every_form() {
    let text = "allow = [\n  \"00008020-0000000000001234\",\n  \"000080200000000000001234\",\n  \"my phone\",\n]\n\
                [device.00008020000000000000123a]\ntransport = \"udp\"\n\
                [device.\"00008020-000000000000123A\"]\n[device.x]\n";
    insta::assert_snapshot!(told(text));
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let text = r#"interfaces = ["en*", "a b"]
listen = ["::1"]
hosts = ["lab one"]
agent = "on"
upstreams = ["127.0.0.1:49152"]
state-dir = "state"
pair = "always"
allow = []
peers = ["fe80::1", "fe80::2%eth0", "[fe80::2%eth0]:58783"]
host-name = " "
trust-deadline = -1
capture = "here"
suspend-remoted = "yes"

[socket]
path = "tunneld.sock"
users = ["ada", 1000, "nobody-here"]
groups = ["phones", "mice"]
"#;
    insta::assert_snapshot!(told(text));
}

#[test]
fn options_are_named_as_options() {
    let overrides = Overrides {
        interfaces: vec!["a/b".to_owned()],
        listen: vec!["0.0.0.0:1".to_owned()],
        state_dir: None,
    };
    let homeless = Environment { home: None, ..environment() };
    let error = Settings::load(None, &overrides, &homeless).unwrap_err();
    insta::assert_snapshot!(error.to_string());
}

#[test]
fn a_file_that_is_missing_or_endless_is_named() {
    let load = |path: &str| Settings::load(Some(path.as_ref()), &Overrides::default(), &environment());
    let missing = load("/nonexistent/tunneld.toml").unwrap_err().to_string();
    assert_eq!(
        missing,
        "the configuration /nonexistent/tunneld.toml can't be read: No such file or directory (os error 2)"
    );
    let endless = load("/dev/zero").unwrap_err().to_string();
    assert_eq!(
        endless,
        "the configuration /dev/zero can't be read: it is longer than 1048576 bytes: it is no configuration"
    );
}
