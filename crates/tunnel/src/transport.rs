//! Which transport an iOS version's tunnel has.

use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// How packets travel to the phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP with TLS 1.2 and a pre-shared key.
    Tcp,
    /// QUIC datagrams.
    Quic,
}

/// No tunnel by that transport at that version.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TransportError {
    /// Not a version such as `17.0.3`.
    #[error("an iOS version such as 18.1 was expected, {0:?} came")]
    Version(String),
    /// Before tunnels. Source: protocol.md §5.11.
    #[error(
        "iOS 17 or later is needed for a tunnel, this is {0}; older ones are reached through lockdown only"
    )]
    TooOld(String),
    /// QUIC where there is none. Source: protocol.md §5.11 (removed in 18.2).
    #[error("iOS 17.0 to 18.1 have QUIC tunnels, this is {0}; use tcp")]
    NoQuic(String),
    /// An unknown name.
    #[error("tcp or quic was expected, {0:?} came")]
    Name(String),
}

impl Transport {
    /// The transports of an iOS version, the preferred one first: TCP works wherever there are tunnels at all, QUIC
    /// from 17.0 to 18.1. Source: protocol.md §5.8, §5.11.
    pub fn offered_by(ios: &str) -> Result<&'static [Self], TransportError> {
        let version = parse(ios)?;
        if version < (17, 0) {
            return Err(TransportError::TooOld(ios.to_owned()));
        }
        Ok(if version < (18, 2) { &[Self::Tcp, Self::Quic] } else { &[Self::Tcp] })
    }

    /// The transport to use with an iOS version.
    pub fn for_ios(ios: &str) -> Result<Self, TransportError> {
        Self::choose(ios, None)
    }

    /// The transport to use with an iOS version, or the one that the user `wants` if the version has it.
    pub fn choose(ios: &str, wants: Option<Self>) -> Result<Self, TransportError> {
        let offered = Self::offered_by(ios)?;
        match wants {
            None => Ok(offered.first().copied().unwrap_or(Self::Tcp)),
            Some(wanted) if offered.contains(&wanted) => Ok(wanted),
            Some(_) => Err(TransportError::NoQuic(ios.to_owned())),
        }
    }
}

impl fmt::Display for Transport {
    /// The word of `transportProtocolType`. Source: protocol.md §5.7.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Quic => "quic",
        })
    }
}

impl FromStr for Transport {
    type Err = TransportError;

    fn from_str(text: &str) -> Result<Self, TransportError> {
        match text {
            "tcp" => Ok(Self::Tcp),
            "quic" => Ok(Self::Quic),
            other => Err(TransportError::Name(other.to_owned())),
        }
    }
}

/// Major and minor version.
fn parse(ios: &str) -> Result<(u16, u16), TransportError> {
    let wrong = || TransportError::Version(ios.to_owned());
    let mut parts = ios.split('.').map(|part| part.parse::<u16>().map_err(|_| wrong()));
    let major = parts.next().ok_or_else(wrong)??;
    let minor = parts.next().unwrap_or(Ok(0))?;
    for rest in parts {
        rest?;
    }
    Ok((major, minor))
}

#[cfg(test)]
mod tests {
    use super::Transport::{Quic, Tcp};
    use super::*;

    #[test]
    fn each_version_has_its_transports() {
        for (ios, offered) in [
            ("17.0", [Tcp, Quic].as_slice()),
            ("17.0.3", &[Tcp, Quic]),
            ("18", &[Tcp, Quic]),
            ("18.1", &[Tcp, Quic]),
            ("18.1.1", &[Tcp, Quic]),
            ("18.2", &[Tcp]),
            ("18.10", &[Tcp]),
            ("26.5", &[Tcp]),
            ("27.2", &[Tcp]),
        ] {
            assert_eq!(Transport::offered_by(ios).unwrap(), offered, "{ios}");
            assert_eq!(Transport::for_ios(ios).unwrap(), Tcp, "{ios}");
            assert_eq!(Transport::choose(ios, Some(Tcp)).unwrap(), Tcp, "{ios}");
            assert_eq!(Transport::choose(ios, Some(Quic)).is_ok(), offered.contains(&Quic), "{ios}");
        }
    }

    #[test]
    fn what_has_no_tunnel_is_named() {
        assert_eq!(Transport::for_ios("16.7"), Err(TransportError::TooOld("16.7".into())));
        assert_eq!(Transport::choose("18.2", Some(Quic)), Err(TransportError::NoQuic("18.2".into())));
        for ios in ["", "iOS 17", "17.", "17.x", "-17", "17.0.beta", "70000.1"] {
            assert_eq!(Transport::for_ios(ios), Err(TransportError::Version(ios.into())), "{ios}");
        }
    }

    #[test]
    fn names_are_those_of_the_protocol() {
        for transport in [Tcp, Quic] {
            assert_eq!(transport.to_string().parse(), Ok(transport));
        }
        assert!("udp".parse::<Transport>().is_err());
    }
}
