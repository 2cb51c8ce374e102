//! What `ip6tables -P FORWARD DROP` does; its program is not needed.

use std::io;

use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};

pub(crate) const DROP: u32 = 0;
pub(crate) const ACCEPT: u32 = 1;

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = ((value.len() + 4) as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn message(kind: u16, flags: u16, family: u8, resource: u16, attributes: &[u8]) -> Vec<u8> {
    let mut bytes = ((20 + attributes.len()) as u32).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([family, 0]);
    bytes.extend(resource.to_be_bytes());
    bytes.extend(attributes);
    bytes
}

/// The table `filter` with the base chain `FORWARD` of the family ip6.
/// Source for the numbers: the kernel's include/uapi/linux/netfilter/nf_tables.h.
pub(crate) fn forward(policy: u32) -> io::Result<()> {
    const CREATE: u16 = 0x400 | 1;
    const ACK: u16 = 4;
    let table = attribute(1, b"filter\0");
    let hook = [attribute(1, &2_u32.to_be_bytes()), attribute(2, &0_u32.to_be_bytes())].concat();
    let chain = [
        attribute(1, b"filter\0"),
        attribute(3, b"FORWARD\0"),
        attribute(4 | 0x8000, &hook),
        attribute(5, &policy.to_be_bytes()),
        attribute(7, b"filter\0"),
    ];
    let batch = [
        message(0x10, 1, 0, 10, &[]),
        message(10 << 8, CREATE, 10, 0, &table),
        message(10 << 8 | 3, CREATE | ACK, 10, 0, &chain.concat()),
        message(0x11, 1, 0, 10, &[]),
    ];
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.send_to(&batch.concat(), &SocketAddr::new(0, 0), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    match answer.get(16..20).and_then(|code| code.first_chunk()).map(|code| i32::from_ne_bytes(*code)) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(-code)),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
