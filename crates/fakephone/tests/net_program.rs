//! The program: its ready line, its exit codes, its goodbye.
#![cfg(feature = "net-tests")]

mod support;

use std::process::Stdio;
use std::time::Duration;

use iosmux_mdns::browser::BrowseEvent;
use iosmux_mdns::io::{BrowseConfig, Browser};
use support::{Link, SOON, TRUSTED};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

fn fakephone(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_iosmux-fakephone"))
        .args(arguments)
        .env("RUST_LOG", "warn")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("fakephone starts")
}

fn net<'a>(interface: &'a str, more: &[&'a str]) -> Child {
    fakephone(&[&["net", "--interface", interface, "--catalogue", TRUSTED], more].concat())
}

fn terminate(child: &Child, signal: &str) {
    let id = child.id().expect("running").to_string();
    let status = std::process::Command::new("kill").args(["-s", signal, &id]).status().expect("kill starts");
    assert!(status.success());
}

async fn line(child: &mut Child) -> serde_json::Value {
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let line = timeout(SOON, lines.next_line()).await.expect("a line soon").unwrap().expect("a line");
    serde_json::from_str(&line).expect("JSON")
}

async fn exit(child: Child) -> (Option<i32>, String) {
    let output = timeout(SOON, child.wait_with_output()).await.expect("an end soon").unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn one_json_line_then_goodbye_and_zero() {
    let link = Link::with_address();
    let mut child = net(&link.phone_end(), &["--ios", "27.2", "--udid", "00008020-00000000000000AA"]);
    let mut ready = line(&mut child).await;
    let port = ready["announced_port"].as_u64().expect("a port");
    let mut browser = Browser::start(BrowseConfig::new(link.host_index(), "_remoted._tcp")).unwrap();
    let BrowseEvent::Found(found) = timeout(SOON, browser.next()).await.unwrap().unwrap() else {
        panic!("an instance is found first")
    };
    assert_eq!(u64::from(found.port), port);
    ready["announced_port"] = "a port".into();
    ready["interface"] = "the netdev".into();
    ready["address"] = "its address".into();
    insta::assert_json_snapshot!(ready);
    terminate(&child, "TERM");
    assert_eq!(exit(child).await, (Some(0), String::new()));
    let removed = BrowseEvent::Removed { name: "ncm".to_owned(), sender: found.sender };
    assert_eq!(timeout(SOON, browser.next()).await.unwrap().unwrap(), removed);
}

#[tokio::test]
async fn it_can_be_stopped_while_it_waits_for_a_link() {
    for signal in ["INT", "TERM"] {
        let child = net("nowhere0", &[]);
        // Long enough for its signal handlers, and shorter than anything it could be waiting for.
        tokio::time::sleep(Duration::from_millis(500)).await;
        terminate(&child, signal);
        assert_eq!(exit(child).await, (Some(0), String::new()));
    }
}

#[tokio::test]
async fn usage_errors_are_two_and_a_bad_catalogue_is_one() {
    let net = ["net", "--interface", "x", "--catalogue", "y"];
    let policy = [&net[..], &["--pair-policy", "pin:12345"]].concat();
    for arguments in [&[][..], &["net"], &[&net[..], &["--fault", "z"]].concat(), &policy] {
        let (code, text) = exit(fakephone(arguments)).await;
        assert_eq!(code, Some(2), "{text}");
    }
    for (file, reason) in [
        ("/nonexistent.json", "can't be read"),
        (concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "is no JSON"),
    ] {
        let (code, text) = exit(fakephone(&["net", "--interface", "x", "--catalogue", file])).await;
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains(reason), "{text}");
    }
}

#[tokio::test]
async fn a_cable_needs_the_kernel_s_virtual_host_controller_and_root() {
    let usb = ["usb", "--vhci", "--catalogue", TRUSTED];
    let (code, text) = exit(fakephone(&usb)).await;
    // Missing, or for another user: root here is root of this namespace only.
    let told = match code {
        Some(6) => text.contains("load the kernel's module vhci-hcd"),
        Some(4) => text.contains("only root may plug phones in"),
        _ => false,
    };
    assert!(told, "{code:?}: {text}");
    let without = ["usb", "--catalogue", TRUSTED];
    for wrong in
        [&without[..], &[&usb[..], &["--mode", "2"]].concat(), &[&usb[..], &["--fault", "z"]].concat()]
    {
        assert_eq!(exit(fakephone(wrong)).await.0, Some(2), "{wrong:?}");
    }
    let unknown = [&usb[..], &["--udid", "../../x"]].concat();
    let (code, text) = exit(fakephone(&unknown)).await;
    assert_eq!(code, Some(1));
    assert!(text.contains(r#"a UDID was expected"#) && text.contains(r#""../../x""#), "{text}");
}
