//! Any configuration can be written and read back, and no text makes the reader panic.

use std::collections::BTreeMap;
use std::path::PathBuf;

use iosmux_service::config::{parse, print, spanned};
use iosmux_tunneld::config::written::{Account, Config, DeviceTable, SocketTable};
use iosmux_tunneld::config::{Environment, Overrides, Settings};
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use toml::Spanned;

fn text() -> impl Strategy<Value = Spanned<String>> {
    any::<String>().prop_map(spanned)
}

fn texts() -> impl Strategy<Value = Vec<Spanned<String>>> {
    vec(text(), 0..4)
}

fn path() -> impl Strategy<Value = Spanned<PathBuf>> {
    any::<String>().prop_map(|text| spanned(PathBuf::from(text)))
}

fn accounts() -> impl Strategy<Value = Vec<Spanned<Account>>> {
    let account =
        prop_oneof![any::<u32>().prop_map(Account::Number), any::<String>().prop_map(Account::Name)];
    vec(account.prop_map(spanned), 0..4)
}

prop_compose! {
    fn registry()(
        interfaces in of(texts()), listen in of(texts()), listen_anyway in of(any::<bool>()),
        hosts in of(texts()), agent in of(text()), upstreams in of(texts()),
        path in of(path()), users in of(accounts()), groups in of(accounts()), socket in any::<bool>(),
    ) -> Config {
        let socket = socket.then_some(SocketTable { path, users, groups });
        Config { interfaces, listen, listen_anyway, hosts, agent, upstreams, socket, ..Config::default() }
    }
}

prop_compose! {
    fn config()(
        registry in registry(),
        state_dir in of(path()), pair in of(text()), allow in of(texts()), peers in of(texts()),
        host_name in of(text()), trust_deadline in of(any::<i64>()), capture in of(path()),
        suspend_remoted in of(text()), device in btree_map(any::<String>(), of(text()), 0..4),
    ) -> Config {
        let device: BTreeMap<_, _> =
            device.into_iter().map(|(udid, transport)| (udid, spanned(DeviceTable { transport }))).collect();
        let (allow, trust_deadline) = (allow.map(spanned), trust_deadline.map(spanned));
        Config {
            state_dir, pair, allow, peers, host_name, trust_deadline, capture, suspend_remoted, device, ..registry
        }
    }
}

fn environment() -> Environment {
    Environment {
        user_id: |_| Some(7),
        group_id: |_| Some(8),
        home: Some("/people/ada".into()),
        ..Environment::current()
    }
}

fn read(text: &str) -> Option<Settings> {
    let settings = Settings::from_text(None, text, &Overrides::default(), &environment());
    settings.map_err(|error| assert!(!error.to_string().is_empty())).ok()
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(config in config()) {
        let text = print(&config);
        prop_assert_eq!(parse::<Config>(&text).unwrap(), config, "{}", text);
        if let Some(settings) = read(&text) {
            prop_assert_eq!(read(&settings.to_string()), Some(settings));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..400)) {
        read(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_half_of_a_file_makes_it_panic(config in config(), end in any::<prop::sample::Index>()) {
        let text = print(&config);
        let end = text.floor_char_boundary(end.index(text.len() + 1));
        read(&text[..end]);
    }

    #[test]
    fn no_words_of_the_language_make_it_panic(
        words in vec(
            prop::sample::select(vec![
                "[", "]", "[[", "=", "\"", ".", ",", "{", "}", "\n", "device", "socket", "path", "users", "listen",
                "allow", "peers", "pair", "true", "-1", "9e999", "1979-05-27", "\"off\"", "é",
            ]),
            0..40,
        ),
    ) {
        read(&words.concat());
    }
}
