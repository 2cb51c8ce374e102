//! What the phone's user does when a host asks to be trusted.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Digits of a PIN. Source: protocol.md §5.5 (the fixed one has as many).
const PIN_DIGITS: usize = 6;

/// The answer to a pair-setup. Source: architecture.md (the contract of `fakephone net`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PairPolicy {
    /// `accept`: asks the user, who taps Trust.
    #[default]
    Accept,
    /// `reject`: asks the user, who does not.
    Reject,
    /// `pin:NNNNNN`: shows a PIN, as an Apple TV.
    Pin(Pin),
    /// `backoff:SECONDS`: takes no attempt for so long after the first one, then asks and is trusted.
    BackOff(Duration),
}

/// A PIN of six digits; not shown in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin(String);

impl Pin {
    /// The digits.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(redacted)")
    }
}

/// A text that names no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one of accept, reject, pin:NNNNNN, backoff:SECONDS; found {0:?}")]
pub struct PolicyError(String);

impl FromStr for PairPolicy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || PolicyError(text.to_owned());
        match text.split_once(':') {
            None if text == "accept" => Ok(PairPolicy::Accept),
            None if text == "reject" => Ok(PairPolicy::Reject),
            Some(("pin", digits))
                if digits.len() == PIN_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                Ok(PairPolicy::Pin(Pin(digits.to_owned())))
            }
            // What the reply has room for. Source: protocol.md §5.3 (two bytes).
            Some(("backoff", seconds)) => seconds
                .parse::<u16>()
                .map(|seconds| PairPolicy::BackOff(Duration::from_secs(seconds.into())))
                .map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read() {
        for (text, policy) in [
            ("accept", PairPolicy::Accept),
            ("reject", PairPolicy::Reject),
            ("pin:012345", PairPolicy::Pin(Pin("012345".to_owned()))),
            ("backoff:8316", PairPolicy::BackOff(Duration::from_secs(8316))),
        ] {
            assert_eq!(text.parse(), Ok(policy), "{text}");
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_list() {
        for text in
            ["", "Accept", "pin", "pin:", "pin:12345", "pin:12345a", "backoff", "backoff:-1", "backoff:65536"]
        {
            let error = text.parse::<PairPolicy>().unwrap_err().to_string();
            assert!(error.contains("pin:NNNNNN") && error.contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn a_pin_is_not_shown() {
        let policy: PairPolicy = "pin:123456".parse().unwrap();
        assert_eq!(format!("{policy:?}"), "Pin(Pin(redacted))");
    }
}
