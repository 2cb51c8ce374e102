//! Which interfaces are meant: by name, by pattern, or all that can have neighbours.

use std::fmt;
use std::str::FromStr;

use wildmatch::WildMatch;

use crate::interface::{Interface, Kind};

/// The text for [`Selection::AllButTunnels`] in a configuration.
pub const ALL_BUT_TUNNELS: &str = "all-but-tunnels";
/// What all interfaces of our own tunnels begin with. A phone is never looked for inside of a tunnel.
const OWN_TUNNELS: &str = "iosmux-tun";
/// Interfaces that are tunnels by their names, where the kernel's flags don't say so.
const TUNNELS: [&str; 8] = ["tun", "utun", "wg", "ipsec", "ppp", "gif", "stf", "tailscale"];
/// Bytes of a name, without the final zero. Source: Linux, include/uapi/linux/if.h (IFNAMSIZ); the same on Darwin.
const NAME_BYTES: usize = 15;

/// A name in which `*` stands for any text and `?` for one character.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern(WildMatch);

/// A text that can be no interface's name nor a pattern of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "an interface's name, a pattern such as en* or {ALL_BUT_TUNNELS} was expected, {0:?} came: names have 1 to \
     {NAME_BYTES} bytes without spaces and slashes"
)]
pub struct PatternError(String);

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let letters = text.chars().filter(|letter| *letter != '*').map(char::len_utf8).sum::<usize>();
        let odd = text.chars().any(|letter| letter == '/' || letter.is_whitespace() || letter.is_control());
        if text.is_empty() || odd || letters > NAME_BYTES {
            return Err(PatternError(text.to_owned()));
        }
        Ok(Self(WildMatch::new(text)))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Pattern {
    /// Whether a name fits.
    pub fn fits(&self, name: &str) -> bool {
        self.0.matches(name)
    }

    /// The one name that fits, when it is no pattern.
    pub fn name(&self) -> Option<String> {
        let text = self.0.to_string();
        (!text.contains(['*', '?'])).then_some(text)
    }
}

/// Which interfaces are meant.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Selection {
    /// Every one that can have neighbours: neither loopback, point-to-point, tun, utun nor WireGuard.
    #[default]
    AllButTunnels,
    /// Those whose names fit one of these.
    Fitting(Vec<Pattern>),
}

impl Selection {
    /// Reads names and patterns; none at all, or [`ALL_BUT_TUNNELS`] among them, is that.
    ///
    /// # Errors
    /// [`PatternError`] for the first text that is neither.
    pub fn parse<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, PatternError> {
        let (mut patterns, mut all) = (Vec::new(), false);
        for text in texts {
            match text.as_ref() {
                ALL_BUT_TUNNELS => all = true,
                text => patterns.push(text.parse()?),
            }
        }
        Ok(if all || patterns.is_empty() { Self::AllButTunnels } else { Self::Fitting(patterns) })
    }

    /// Whether this interface is meant; those of our own tunnels never are.
    pub fn chooses(&self, interface: &Interface) -> bool {
        let name = interface.name.as_str();
        if name.starts_with(OWN_TUNNELS) {
            return false;
        }
        match self {
            Self::Fitting(patterns) => patterns.iter().any(|pattern| pattern.fits(name)),
            Self::AllButTunnels => interface.kind == Kind::Shared && !is_tunnel_name(name),
        }
    }

    /// The names that are meant whether they exist or not.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Fitting(patterns) => patterns.iter().filter_map(Pattern::name).collect(),
            Self::AllButTunnels => Vec::new(),
        }
    }
}

/// `utun3`, `wg0`, `tun7`: one of the words and a number.
fn is_tunnel_name(name: &str) -> bool {
    let rest = TUNNELS.iter().filter_map(|word| name.strip_prefix(word));
    rest.into_iter().any(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, kind: Kind) -> Interface {
        Interface { name: name.into(), index: 2, up: true, running: true, kind, addresses: Vec::new() }
    }

    fn chosen(selection: &Selection, names: &[&str]) -> Vec<String> {
        let chosen = names.iter().filter(|name| selection.chooses(&interface(name, Kind::Shared)));
        chosen.map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn names_and_patterns() {
        let names = ["eth0", "eth01", "enp3s0", "en0", "en12", "iosmux-tun0"];
        let selection = |texts: &[&str]| Selection::parse(texts).unwrap();
        assert_eq!(chosen(&selection(&["eth0"]), &names), ["eth0"]);
        assert_eq!(chosen(&selection(&["en*"]), &names), ["enp3s0", "en0", "en12"]);
        assert_eq!(chosen(&selection(&["en?", "eth0"]), &names), ["eth0", "en0"]);
        assert_eq!(chosen(&selection(&["*"]), &names), names[..5], "never inside of our own tunnels");
        assert_eq!(selection(&["eth0", "en*", "wlan0"]).names(), ["eth0", "wlan0"]);
    }

    #[test]
    fn all_but_tunnels_is_the_default_and_leaves_tunnels_out() {
        for texts in [&[][..], &["all-but-tunnels"], &["eth0", "all-but-tunnels"]] {
            assert_eq!(Selection::parse(texts), Ok(Selection::AllButTunnels));
        }
        let names = ["eth0", "br-phones", "utun3", "wg0", "tun7", "iosmux-tun0", "tuner0", "wlan0", "wg-vpn"];
        let all = Selection::default();
        assert_eq!(chosen(&all, &names), ["eth0", "br-phones", "tuner0", "wlan0", "wg-vpn"]);
        for kind in [Kind::Loopback, Kind::PointToPoint, Kind::Port] {
            assert!(!all.chooses(&interface("eth0", kind)));
        }
    }

    #[test]
    fn what_can_be_no_name_is_refused() {
        for text in ["", "a b", "a/b", "sixteen-letters0", "a\n"] {
            assert_eq!(Selection::parse([text]), Err(PatternError(text.to_owned())), "{text:?}");
        }
        assert!(Selection::parse(["*fifteen-letter*"]).is_ok());
    }

    #[test]
    fn what_is_missing_is_said_in_words() {
        let mut one = interface("eth0", Kind::Shared);
        assert_eq!(one.missing(), Some("it has no usable link-local address yet"));
        one.addresses = vec!["fe80::1".parse().unwrap()];
        assert!(one.is_usable() && one.missing().is_none());
        one.running = false;
        assert_eq!((one.missing(), one.is_usable()), (Some("it has no carrier"), false));
        one.up = false;
        assert_eq!(one.missing(), Some("it is down"));
        one.kind = Kind::Port;
        assert!(one.missing().unwrap().contains("bridge"));
    }
}
