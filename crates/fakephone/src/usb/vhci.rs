//! Plugging into the kernel's virtual host controller. Source: Linux, drivers/usb/usbip/vhci_sysfs.c.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Where the controller is.
const CONTROLLER: &str = "/sys/devices/platform/vhci_hcd.0";
/// The state of a port that nothing is plugged into. Source: Linux, drivers/usb/usbip/usbip_common.h (VDEV_ST_NULL).
const FREE: &str = "004";
/// High speed. Source: Linux, include/uapi/linux/usb/ch9.h.
const HIGH_SPEED: u32 = 3;
/// How often another port is tried when somebody else was faster.
const TRIES: usize = 8;

/// The phone can't be plugged in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VhciError {
    /// The module is not loaded.
    #[error("there is no virtual host controller ({CONTROLLER}): load the kernel's module vhci-hcd")]
    Missing,
    /// All ports have something plugged in.
    #[error("every high-speed port of the virtual host controller is taken: unplug another phone")]
    Full,
    /// The kernel refuses.
    #[error("the virtual host controller refuses {action}: {source}; only root may plug phones in")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// A phone's plug in a port. Closing the stream pulls it.
#[derive(Debug)]
pub(super) struct Plug {
    pub(super) port: u32,
    pub(super) stream: UnixStream,
}

/// Plugs in: at `port` if that is given and free, else anywhere.
pub(super) fn plug_in(port: Option<u32>) -> Result<Plug, VhciError> {
    let refused = |action| move |source| VhciError::Refused { action, source };
    for _ in 0..TRIES {
        let free = free_ports()?;
        let port =
            port.filter(|port| free.contains(port)).or(free.first().copied()).ok_or(VhciError::Full)?;
        let (ours, theirs) = UnixStream::pair().map_err(refused("a pair of sockets"))?;
        let device = (1 << 16) | (port + 2);
        let line = format!("{port} {} {device} {HIGH_SPEED}", theirs.as_raw_fd());
        match fs::write(Path::new(CONTROLLER).join("attach"), line) {
            Ok(()) => {
                ours.set_nonblocking(true).map_err(refused("a socket"))?;
                return Ok(Plug { port, stream: ours });
            }
            // Somebody else took the port in the meantime.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
            Err(error) => return Err(refused("a plug")(error)),
        }
    }
    Err(VhciError::Full)
}

/// Whether nothing is plugged into a port.
pub(super) fn is_free(port: u32) -> Result<bool, VhciError> {
    Ok(free_ports()?.contains(&port))
}

fn free_ports() -> Result<Vec<u32>, VhciError> {
    match fs::read_to_string(Path::new(CONTROLLER).join("status")) {
        Ok(status) => Ok(free_in(&status)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(VhciError::Missing),
        Err(source) => Err(VhciError::Refused { action: "a look at its ports", source }),
    }
}

/// The free high-speed ports of a status file.
fn free_in(status: &str) -> Vec<u32> {
    let port = |line: &str| {
        let mut words = line.split_whitespace();
        let (hub, port, state) = (words.next()?, words.next()?, words.next()?);
        (hub == "hs" && state == FREE).then(|| port.parse().ok())?
    };
    status.lines().filter_map(port).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_are_found_in_what_the_kernel_says() {
        let status = "hub port sta spd dev      sockfd local_busid\n\
                      hs  0000 006 003 00010002 000003 1-1\n\
                      hs  0001 004 000 00000000 000000 0-0\n\
                      hs  0002 005 000 00000000 000000 0-0\n\
                      hs  0010 004 000 00000000 000000 0-0\n\
                      ss  0008 004 000 00000000 000000 0-0\n\n";
        assert_eq!(free_in(status), [1, 10]);
        assert_eq!(free_in(""), [0; 0]);
    }
}
