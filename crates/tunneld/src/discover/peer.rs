//! Fixed addresses from the configuration.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use super::RSD_PORT;

/// An address where a phone may be although nothing on the link says so.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Peer {
    /// `fe80::1%eth0`, `[fe80::1%eth0]:58783`: on one interface.
    OnLink {
        /// The link-local address.
        address: Ipv6Addr,
        /// The interface's name.
        interface: String,
        /// The port of RSD; 58783 where the text has none.
        port: u16,
    },
    /// `host:58783`, `[2001:db8::1]:58783`, `2001:db8::1`: wherever the routes lead.
    Routed {
        /// A name or an IPv6 address.
        host: String,
        /// The port of RSD; 58783 where the text has none.
        port: u16,
    },
}

/// A text that is no peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a peer such as fe80::1%eth0, [2001:db8::1]:58783 or host:58783 was expected, {text:?} came: {wrong}"
)]
pub struct PeerError {
    text: String,
    wrong: &'static str,
}

impl FromStr for Peer {
    type Err = PeerError;

    fn from_str(text: &str) -> Result<Self, PeerError> {
        let error = |wrong| PeerError { text: text.to_owned(), wrong };
        let (host, port) = split(text).map_err(error)?;
        if let Some((address, interface)) = host.split_once('%') {
            let address = address.parse::<Ipv6Addr>().map_err(|_| error("no IPv6 address before the %"))?;
            if interface.is_empty() || !address.is_unicast_link_local() {
                return Err(error("% and an interface's name belong behind a link-local address, fe80::…"));
            }
            return Ok(Self::OnLink { address, interface: interface.to_owned(), port });
        }
        match host.parse::<Ipv6Addr>() {
            Ok(address) if address.is_unicast_link_local() => {
                Err(error("a link-local address needs its interface behind it: fe80::1%eth0"))
            }
            Ok(address) if address.is_multicast() || address.is_unspecified() => {
                Err(error("nobody has this address"))
            }
            Err(_) if host.is_empty() || host.contains(|c: char| c.is_whitespace() || "[]:/".contains(c)) => {
                Err(error("no name and no IPv6 address"))
            }
            Err(_) if host.parse::<std::net::Ipv4Addr>().is_ok() => Err(error("phones have IPv6 only")),
            _ => Ok(Self::Routed { host: host.to_owned(), port }),
        }
    }
}

/// The host and the port: in brackets, bare, or with a colon between.
fn split(text: &str) -> Result<(&str, u16), &'static str> {
    let number = |port: &str| match port.parse() {
        Ok(0) | Err(_) => Err("the port is no number from 1 to 65535"),
        Ok(port) => Ok(port),
    };
    if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or("a ] is missing")?;
        return match port.strip_prefix(':') {
            Some(port) => Ok((host, number(port)?)),
            None if port.is_empty() => Ok((host, RSD_PORT)),
            None => Err("only :PORT may follow the ]"),
        };
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => Ok((host, number(port)?)),
        _ => Ok((text, RSD_PORT)),
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnLink { address, interface, port } => write!(f, "[{address}%{interface}]:{port}"),
            Self::Routed { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Routed { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written_back() {
        for (text, written) in [
            ("fe80::1%eth0", "[fe80::1%eth0]:58783"),
            ("[fe80::1%eth0]:1234", "[fe80::1%eth0]:1234"),
            ("[fe80::1%eth0]", "[fe80::1%eth0]:58783"),
            ("2001:db8::1", "[2001:db8::1]:58783"),
            ("[2001:db8::1]:1", "[2001:db8::1]:1"),
            ("phone.example", "phone.example:58783"),
            ("phone.example:65535", "phone.example:65535"),
        ] {
            let peer: Peer = text.parse().unwrap();
            assert_eq!(peer.to_string(), written);
            assert_eq!(written.parse(), Ok(peer));
        }
    }

    #[test]
    fn the_rest_is_refused_with_what_is_wrong() {
        for (text, wrong) in [
            ("", "no name"),
            ("fe80::1", "needs its interface"),
            ("fe80::1%", "interface's name"),
            ("2001:db8::1%eth0", "link-local"),
            ("x%eth0", "before the %"),
            ("[fe80::1%eth0", "] is missing"),
            ("[::1]x", "may follow"),
            ("host:0", "port"),
            ("host:65536", "port"),
            (":1", "no name"),
            ("a b:1", "no name"),
            ("http://host", "port"),
            ("ff02::1", "nobody"),
            ("192.0.2.1:5", "IPv6 only"),
        ] {
            let error = text.parse::<Peer>().unwrap_err();
            assert!(error.to_string().contains(wrong), "{text}: {error}");
        }
    }
}
