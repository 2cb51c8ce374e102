//! What a service speaks, told from its name and its entry in the catalogue.

use iosmux_pairing::envelope::remotexpc;
use iosmux_xpc::rsd::Service;

/// How a connection to a service is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceKind {
    /// lockdownd behind an RSDCheckin.
    Lockdown,
    /// A lockdown service behind an RSDCheckin.
    Shim,
    /// RemoteXPC.
    RemoteXpc,
    /// RemoteXPC with RemotePairing in it.
    Tunnel {
        /// The ServiceVersion that it says by itself once the opening is complete.
        version: Option<u64>,
    },
    /// Neither: DTX and others.
    Opaque,
}

/// These two say that they use RemoteXPC and speak plist all the same. Source: protocol.md §4.2.
const LOCKDOWN: [&str; 2] =
    ["com.apple.mobile.lockdown.remote.trusted", "com.apple.mobile.lockdown.remote.untrusted"];

impl ServiceKind {
    /// The kind of a service.
    #[must_use]
    pub fn of(name: &str, service: &Service) -> ServiceKind {
        if LOCKDOWN.contains(&name) {
            ServiceKind::Lockdown
        } else if name.ends_with(".shim.remote") {
            // Source: protocol.md §4.2.
            ServiceKind::Shim
        } else if service.uses_remote_xpc() {
            match name {
                remotexpc::SERVICE => ServiceKind::Tunnel { version: service.service_version() },
                _ => ServiceKind::RemoteXpc,
            }
        } else {
            ServiceKind::Opaque
        }
    }
}

#[cfg(test)]
mod tests {
    use iosmux_xpc::rsd::Catalogue;

    use super::*;

    #[test]
    fn every_service_of_a_real_phone_has_its_kind() {
        let json = include_str!("../../tests/fixtures/iphone11,6_ios17.0.3_trusted.json");
        let catalogue = Catalogue::from_json(&serde_json::from_str(json).unwrap()).unwrap();
        let kind = |name: &str| ServiceKind::of(name, catalogue.services.get(name).unwrap());
        assert_eq!(kind("com.apple.mobile.lockdown.remote.trusted"), ServiceKind::Lockdown);
        assert_eq!(kind("com.apple.mobile.lockdown.remote.untrusted"), ServiceKind::Lockdown);
        assert_eq!(kind("com.apple.afc.shim.remote"), ServiceKind::Shim);
        assert_eq!(kind(remotexpc::SERVICE), ServiceKind::Tunnel { version: Some(2) });
        assert_eq!(kind("com.apple.coredevice.appservice"), ServiceKind::RemoteXpc);
        assert_eq!(kind("com.apple.instruments.dtservicehub"), ServiceKind::Opaque);
        let count = |wanted: fn(ServiceKind) -> bool| {
            catalogue.services.iter().filter(|(name, service)| wanted(ServiceKind::of(name, service))).count()
        };
        assert_eq!(count(|kind| kind == ServiceKind::Shim), 40);
        assert_eq!(count(|kind| kind == ServiceKind::RemoteXpc), 20);
        assert_eq!(count(|kind| kind == ServiceKind::Opaque), 4);
    }
}
