//! From what is written to what it means. Everything that is wrong is told at once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::uri::Authority;
use iosmux_link::{Pattern, Selection, selection::ALL_BUT_TUNNELS};
use iosmux_service::config::{self, Place, Problem};
use iosmux_tunnel::Transport;
use iosmux_usb::Udid;
use toml::Spanned;

use super::environment::Environment;
use super::settings::{AGENT, Pairing, REGISTRY, Settings, Socket, SuspendRemoted, TRUST_DEADLINE};
use super::written::{Account, Config};
use crate::discover::Peer;
use crate::http;

/// The word that switches something off.
const OFF: &str = "off";
/// Seconds within which a person can reach a phone, and beyond which nobody waits.
const TRUST_SECONDS: std::ops::RangeInclusive<u64> = 5..=3600;
/// Bytes of a socket's path. Source: Darwin, sys/un.h (104 with the final zero); Linux has 108.
const SOCKET_PATH: usize = 103;
/// Bytes of a host name. Source: POSIX, _POSIX_HOST_NAME_MAX.
const HOST_NAME: usize = 255;
/// Why an address that others can reach is refused.
const LOOPBACK_ONLY: &str = "is no loopback address: whoever reaches the registry can use every phone, and there is no \
                             password; write 127.0.0.1 or [::1], or set listen-anyway = true if the network is yours";

/// What the command line says instead of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overrides {
    /// In place of `interfaces`, if there are any.
    pub interfaces: Vec<String>,
    /// In place of `state-dir`.
    pub state_dir: Option<PathBuf>,
    /// In place of `listen`, if there are any.
    pub listen: Vec<String>,
}

struct Checker<'a> {
    found: config::Checker<'a>,
    environment: &'a Environment,
}

/// Checks everything and fills in defaults.
///
/// # Errors
/// All that is wrong, in the order of the file.
pub fn check(
    config: &Config,
    text: &str,
    overrides: &Overrides,
    environment: &Environment,
) -> Result<Settings, Vec<Problem>> {
    let mut checker = Checker { found: config::Checker::new(text), environment };
    let settings = checker.settings(config, overrides);
    checker.found.finish(settings)
}

impl Checker<'_> {
    /// What can't be used is left out; the problem that it leaves keeps the settings from being used.
    fn settings(&mut self, config: &Config, overrides: &Overrides) -> Settings {
        let anyway = config.listen_anyway.unwrap_or_default();
        let interfaces =
            self.interfaces(&values("interfaces", &config.interfaces, "--interface", &overrides.interfaces));
        let listen = self.listen(&values("listen", &config.listen, "--listen", &overrides.listen), anyway);
        let agent = self.agent(config.agent.as_ref(), anyway, &listen);
        let pairing = [("ask", Pairing::Ask), ("never", Pairing::Never)];
        let suspending = [("never", SuspendRemoted::Never), ("auto", SuspendRemoted::Auto)];
        let state_dir = self.state_dir(config, overrides);
        let host_name = self.host_name(config.host_name.as_ref());
        Settings {
            interfaces,
            listen,
            hosts: self.hosts(&values("hosts", &config.hosts, "", &[])),
            agent,
            upstreams: self.upstreams(&values("upstreams", &config.upstreams, "", &[])),
            pair: self.found.word("pair", config.pair.as_ref(), &pairing, Pairing::default()),
            allow: config.allow.as_ref().map(|allow| self.allow(allow)),
            peers: self.peers(&values("peers", &config.peers, "", &[])),
            trust_deadline: self.trust_deadline(config.trust_deadline.as_ref()),
            capture: config.capture.as_ref().map(|path| self.absolute("capture", path)),
            suspend_remoted: self.found.word(
                "suspend-remoted",
                config.suspend_remoted.as_ref(),
                &suspending,
                SuspendRemoted::default(),
            ),
            socket: self.socket(config),
            transports: self.transports(config),
            ..Settings::new(state_dir, host_name)
        }
    }

    fn interfaces(&mut self, values: &[(Place, &str)]) -> Selection {
        let pattern = |text: &str| -> Result<Option<Pattern>, iosmux_link::PatternError> {
            if text == ALL_BUT_TUNNELS { Ok(None) } else { text.parse().map(Some) }
        };
        let patterns = self.found.distinct(values, pattern);
        if patterns.is_empty() || patterns.contains(&None) {
            Selection::AllButTunnels
        } else {
            Selection::Fitting(patterns.into_iter().flatten().collect())
        }
    }

    fn listen(&mut self, values: &[(Place, &str)], anyway: bool) -> Vec<SocketAddr> {
        let addresses = self.found.distinct(values, |text| address(text, anyway, ""));
        if addresses.is_empty() { vec![REGISTRY] } else { addresses }
    }

    fn hosts(&mut self, values: &[(Place, &str)]) -> Vec<String> {
        self.found.distinct(values, host)
    }

    fn upstreams(&mut self, values: &[(Place, &str)]) -> Vec<String> {
        if let Some((place, _)) = values.get(http::UPSTREAMS) {
            self.found.wrong(place, format!("there are at most {} upstreams", http::UPSTREAMS));
        }
        self.found.distinct(values, upstream)
    }

    fn agent(
        &mut self,
        value: Option<&Spanned<String>>,
        anyway: bool,
        registry: &[SocketAddr],
    ) -> Option<SocketAddr> {
        let Some(value) = value else { return Some(AGENT) };
        let place = Place::of("agent", value);
        match value.get_ref().as_str() {
            OFF => None,
            text => match address(text, anyway, " or off") {
                Err(error) => {
                    self.found.wrong(&place, error);
                    None
                }
                Ok(address) if address.port() != 0 && registry.contains(&address) => {
                    self.found.wrong(
                        &place,
                        format!("{text:?} is where the registry listens: give it another port"),
                    );
                    None
                }
                Ok(address) => Some(address),
            },
        }
    }

    fn state_dir(&mut self, config: &Config, overrides: &Overrides) -> PathBuf {
        if let Some(path) = &overrides.state_dir {
            return std::path::absolute(path).unwrap_or_else(|error| {
                self.found.wrong(&Place::Option("--state-dir"), format!("{path:?} is no path: {error}"));
                path.clone()
            });
        }
        if let Some(path) = &config.state_dir {
            return self.absolute("state-dir", path);
        }
        self.environment.state_dir().unwrap_or_else(|| {
            let text = "there is no default, because neither STATE_DIRECTORY, XDG_STATE_HOME nor HOME is an absolute \
                        path: set it, or use --state-dir";
            self.found.wrong(&Place::Option("state-dir"), text);
            PathBuf::new()
        })
    }

    fn absolute(&mut self, key: &str, path: &Spanned<PathBuf>) -> PathBuf {
        if !path.get_ref().is_absolute() {
            let text = format!(
                "{:?} is no absolute path: where a relative one leads depends on where the daemon is started",
                path.get_ref()
            );
            self.found.wrong(&Place::of(key, path), text);
        }
        path.get_ref().clone()
    }

    fn host_name(&mut self, value: Option<&Spanned<String>>) -> String {
        let Some(value) = value else {
            return self.environment.host_name.clone().unwrap_or_else(|| "localhost".to_owned());
        };
        let name = value.get_ref();
        if name.trim().is_empty() || name.len() > HOST_NAME || name.chars().any(char::is_control) {
            let text =
                format!("a name of 1 to {HOST_NAME} bytes was expected, {name:?} came: phones show it");
            self.found.wrong(&Place::of("host-name", value), text);
        }
        name.clone()
    }

    fn trust_deadline(&mut self, value: Option<&Spanned<i64>>) -> Duration {
        let Some(value) = value else { return TRUST_DEADLINE };
        match u64::try_from(*value.get_ref()).ok().filter(|seconds| TRUST_SECONDS.contains(seconds)) {
            Some(seconds) => Duration::from_secs(seconds),
            None => {
                let (first, last) = (TRUST_SECONDS.start(), TRUST_SECONDS.end());
                let text = format!("{first} to {last} seconds were expected, {} came", value.get_ref());
                self.found.wrong(&Place::of("trust-deadline", value), text);
                TRUST_DEADLINE
            }
        }
    }

    fn allow(&mut self, allow: &Spanned<Vec<Spanned<String>>>) -> BTreeSet<Udid> {
        if allow.get_ref().is_empty() {
            let text =
                "it is empty, so that no phone would get a tunnel: leave the key out to allow every phone";
            self.found.wrong(&Place::of("allow", allow), text);
        }
        let listed: Vec<_> =
            allow.get_ref().iter().map(|one| (Place::of("allow", one), one.get_ref().as_str())).collect();
        self.found.distinct(&listed, str::parse::<Udid>).into_iter().collect()
    }

    fn peers(&mut self, values: &[(Place, &str)]) -> Vec<Peer> {
        self.found.distinct(values, str::parse::<Peer>)
    }

    fn transports(&mut self, config: &Config) -> BTreeMap<Udid, Transport> {
        let mut transports = BTreeMap::new();
        let keys: Vec<_> =
            config.device.iter().map(|(key, table)| (Place::of("device", table), key.as_str())).collect();
        self.found.distinct(&keys, str::parse::<Udid>);
        for (key, table) in &config.device {
            let (Ok(udid), Some(text)) = (key.parse::<Udid>(), &table.get_ref().transport) else { continue };
            match text.get_ref().parse::<Transport>() {
                Ok(transport) => drop(transports.insert(udid, transport)),
                Err(error) => self.found.wrong(&Place::of(&format!("device.{key}.transport"), text), error),
            }
        }
        transports
    }

    fn socket(&mut self, config: &Config) -> Option<Socket> {
        let table = config.socket.clone().unwrap_or_default();
        let path = match &table.path {
            None => self.environment.socket(),
            Some(path) if path.get_ref() == Path::new(OFF) => None,
            Some(path) => {
                if path.get_ref().as_os_str().len() > SOCKET_PATH {
                    let text = format!("a socket's path has at most {SOCKET_PATH} bytes");
                    self.found.wrong(&Place::of("socket.path", path), text);
                }
                Some(self.absolute("socket.path", path))
            }
        };
        let (user_id, group_id) = (self.environment.user_id, self.environment.group_id);
        let mut users = self.accounts("socket.users", "user", table.users.as_deref(), user_id);
        users.extend([0, self.environment.user]);
        let groups = self.accounts("socket.groups", "group", table.groups.as_deref(), group_id);
        path.map(|path| Socket { path, users, groups })
    }

    fn accounts(
        &mut self,
        key: &str,
        kind: &str,
        accounts: Option<&[Spanned<Account>]>,
        number: fn(&str) -> Option<u32>,
    ) -> BTreeSet<u32> {
        let mut numbers = BTreeSet::new();
        for account in accounts.unwrap_or_default() {
            let found = match account.get_ref() {
                Account::Number(number) => Ok(*number),
                Account::Name(name) => number(name).or_else(|| name.parse().ok()).ok_or_else(|| {
                    format!("this system has no {kind} {name:?}; write a name that it has, or a number")
                }),
            };
            match found {
                Ok(number) if numbers.insert(number) => {}
                Ok(number) => {
                    self.found.wrong(&Place::of(key, account), format!("the {kind} {number} is there twice"));
                }
                Err(text) => self.found.wrong(&Place::of(key, account), text),
            }
        }
        numbers
    }
}

/// The command line's values if there are any, else the file's.
fn values<'a>(
    key: &str,
    written: &'a Option<Vec<Spanned<String>>>,
    option: &'static str,
    overrides: &'a [String],
) -> Vec<(Place, &'a str)> {
    if !overrides.is_empty() {
        return overrides.iter().map(|text| (Place::Option(option), text.as_str())).collect();
    }
    let written = written.iter().flatten();
    written.map(|value| (Place::of(key, value), value.get_ref().as_str())).collect()
}

fn address(text: &str, anyway: bool, alternative: &str) -> Result<SocketAddr, String> {
    let address = text.parse::<SocketAddr>().map_err(|_| {
        format!("an address and a port such as 127.0.0.1:49151{alternative} was expected, {text:?} came")
    })?;
    if anyway || address.ip().to_canonical().is_loopback() {
        Ok(address)
    } else {
        Err(format!("{text:?} {LOOPBACK_ONLY}"))
    }
}

/// A name or an address as the registry's guard compares it, which reads a request's Host in the same way.
fn host(text: &str) -> Result<String, String> {
    let expected = format!("a host's name or address without port was expected, {text:?} came");
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<Ipv6Addr>() {
        return address.to_ipv4_mapped().map_or(Ok(address.to_string()), |address| {
            Err(format!(
                "an IPv4 address written as IPv6, as in {text:?}, is refused in any case: write {address}"
            ))
        });
    }
    let Ok(name) = Authority::try_from(text) else { return Err(expected) };
    let host = name.host().trim_matches(['[', ']']);
    if host == text {
        Ok(text.to_ascii_lowercase())
    } else if host.is_empty() || bare != text || text.contains(['@', '%']) {
        Err(expected)
    } else {
        Err(format!("{expected}: write {host:?}, which holds for every port"))
    }
}

/// Another registry's address in the form in which it is asked.
fn upstream(text: &str) -> Result<String, String> {
    let expected = || format!("an address such as http://127.0.0.1:49152 was expected, {text:?} came");
    if !text.starts_with("http://") {
        return Err(expected());
    }
    let url = http::upstream(text)?;
    // Brackets at odd places leave what is no address any more.
    if http::upstream(&url).as_ref() == Ok(&url) { Ok(url) } else { Err(expected()) }
}
