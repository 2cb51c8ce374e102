//! docs/tunneld.md names every key, and its example is valid.

use iosmux_service::config::{print, spanned};
use iosmux_tunneld::config::written::{Account, Config, DeviceTable, SocketTable};
use iosmux_tunneld::config::{Environment, Overrides, Settings};

const MANUAL: &str = include_str!("../../../docs/tunneld.md");

/// A configuration with every key. A new one does not compile until it is here.
fn full() -> Config {
    let (text, texts) = (|| Some(spanned(String::new())), || Some(vec![spanned(String::new())]));
    let accounts = || Some(vec![spanned(Account::Number(0))]);
    let table = DeviceTable { transport: text() };
    Config {
        interfaces: texts(),
        listen: texts(),
        listen_anyway: Some(true),
        hosts: texts(),
        agent: text(),
        upstreams: texts(),
        state_dir: Some(spanned("/".into())),
        pair: text(),
        allow: texts().map(spanned),
        peers: texts(),
        host_name: text(),
        trust_deadline: Some(spanned(1)),
        capture: Some(spanned("/".into())),
        suspend_remoted: text(),
        socket: Some(SocketTable { path: Some(spanned("/".into())), users: accounts(), groups: accounts() }),
        device: [("UDID".to_owned(), spanned(table))].into(),
    }
}

#[test]
fn every_key_has_a_row() {
    let rows: Vec<_> =
        MANUAL.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()).collect();
    let mut table = String::new();
    for line in print(&full()).lines() {
        match line.split_once(" = ") {
            Some((key, _)) => {
                let found =
                    rows.iter().any(|row| row.contains(&format!("`{key}`")) && row.contains(table.as_str()));
                assert!(found, "no row for {table} {key}");
            }
            None => table = line.split(['[', ']', '.']).nth(1).unwrap_or_default().to_owned(),
        }
    }
    assert_eq!(table, "device", "tables were read");
}

#[test]
fn examples_are_valid() {
    let blocks: Vec<_> =
        MANUAL.split("```toml\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0)).collect();
    assert!(!blocks.is_empty());
    for text in blocks {
        let settings = Settings::from_text(None, text, &Overrides::default(), &Environment::current());
        settings.unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
}
