//! Where this phone stops because no source tells what a real one does, and how often it did.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use iosmux_xpc::NotSourced;

/// What lockdownd answers when the first message is no RSDCheckin.
pub const LOCKDOWN_WITHOUT_CHECKIN: NotSourced = NotSourced { what: "lockdown-without-checkin" };
/// Requests of lockdownd other than QueryType and GetValue.
pub const LOCKDOWN_REQUEST: NotSourced = NotSourced { what: "lockdown-request" };
/// What a shim service says after its StartService.
pub const SHIM_SERVICE_PAYLOAD: NotSourced = NotSourced { what: "shim-service-payload" };
/// What a service that is neither a shim nor RemoteXPC says.
pub const OPAQUE_SERVICE_PAYLOAD: NotSourced = NotSourced { what: "opaque-service-payload" };
/// What a RemoteXPC service answers.
pub const REMOTE_XPC_SERVICE_PAYLOAD: NotSourced = NotSourced { what: "remote-xpc-service-payload" };
/// What `remoted` answers to RSD messages other than Handshake, Heartbeat and Reset.
pub const RSD_MESSAGE: NotSourced = NotSourced { what: "rsd-message" };
/// What the tunnel service answers when it is reached through a tunnel.
pub const TUNNEL_SERVICE_IN_TUNNEL: NotSourced = NotSourced { what: "tunnel-service-in-tunnel" };
/// What a phone answers to a pair-setup on `_remotepairing._tcp`.
pub const PAIR_SETUP_OVER_NETWORK: NotSourced = NotSourced { what: "pair-setup-over-network" };
/// What a phone answers when a listener is asked for with a key of another form.
pub const LISTENER_KEY: NotSourced = NotSourced { what: "listener-key" };
/// What a phone answers when a QUIC listener is asked for that its version does not have.
pub const QUIC_AFTER_REMOVAL: NotSourced = NotSourced { what: "quic-after-removal" };
/// What a listener of the transport `udp` is.
pub const UDP_LISTENER: NotSourced = NotSourced { what: "udp-listener" };
/// What a phone has in the modes 2, 4 and 5, and what it answers to a mode that it doesn't know.
pub const USB_MODE: NotSourced = NotSourced { what: "usb-mode" };
/// What Apple's NCM request for the interface's flags answers.
pub const USB_NCM_INTERFACE_FLAGS: NotSourced = NotSourced { what: "usb-ncm-interface-flags" };

/// Every gap of this crate by name.
pub const ALL: &[&str] = &[
    LOCKDOWN_WITHOUT_CHECKIN.what,
    LOCKDOWN_REQUEST.what,
    SHIM_SERVICE_PAYLOAD.what,
    OPAQUE_SERVICE_PAYLOAD.what,
    REMOTE_XPC_SERVICE_PAYLOAD.what,
    RSD_MESSAGE.what,
    TUNNEL_SERVICE_IN_TUNNEL.what,
    PAIR_SETUP_OVER_NETWORK.what,
    LISTENER_KEY.what,
    QUIC_AFTER_REMOVAL.what,
    UDP_LISTENER.what,
    USB_MODE.what,
    USB_NCM_INTERFACE_FLAGS.what,
];

/// How often a phone met each gap. Clones share their counts.
#[derive(Debug, Clone, Default)]
pub struct Gaps(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl Gaps {
    /// Counts one stop and emits a `tracing` event with its name and where it happened, at info the first time.
    pub fn count(&self, gap: NotSourced, service: &str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(gap.what).or_default();
        *count += 1;
        // A peer can repeat itself without end.
        if *count == 1 {
            tracing::info!(what = gap.what, service, "not sourced");
        } else {
            tracing::debug!(what = gap.what, service, count, "not sourced");
        }
    }

    /// The counts so far, by the gap's name.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
