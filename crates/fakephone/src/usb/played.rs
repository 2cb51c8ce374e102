//! What hosts do to phones behind everybody's back. The kernel's module apple-mfi-fastcharge and newer usbmuxd do the same; where a test
//! must not wait for them, it plays them by these names.

use std::fs;
use std::io;
use std::path::Path;

/// Plays apple-mfi-fastcharge: the kernel sets configuration 0 and then 1. `device` is the phone's folder in sysfs.
/// Source: platform.md (Guests).
///
/// # Errors
/// What the kernel says, for instance that an interface is claimed.
pub fn fastcharge(device: &Path) -> io::Result<()> {
    let configuration = device.join("bConfigurationValue");
    fs::write(&configuration, "0")?;
    fs::write(&configuration, "1")
}
