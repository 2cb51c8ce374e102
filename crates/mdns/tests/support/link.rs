//! A pair of network interfaces with both ends in the network namespace that the test runs in.

use std::{fs, process::Command};

/// The far end is the phone's, the near end the host's.
pub(crate) struct Pair {
    pub(crate) phone: End,
    pub(crate) host: End,
}

pub(crate) struct End {
    pub(crate) name: String,
    pub(crate) index: u32,
    pub(crate) address: std::net::Ipv6Addr,
}

const HOW: &str = "run it as `unshare -Urn cargo test -p iosmux-mdns --features net-tests`";

/// Makes a pair with fixed link-local addresses and no duplicate address detection. `number` tells pairs apart.
///
/// The namespace must be a new one, so that a run as root can't change the machine's own interfaces.
pub(crate) fn pair(number: u8) -> Pair {
    assert_namespace_is_ours();
    let (phone, host) = (format!("mdnsphone{number}"), format!("mdnshost{number}"));
    ip(&["link", "add", &phone, "type", "veth", "peer", "name", &host]);
    let ends = [(phone, format!("fe80::{number}:1")), (host, format!("fe80::{number}:2"))];
    let [phone, host] = ends.map(|(name, address)| {
        ip(&["link", "set", &name, "addrgenmode", "none"]);
        ip(&["link", "set", &name, "up"]);
        ip(&["address", "add", &format!("{address}/64"), "dev", &name, "nodad"]);
        let index = fs::read_to_string(format!("/sys/class/net/{name}/ifindex"));
        let index =
            index.ok().and_then(|text| text.trim().parse().ok()).unwrap_or_else(|| index_by_ip(&name));
        End { name, index, address: address.parse().unwrap() }
    });
    Pair { phone, host }
}

/// /sys shows the interfaces of the namespace that mounted it, which may be another one.
fn index_by_ip(name: &str) -> u32 {
    let text = ip(&["-o", "link", "show", "dev", name]);
    text.split(':')
        .next()
        .and_then(|index| index.trim().parse().ok())
        .expect("`ip -o link` starts with the index")
}

fn assert_namespace_is_ours() {
    let links = ip(&["-o", "link", "show"]);
    let foreign: Vec<_> = links
        .lines()
        .filter_map(|line| line.split(": ").nth(1))
        .filter(|name| *name != "lo" && !name.starts_with("mdns"))
        .collect();
    assert!(foreign.is_empty(), "this network namespace has other interfaces ({foreign:?}): {HOW}");
}

pub(crate) fn ip(arguments: &[&str]) -> String {
    let output = Command::new("ip").args(arguments).output();
    let output = output
        .unwrap_or_else(|error| panic!("iproute2's `ip` can't be run: {error}; install it, then {HOW}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`ip {}`: {said}; {HOW}", arguments.join(" "));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
