//! iOS versions, as far as behaviour depends on them.

use std::fmt;
use std::str::FromStr;

/// An iOS version such as `17.0.3`; missing parts count as zero when compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IosVersion {
    text: String,
    numbers: [u32; 3],
}

/// From this version on `remoted` keeps one RSD connection per peer and re-attaches when a peer's UUID changes.
///
/// Source: protocol.md §4.1 "Peer lifetime".
const ONE_CONNECTION_PER_PEER: [u32; 3] = [27, 2, 0];

impl IosVersion {
    /// Whether the rules of iOS 27.2 hold: one RSD connection per peer, re-attach on a changed UUID.
    #[must_use]
    pub fn has_peer_rules(&self) -> bool {
        self.numbers >= ONE_CONNECTION_PER_PEER
    }
}

/// A text that is no iOS version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an iOS version of one to three numbers such as 17.0.3, found {0:?}")]
pub struct VersionError(String);

impl FromStr for IosVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut numbers = [0; 3];
        let mut parts = text.split('.');
        for number in &mut numbers {
            let Some(part) = parts.next() else { break };
            // `u32::from_str` would also take "+17".
            if !part.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(VersionError(text.to_owned()));
            }
            *number = part.parse().map_err(|_| VersionError(text.to_owned()))?;
        }
        if parts.next().is_some() {
            return Err(VersionError(text.to_owned()));
        }
        Ok(IosVersion { text: text.to_owned(), numbers })
    }
}

impl fmt::Display for IosVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_rules_start_with_27_2() {
        for (text, expected) in [
            ("17", false),
            ("17.0.3", false),
            ("27.1.9", false),
            ("27.2", true),
            ("27.10", true),
            ("28.0.1", true),
        ] {
            let version: IosVersion = text.parse().unwrap();
            assert_eq!(version.has_peer_rules(), expected, "{text}");
            assert_eq!(version.to_string(), text);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "iOS 17", "17.", "17.0.3.1", "-1", "+17", "17.x", "99999999999"] {
            assert!(text.parse::<IosVersion>().is_err(), "{text}");
        }
    }
}
