//! The Ethernet addresses of the lab, and the link-local addresses that follow from them.

use std::net::Ipv6Addr;

/// An Ethernet address.
pub(crate) type Mac = [u8; 6];

pub(crate) const BRIDGE: Mac = [0x02, b'i', b'o', 0, 0, 0];

/// The MAC of the host's port towards a phone, at its `plugs`th attachment. A phone names it in its USB descriptors
/// (protocol.md §1.5).
pub(crate) fn phone_port(number: u16, plugs: u16) -> Mac {
    // 12 bits for each; the last byte differs from that of a phone's own end.
    let [_, high, middle, low] = ((u32::from(number) << 12) | u32::from(plugs & 0xfff)).to_be_bytes();
    [0x02, b'i', high, middle, low, 0x01]
}

/// A phone's own MAC: the host's with the last byte inverted.
///
/// Source: protocol.md §1.7 (the device's link-local address).
pub(crate) fn phone(port: Mac) -> Mac {
    let [a, b, c, d, e, last] = port;
    [a, b, c, d, e, last ^ 0xff]
}

/// The MAC of the host's port towards the VM.
pub(crate) fn vm_port(plugs: u16) -> Mac {
    let [high, low] = plugs.to_be_bytes();
    [0x02, b'i', b'o', 0xff, high, low]
}

/// The VM's MAC. It keeps it over replugs, as a VM does; the vendor part is that of QEMU.
pub(crate) const VM: Mac = [0x52, 0x54, 0x00, b'i', b'o', b's'];

/// The link-local address that the kernel makes of a MAC (RFC 4291, appendix A).
pub(crate) fn link_local(mac: Mac) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac;
    Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_phones_mac_is_the_ports_with_the_last_byte_inverted() {
        assert_eq!(phone([0x02, 1, 2, 3, 4, 0x01]), [0x02, 1, 2, 3, 4, 0xfe]);
    }

    #[test]
    fn no_two_ends_of_a_lab_share_a_mac() {
        let mut seen = BTreeSet::from([BRIDGE, VM]);
        for plugs in [1, 2, 255, 256, 1000] {
            assert!(seen.insert(vm_port(plugs)));
            for number in [1, 2, 100, 127, 255, 257, 1000] {
                let port = phone_port(number, plugs);
                assert!(seen.insert(port) && seen.insert(phone(port)), "{number} {plugs}");
            }
        }
    }

    #[test]
    fn the_link_local_address_is_made_as_the_kernel_makes_it() {
        assert_eq!(link_local(VM), "fe80::5054:ff:fe69:6f73".parse::<Ipv6Addr>().unwrap());
    }
}
