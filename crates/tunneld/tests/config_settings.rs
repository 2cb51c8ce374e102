//! What a configuration means.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use iosmux_link::Selection;
use iosmux_tunnel::Transport;
use iosmux_tunneld::config::{Environment, Overrides, Pairing, Settings, Socket, SuspendRemoted};
use iosmux_usb::Udid;

fn environment() -> Environment {
    Environment {
        user: 1000,
        host_name: Some("mac.local".to_owned()),
        state_directory: None,
        runtime_directory: None,
        xdg_state_home: None,
        xdg_runtime_dir: Some("/run/user/1000".into()),
        home: Some("/people/ada".into()),
        user_id: |name| (name == "ada").then_some(1001),
        group_id: |name| (name == "phones").then_some(990),
    }
}

fn settings_with(text: &str, overrides: &Overrides) -> Settings {
    Settings::from_text(None, text, overrides, &environment()).unwrap()
}

fn settings(text: &str) -> Settings {
    settings_with(text, &Overrides::default())
}

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn an_empty_file_gives_the_defaults() {
    let expected = Settings {
        socket: Some(Socket {
            path: "/run/user/1000/iosmux-tunneld.sock".into(),
            users: [0, 1000].into(),
            groups: [].into(),
        }),
        ..Settings::new("/people/ada/.local/state/iosmux-tunneld", "mac.local")
    };
    assert_eq!(settings(""), expected);
    assert_eq!(settings("# nothing\n[socket]\n"), expected);
    assert_eq!(expected.interfaces, Selection::AllButTunnels);
    assert_eq!(expected.listen, addresses(&["127.0.0.1:49151"]));
    assert_eq!(expected.agent, Some("127.0.0.1:60105".parse().unwrap()));
    assert_eq!((expected.pair, expected.suspend_remoted), (Pairing::Ask, SuspendRemoted::Never));
    assert!(expected.allow.is_none() && expected.transports.is_empty());
}

const FULL: &str = r#"
interfaces = ["virbr0", "en*"]
listen = ["127.0.0.1:0", "[::1]:49151", "192.0.2.1:49151"]
listen-anyway = true
hosts = ["Lab-1.example"]
agent = "off"
upstreams = ["http://127.0.0.1:49152"]
state-dir = "/srv/iosmux"
pair = "never"
allow = ["00008020-0000000000001234", "0123456789ABCDEF0123456789abcdef01234567"]
peers = ["fe80::1%eth0", "[fe80::1%eth1]:1234"]
host-name = "desk"
trust-deadline = 30
capture = "/var/tmp/iosmux"
suspend-remoted = "auto"

[socket]
path = "/run/iosmux.sock"
users = ["ada", 501]
groups = ["phones", "20"]

[device.000080200000000000001234]
transport = "quic"

[device."0123456789abcdef0123456789abcdef01234567"]
"#;

#[test]
fn every_key_has_its_meaning() {
    let full = settings(FULL);
    assert!(matches!(&full.interfaces, Selection::Fitting(patterns) if patterns.len() == 2));
    assert_eq!(full.listen, addresses(&["127.0.0.1:0", "[::1]:49151", "192.0.2.1:49151"]));
    assert_eq!((full.agent, full.hosts.as_slice()), (None, &["lab-1.example".to_owned()][..]));
    assert_eq!(full.upstreams, ["http://127.0.0.1:49152"]);
    assert_eq!((full.state_dir.clone(), full.pair), (PathBuf::from("/srv/iosmux"), Pairing::Never));
    let peers: Vec<_> = full.peers.iter().map(ToString::to_string).collect();
    assert_eq!(peers, ["[fe80::1%eth0]:58783", "[fe80::1%eth1]:1234"]);
    assert_eq!((full.host_name.as_str(), full.trust_deadline), ("desk", Duration::from_secs(30)));
    assert_eq!(full.capture, Some("/var/tmp/iosmux".into()));
    assert_eq!(full.suspend_remoted, SuspendRemoted::Auto);
    let socket = full.socket.unwrap();
    assert_eq!(socket.path, PathBuf::from("/run/iosmux.sock"));
    assert_eq!((socket.users, socket.groups), ([0, 501, 1000, 1001].into(), [20, 990].into()));
}

#[test]
fn phones_are_known_by_udid_with_and_without_dash() {
    let Settings { allow: Some(allow), transports, .. } = settings(FULL) else { panic!("all are allowed") };
    let udid = |text: &str| text.parse::<Udid>().unwrap();
    for text in ["00008020-0000000000001234", "000080200000000000001234"] {
        assert!(allow.contains(&udid(text)));
        assert_eq!(transports.get(&udid(text)), Some(&Transport::Quic));
    }
    let older = "0123456789abcdef0123456789abcdef01234567";
    assert!(allow.contains(&udid(older)) && allow.contains(&udid(&older.to_uppercase())));
    assert_eq!((allow.len(), transports.len()), (2, 1));
}

#[test]
fn options_win_over_the_file() {
    let overrides = Overrides {
        interfaces: vec!["br0".to_owned()],
        state_dir: Some("/srv/other".into()),
        listen: vec!["127.0.0.1:1".to_owned(), "[::1]:2".to_owned()],
    };
    let both = settings_with(FULL, &overrides);
    assert_eq!(both.interfaces.names(), ["br0"]);
    assert_eq!(both.state_dir, PathBuf::from("/srv/other"));
    assert_eq!(both.listen, addresses(&["127.0.0.1:1", "[::1]:2"]));
    assert_eq!(both.host_name, "desk", "the rest is the file's");
}

#[test]
fn hosts_and_upstreams_are_kept_in_the_form_in_which_they_are_compared() {
    let text = r#"
hosts = ["LAB-1", "192.0.2.7", "[FD00::7]", "fd00:0:0::8"]
upstreams = ["http://LAB", "http://[FE80::1%Eth0]:80/"]
"#;
    let kept = settings(text);
    assert_eq!(kept.hosts, ["lab-1", "192.0.2.7", "fd00::7", "fd00::8"]);
    assert_eq!(kept.upstreams, ["http://lab:49151", "http://[fe80::1%Eth0]:80"]);
    let most: String = (1..=32).map(|port| format!("\"http://lab:{port}\",")).collect();
    assert_eq!(settings(&format!("upstreams = [{most}]")).upstreams.len(), 32);
}

#[test]
fn what_holds_after_the_next_start_only_is_named() {
    let start = settings("");
    assert_eq!(
        start.only_at_start(&settings("pair = \"never\"\ninterfaces = [\"en*\"]\nhost-name = \"x\"\n")),
        [""; 0]
    );
    let keys = ["listen", "hosts", "agent", "upstreams", "socket", "capture"];
    assert_eq!(start.only_at_start(&settings(FULL)), keys);
}

#[test]
fn a_relative_state_dir_is_right_on_the_command_line() {
    let overrides = Overrides { state_dir: Some("state".into()), ..Overrides::default() };
    let here = std::env::current_dir().unwrap();
    assert_eq!(settings_with("", &overrides).state_dir, here.join("state"));
}

#[test]
fn settings_are_shown_as_a_file_that_makes_them() {
    for text in ["", FULL, "[socket]\npath = \"off\"\n"] {
        let settings = settings(text);
        assert_eq!(
            Settings::from_text(None, &settings.to_string(), &Overrides::default(), &environment()).unwrap(),
            settings
        );
    }
    insta::assert_snapshot!(settings(FULL).to_string());
}
