//! The daemon on the real world.

use iosmux_bridge::config::Settings;
use iosmux_bridge::daemon::{Daemon, Handle, Ports};
use iosmux_bridge::link::Links;
use iosmux_bridge::ncm::Driver;
use iosmux_bridge::phone::Policy;
use iosmux_bridge::privileges::Access;
use iosmux_bridge::usb::Host;

use super::failure::Failure;

/// Starts it. Must be called in the runtime.
pub(super) fn start(
    access: Access,
    settings: Settings,
) -> Result<(Daemon<Host, Links, Driver>, Handle), Failure> {
    let system = |action| move |source| Failure::System { action, source };
    let ports = Ports {
        usb: Host::new(access).map_err(system("USB can't be reached"))?,
        links: Links::open().map_err(system("network interfaces can't be reached"))?,
        ncm: Driver::new(),
    };
    Daemon::start(ports, settings, Policy::default()).map_err(system("changes can't be followed"))
}
