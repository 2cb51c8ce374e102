//! Addresses that a phone must not choose: what this computer has already. Runs in a network namespace of its own.
#![cfg(feature = "net-tests")]
#![cfg(target_os = "linux")]

#[path = "support/namespace.rs"]
mod namespace;

use iosmux_tunnel::Parameters;
use iosmux_tunnel::io::{Clash, TunDevice, TunError};
use iosmux_tunnel::parameters::Role;
use namespace::Namespace;
use std::net::Ipv6Addr;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("iproute2 is needed");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Waits for what the kernel does a moment later.
fn until(mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < Duration::from_secs(10), "{}", ip("-6 route show table all"));
        thread::sleep(Duration::from_millis(5));
    }
}

/// Gives an interface an address and waits until the kernel knows it for its own.
fn give(interface: &str, network: &str) {
    ip(&format!("address add {network} dev {interface} nodad"));
    let local = format!("local {} dev {interface}", network.split('/').next().unwrap());
    until(|| ip("-6 route show table local").contains(&local));
}

/// A namespace with fd00::2/64 on `lan`.
fn computer() -> Namespace {
    let namespace = Namespace::new();
    namespace.run(|| {
        ip("link add lan type veth peer name far");
        ip("link set far up");
        ip("link set lan up");
        ip("link set lo up");
        give("lan", "fd00::2/64");
        until(|| ip("-6 route").contains("fd00::/64 dev lan"));
    });
    namespace
}

/// [`computer`] with a route more.
fn computer_with(route: &'static str) -> Namespace {
    let computer = computer();
    computer.run(move || ip(&format!("-6 route add {route}")));
    computer
}

fn address(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// What a phone answered that named these addresses, its own first.
fn named(server: &str, client: &str) -> Parameters {
    Parameters {
        server_address: address(server),
        server_rsd_port: 56307,
        client_address: address(client),
        mtu: 1280,
    }
}

/// Interfaces, and routes to unique local addresses.
fn known() -> (Vec<String>, Vec<String>) {
    let links = ip("-o link").lines().map(|line| line.split(':').nth(1).unwrap().to_owned()).collect();
    let routes = ip("-6 route show table all");
    let unique_local = |line: &&str| line.split(' ').any(|word| word.starts_with("fd"));
    (links, routes.lines().filter(unique_local).map(str::to_owned).collect())
}

/// How the host's end is refused, with nothing left behind.
fn refused(computer: &Namespace, parameters: Parameters) -> TunError {
    computer.run(move || {
        let before = known();
        let error = TunDevice::open(Some("host%d"), &parameters, Role::Host).unwrap_err();
        assert_eq!(known(), before);
        error
    })
}

fn accepted(computer: &Namespace, parameters: Parameters) {
    let routes = computer.run(move || {
        let _device = TunDevice::open(Some("host%d"), &parameters, Role::Host).unwrap();
        ip("-6 route")
    });
    assert!(routes.contains(&format!("{} dev host0", parameters.server_address)), "{routes}");
}

/// What clashes, as (end, address, clash).
fn clash(error: TunError) -> (Role, Ipv6Addr, Clash) {
    match error {
        TunError::Clash { end, address, with, .. } => (end, address, with),
        other => panic!("{other}"),
    }
}

#[test]
fn a_phone_cannot_take_the_address_of_a_neighbour() {
    let computer = computer();
    let error = refused(&computer, named("fd00::1", "fd00::dead"));
    assert_eq!(
        error.to_string(),
        "the phone named fd00::1 for its own end of the tunnel, which is in fd00::/64, to which this computer has a \
         route (lan); its traffic would go to the phone, so the tunnel is refused: try again, phones choose other \
         addresses each time; if it stays so, take that address or route away"
    );
    let (end, at, with) = clash(error);
    assert_eq!((end, at), (Role::Device, address("fd00::1")));
    assert!(matches!(with, Clash::Route { prefix_len: 64, network, .. } if network == address("fd00::")));
}

#[test]
fn a_phone_cannot_take_this_computers_own_address() {
    let computer = computer();
    computer.run(|| [("lan", "fd01::2/128"), ("lo", "fd02::2/128")].map(|(at, network)| give(at, network)));
    for (server, client, end, at, interface) in [
        ("fd00::2", "fd00::dead", Role::Device, "fd00::2", "lan"),
        ("fd01::2", "fd01::dead", Role::Device, "fd01::2", "lan"),
        ("fd01::1", "fd01::2", Role::Host, "fd01::2", "lan"),
        ("fd02::2", "fd02::1", Role::Device, "fd02::2", "lo"),
    ] {
        let with = Clash::Own { interface: Some(interface.to_owned()) };
        let error = refused(&computer, named(server, client));
        assert!(error.to_string().contains(&format!("{at} for ")), "{error}");
        assert_eq!(clash(error), (end, address(at), with), "{server} {client}");
    }
}

/// Whoever routes all unique local addresses somewhere, to a VPN for instance, has something behind them.
#[test]
fn a_phone_cannot_take_from_a_wide_route() {
    let computer = computer_with("fd00::/8 via fd00::1");
    let (end, _, with) = clash(refused(&computer, named("fd58:8c92:8961::1", "fd58:8c92:8961::2")));
    let lan = Some("lan".to_owned());
    assert_eq!(
        (end, with),
        (Role::Device, Clash::Route { network: address("fd00::"), prefix_len: 8, interface: lan })
    );
}

#[test]
fn a_phone_cannot_take_from_another_phones_tunnel() {
    let computer = computer();
    let first = named("fd58:8c92:8961::1", "fd58:8c92:8961::2");
    let tunnel = computer.run(move || TunDevice::open(Some("first"), &first, Role::Host).unwrap());
    let interface = Some("first".to_owned());
    let routed = Clash::Route { network: first.server_address, prefix_len: 128, interface };
    let (end, _, with) = clash(refused(&computer, named("fd58:8c92:8961::1", "fd58:8c92:8961::3")));
    assert_eq!((end, with), (Role::Device, routed.clone()));
    let (end, _, with) = clash(refused(&computer, named("fd58:8c92:8961::3", "fd58:8c92:8961::1")));
    assert_eq!((end, with), (Role::Host, routed));
    let (end, _, with) = clash(refused(&computer, named("fd58:8c92:8961::3", "fd58:8c92:8961::2")));
    assert!(end == Role::Host && matches!(with, Clash::Own { .. }), "{with}");
    // It may be the same phone, back before its old tunnel is gone: a later attempt works. The other tests' children may
    // hold the device open until they are another program.
    drop(tunnel);
    computer.run(move || until(|| TunDevice::open(None, &first, Role::Host).is_ok()));
}

#[test]
fn an_address_that_means_nothing_here_is_taken() {
    let fresh = named("fd58:8c92:8961::1", "fd58:8c92:8961::2");
    accepted(&computer(), fresh);
    // A default route leads anywhere, and is no sign that somebody is there.
    accepted(&computer_with("default via fd00::1"), fresh);
    // Nor is a VPN's for all unique local addresses.
    accepted(&computer_with("fc00::/7 via fd00::1"), fresh);
}

#[test]
fn a_route_to_nowhere_loses_nothing_to_a_tunnel() {
    let fresh = named("fd58:8c92:8961::1", "fd58:8c92:8961::2");
    accepted(&computer_with("unreachable fd00::/8"), fresh);
    accepted(&computer_with("blackhole fd58::/16"), fresh);
    accepted(&computer_with("prohibit fd58:8c92:8961::/48"), fresh);
    accepted(&computer_with("throw fd58:8c92:8961::/48"), fresh);
}

/// A simulated phone chose its addresses itself.
#[test]
fn a_phones_own_end_is_not_checked() {
    let computer = computer();
    let opened =
        computer.run(|| TunDevice::open(None, &named("fd00::1", "fd00::dead"), Role::Device).is_ok());
    assert!(opened);
}
