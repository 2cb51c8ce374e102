//! The phone is found by clients that we did not write, and by us beside one of them.

use std::net::Ipv6Addr;

use iosmux_mdns::browser::{BrowseEvent, BrowseMode, Instance};
use iosmux_mdns::io::{BrowseConfig, Browser};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::avahi::Avahi;
use crate::lab::HOST;
use crate::process::{DEADLINE, output};
use crate::pymobiledevice3::pymobiledevice3;
use crate::stage::{Stage, property};

const SERVICE: &str = "_remoted._tcp";

#[test]
fn pymobiledevice3_browses_and_reads_the_phone() {
    let stage = Stage::shared();
    let home = tempfile::tempdir().unwrap();
    let command = pymobiledevice3(home.path(), &["bonjour", "rsd"]);
    let text = stage.host().run(move || output(command));
    let shown: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"));
    let expected = json!([{
        "address": stage.scoped(),
        "port": stage.rsd_port(),
        "UniqueDeviceID": property("UniqueDeviceID"),
        "ProductType": property("ProductType"),
        "OSVersion": property("OSVersion"),
    }]);
    assert_eq!(shown, expected);
}

/// A line of `avahi-browse --parsable`: event; interface; protocol; name; type; domain; host; address; port; text.
fn is(line: &str, event: &str) -> bool {
    line.starts_with(&format!("{event};{HOST};IPv6;ncm;{SERVICE};local"))
}

#[test]
fn avahi_resolves_the_announcement_and_hears_the_goodbye() {
    let mut stage = Stage::new(&[]);
    let avahi = Avahi::start(stage.host(), "other-side");
    let mut browse = avahi.browse(SERVICE);
    let resolved = browse.line("what it resolved", |line| is(line, "="));
    let fields: Vec<&str> = resolved.split(';').collect();
    let [_, _, _, _, _, _, host, address, port, text] = fields[..] else { panic!("{resolved}") };
    assert!(host.ends_with(".local"), "{resolved}");
    assert_eq!(address.parse::<Ipv6Addr>().unwrap(), stage.address());
    assert_eq!(port.parse::<u16>().unwrap(), stage.announced_port());
    // Source: protocol.md §2: no TXT record of this service is known.
    assert_eq!(text, "");
    assert!(stage.program.terminate().success());
    browse.line("that it is gone", |line| is(line, "-"));
}

#[test]
fn we_find_the_phone_while_avahi_owns_the_port_on_both_sides() {
    let stage = Stage::new(&[]);
    let _phone_side = Avahi::start(&stage.link.phone, "phone-side");
    let _host_side = Avahi::start(stage.host(), "host-side");
    for mode in [BrowseMode::OneShot, BrowseMode::Shared, BrowseMode::Both] {
        let found = browse(&stage, mode);
        assert_eq!((found.name.as_str(), found.port), ("ncm", stage.announced_port()), "{mode:?}");
        let expected = stage.socket(stage.announced_port());
        let address = found.addresses.first().unwrap();
        assert_eq!((address.ip(), address.scope_id()), (expected.ip(), expected.scope_id()), "{mode:?}");
    }
}

#[test]
fn an_avahi_beside_the_phone_does_not_take_its_queries_away() {
    let stage = Stage::new(&[]);
    let _phone_side = Avahi::start(&stage.link.phone, "phone-side");
    let avahi = Avahi::start(stage.host(), "host-side");
    let mut browse = avahi.browse(SERVICE);
    let resolved = browse.line("what it resolved", |line| is(line, "="));
    assert!(resolved.contains(&format!(";{};{};", stage.address(), stage.announced_port())), "{resolved}");
}

fn browse(stage: &Stage, mode: BrowseMode) -> Instance {
    let config = BrowseConfig { mode, ..BrowseConfig::new(stage.link.host_index(), SERVICE) };
    stage.host().block_on(move || async move {
        let mut browser = Browser::start(config).unwrap();
        let found = async {
            loop {
                match browser.next().await {
                    Some(BrowseEvent::Found(instance)) => return instance,
                    Some(_) => {}
                    None => panic!("the browser ended"),
                }
            }
        };
        timeout(DEADLINE, found).await.unwrap_or_else(|_| panic!("nothing found in {mode:?}"))
    })
}
