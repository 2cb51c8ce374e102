//! The phone that the clients are shown.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::path::Path;
use std::sync::OnceLock;

use serde_json::{Map, Value};

use crate::lab::{HOST, Link, Namespace, PHONE};
use crate::process::{Running, command};

const CATALOGUE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/iphone11,6_ios17.0.3_trusted.json");

/// A service's name and its port.
pub(crate) type Ports = BTreeMap<String, u16>;

/// `fakephone net` with the captured trusted catalogue, on a link of its own.
pub(crate) struct Stage {
    pub(crate) program: Running,
    /// The line that it prints when it is attached.
    pub(crate) ready: Value,
    pub(crate) link: Link,
}

impl Stage {
    pub(crate) fn new(arguments: &'static [&'static str]) -> Stage {
        let link = Link::new();
        let mut program = link.phone.run(move || {
            let mut phone = command(env!("CARGO_BIN_EXE_iosmux-fakephone"));
            phone.args(["net", "--interface", PHONE, "--catalogue", CATALOGUE]).args(arguments);
            Running::start(phone)
        });
        let line = program.line("that it is attached", |line| line.contains("fakephone/ready/1"));
        Stage { program, ready: serde_json::from_str(&line).unwrap(), link }
    }

    /// The phone without special wishes, shared by all tests that only read from it.
    pub(crate) fn shared() -> &'static Stage {
        static STAGE: OnceLock<Stage> = OnceLock::new();
        STAGE.get_or_init(|| Stage::new(&[]))
    }

    /// The namespace on the other side of the cable.
    pub(crate) fn host(&self) -> &Namespace {
        &self.link.host
    }

    /// The phone's address.
    pub(crate) fn address(&self) -> Ipv6Addr {
        let text = self.ready["address"].as_str().unwrap();
        text.split('%').next().unwrap().parse().unwrap()
    }

    /// The phone's address as a person on the host's side types it.
    pub(crate) fn scoped(&self) -> String {
        format!("{}%{HOST}", self.address())
    }

    /// The fixed RSD port.
    pub(crate) fn rsd_port(&self) -> u16 {
        self.port("rsd_port")
    }

    /// The RSD port in the announcement.
    pub(crate) fn announced_port(&self) -> u16 {
        self.port("announced_port")
    }

    fn port(&self, key: &str) -> u16 {
        self.ready[key].as_u64().and_then(|port| port.try_into().ok()).unwrap()
    }

    /// A port at the phone, for sockets on the host's side.
    pub(crate) fn socket(&self, port: u16) -> SocketAddrV6 {
        SocketAddrV6::new(self.address(), port, 0, self.link.host_index())
    }
}

/// The captured Handshake.
pub(crate) fn catalogue() -> Value {
    serde_json::from_slice(&std::fs::read(Path::new(CATALOGUE)).unwrap()).unwrap()
}

/// Its properties.
pub(crate) fn properties() -> Map<String, Value> {
    catalogue()["Properties"].as_object().unwrap().clone()
}

/// A property's text.
pub(crate) fn property(name: &str) -> String {
    properties()[name].as_str().unwrap().to_owned()
}

/// Checks that ports are what a phone allocates: one for each captured service, no two alike.
pub(crate) fn assert_ports(ports: &Ports) {
    let captured = catalogue();
    let names: Vec<&String> = captured["Services"].as_object().unwrap().keys().collect();
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(ports.keys().collect::<Vec<_>>(), sorted);
    let distinct: std::collections::BTreeSet<u16> = ports.values().copied().collect();
    assert_eq!(distinct.len(), ports.len(), "two services share a port: {ports:?}");
    assert!(!distinct.contains(&0));
}
