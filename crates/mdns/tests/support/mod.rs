//! What the behaviour tests share.

use iosmux_mdns::Service;

/// `ncm._remoted._tcp` as a phone announces it.
pub(crate) fn ncm(port: u16, address: &str) -> Service {
    Service::new("ncm", "_remoted._tcp", "iPhone15-Pro.local", port)
        .with_addresses([address.parse().unwrap()])
}
