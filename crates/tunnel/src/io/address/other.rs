//! By the system's own tool.

use super::{Clash, Ends, Failure};
use std::io;
use std::net::Ipv6Addr;
use std::process::Command;

/// Not looked for here.
pub(crate) fn clash(_address: Ipv6Addr) -> io::Result<Option<Clash>> {
    Ok(None)
}

/// The system's own tool: the ioctl's structure isn't in any crate that is kept. It is given checked values only, and
/// no shell is between.
pub(crate) fn configure(name: &str, ends: Ends) -> Result<(), Failure> {
    let mut command = Command::new("/sbin/ifconfig");
    command.args([name, "inet6", &ends.local.to_string(), &ends.peer.to_string()]);
    command.args(["prefixlen", "128", "up"]);
    let output = command.output().map_err(|error| ("address", error))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(("address", io::Error::other(format!("ifconfig: {text}"))))
}
