//! Every reason in words.

use super::*;

fn usbmuxd() -> Vec<Holder> {
    vec![Holder::Process { pid: 812, name: "usbmuxd".to_owned() }]
}

fn all() -> Vec<Reason> {
    let bridge = || "virbr0".to_owned();
    let interface = || "iosmux0".to_owned();
    let fastcharge = || vec![Holder::Driver("apple_mfi_fastcharge".to_owned())];
    let udid = iosmux_usb::Udid::from_serial("../\u{1b}").unwrap_err().to_string();
    let descriptors = iosmux_usb::Descriptors::parse(&[18, 1]).unwrap_err().to_string();
    vec![
        Reason::NotAllowed,
        Reason::NoUdid { problem: udid },
        Reason::Descriptors { problem: descriptors },
        Reason::Denied { what: "/dev/bus/usb/001/004 may not be opened".to_owned() },
        Reason::Denied { what: "joining the bridge needs CAP_NET_ADMIN".to_owned() },
        Reason::TooOld,
        Reason::ModeRefused { mode: 3, answer: Some(4), attempts: 3 },
        Reason::ModeRefused { mode: 3, answer: None, attempts: 3 },
        Reason::NotSwitched { mode: 3, came_back: false, attempts: 3 },
        Reason::NotSwitched { mode: 3, came_back: true, attempts: 3 },
        Reason::NotBack { mode: 3, after: Duration::from_secs(10) },
        Reason::SwitchedBack { mode: 3, by: usbmuxd(), times: 3 },
        Reason::SwitchedBack { mode: 4, by: usbmuxd(), times: 3 },
        Reason::SwitchedBack { mode: 3, by: Vec::new(), times: 3 },
        Reason::ConfigurationTaken { wanted: 5, came: Some(1), by: fastcharge(), times: 3 },
        Reason::ConfigurationTaken { wanted: 5, came: Some(4), by: usbmuxd(), times: 3 },
        Reason::ConfigurationTaken { wanted: 5, came: None, by: Vec::new(), times: 3 },
        Reason::Busy { holders: usbmuxd() },
        Reason::Busy { holders: vec![Holder::Driver("ipheth".to_owned()), Holder::Unknown] },
        Reason::NoNetdev { control: 4 },
        Reason::BridgeMissing { bridge: bridge() },
        Reason::NotABridge { bridge: "eth0".to_owned() },
        Reason::BridgeDown { bridge: bridge() },
        Reason::OtherBridge { interface: interface(), master: 7 },
        Reason::TakenOut { interface: interface(), times: 3 },
        Reason::ForwardDelay { bridge: bridge(), delay: Duration::from_secs(15) },
        Reason::NotForwarding { interface: interface(), state: Some(PortState::Blocking) },
        Reason::NotForwarding { interface: interface(), state: Some(PortState::Disabled) },
        Reason::Failing {
            what: "asking for its mode".to_owned(),
            text: "there was no answer in time".to_owned(),
            attempts: 5,
        },
        Reason::NotRestored { text: "the phone refused".to_owned() },
    ]
}

#[test]
fn every_reason_says_what_came_and_what_to_do() {
    let told: Vec<String> = all()
        .iter()
        .map(|one| {
            let step = one.next_step();
            format!("{}: {}\n    Next: {step}", one.name(), one.text())
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn no_reason_is_left_out() {
    let mut names: Vec<_> = all().iter().map(Reason::name).collect();
    names.sort_unstable();
    names.dedup();
    let source = include_str!("reason.rs");
    let (_, rest) = source.split_once("pub fn name").unwrap();
    let (body, _) = rest.split_once("/// What was expected").unwrap();
    assert_eq!(names.len(), body.matches("=> \"").count(), "each name has an example above");
}
