//! How often hosts came to a phone.

/// The TCP connections to RSD and to services that a phone has accepted so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Visits {
    /// To RSD on the link, at either port.
    pub rsd_on_link: u64,
    /// To RSD inside of tunnels.
    pub rsd_in_tunnel: u64,
    /// To services, on the link and inside of tunnels.
    pub services: u64,
}
