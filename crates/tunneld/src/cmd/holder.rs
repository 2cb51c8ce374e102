//! Who has a port that we want.

use std::io;
use std::net::SocketAddr;

use listeners::Protocol;

/// A line about the program that listens on the first address that is taken, if the system's error is about that.
pub(super) fn of(error: Option<&io::Error>, addresses: &[SocketAddr]) -> String {
    if error.is_none_or(|error| error.kind() != io::ErrorKind::AddrInUse) {
        return String::new();
    }
    addresses.iter().find_map(|address| holder(*address)).unwrap_or_default()
}

/// Other users' processes are seen by root only.
fn holder(address: SocketAddr) -> Option<String> {
    let process = listeners::get_process_by_port(address.port(), Protocol::TCP).ok()?;
    Some(format!("\n{address} is held by {} (process {})", process.name, process.pid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener};

    #[test]
    fn the_program_that_has_the_port_is_named() {
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = held.local_addr().unwrap();
        let error = TcpListener::bind(address).unwrap_err();
        let told = of(Some(&error), &[address]);
        let us = format!("(process {})", std::process::id());
        assert!(told.starts_with(&format!("\n{address} is held by ")) && told.ends_with(&us), "{told}");
        assert_eq!(of(Some(&io::Error::from(io::ErrorKind::PermissionDenied)), &[address]), "");
    }
}
