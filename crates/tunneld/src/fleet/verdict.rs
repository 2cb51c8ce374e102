//! Whether a phone gets a tunnel at all, by what it says of itself.

use iosmux_tunnel::Transport;
use iosmux_tunnel::transport::TransportError;

use super::config::FleetConfig;
use crate::model::{Concern, Identity};
use crate::phone::{Failure, Kind};

/// Why there will be no tunnel to a phone, by what it says of itself.
pub(super) fn verdict(config: &FleetConfig, identity: &Identity, has_service: bool) -> Option<Failure> {
    if !config.allows(&identity.udid) {
        return Some(left_out());
    }
    let version = identity.os_version.as_deref();
    if let Some(Err(error @ TransportError::TooOld(_))) = version.map(Transport::offered_by) {
        return Some(too_old(&error));
    }
    let missing = || Failure::retry(format!("{} offers no service for tunnels on its link", identity.udid));
    (!has_service).then(missing)
}

/// A phone from before tunnels.
pub(super) fn too_old(error: &TransportError) -> Failure {
    let next = "use lockdown over usbmuxd with this phone; no tunnel is needed there";
    Failure::new(Kind::Unsupported, error.to_string(), next)
}

/// A phone that the configuration does not allow.
pub(super) fn left_out() -> Failure {
    let next = "add its UDID to `allow` in the configuration, and reload";
    Failure::new(Kind::Unsupported, "the configuration does not allow this phone", next)
        .about(Concern::Configuration)
}
