//! UDIDs as people write them.

use std::fmt;
use std::str::FromStr;

/// Digits before the dash of a newer UDID.
const BEFORE_DASH: usize = 8;
/// Digits of a newer UDID, the dash left aside.
const NEWER: usize = 24;
/// Digits of an older UDID, which has no dash.
const OLDER: usize = 40;

/// A phone's UDID in the form that the phone itself uses.
///
/// Newer ones are 24 hexadecimal digits in upper case with a dash after the eighth, older ones 40 in lower case; tools
/// leave the dash out. Source: protocol.md §1.1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Udid(String);

/// A text that is no UDID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no UDID: 24 hexadecimal digits (with a dash after the first 8, or without) or 40 were expected, as in \
     00008020-0000000000001234"
)]
pub struct UdidError(String);

impl Udid {
    /// The normal form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Udid {
    type Err = UdidError;

    fn from_str(text: &str) -> Result<Self, UdidError> {
        let wrong = || UdidError(text.to_owned());
        let dashed = text.split_once('-');
        let digits = match dashed {
            Some((head, tail)) if head.len() == BEFORE_DASH => format!("{head}{tail}"),
            Some(_) => return Err(wrong()),
            None => text.to_owned(),
        };
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        match digits.len() {
            NEWER => {
                let (head, tail) = digits.split_at(BEFORE_DASH);
                Ok(Self(format!("{head}-{tail}").to_ascii_uppercase()))
            }
            OLDER if dashed.is_none() => Ok(Self(digits.to_ascii_lowercase())),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Udid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_and_without_dash_and_in_any_case_it_is_the_same() {
        let forms = ["00008020-0000000000abcdef", "000080200000000000ABCDEF", "00008020-0000000000ABCDEF"];
        for form in forms {
            assert_eq!(form.parse::<Udid>().unwrap().as_str(), "00008020-0000000000ABCDEF", "{form}");
        }
        let older = "0123456789ABCDEF0123456789abcdef01234567";
        assert_eq!(older.parse::<Udid>().unwrap().as_str(), older.to_ascii_lowercase());
    }

    #[test]
    fn what_is_none_is_refused() {
        let texts = [
            "",
            "-",
            "222222222",
            "00008020-00000000000012345",
            "00008020-000000000000123",
            "0000802-00000000000001234",
            "00008020-0000-0000000001234",
            "00008020-000000000000123g",
            "01234567-89abcdef0123456789abcdef01234567",
            "éééééééééééé",
        ];
        for text in texts {
            assert_eq!(text.parse::<Udid>(), Err(UdidError(text.to_owned())));
        }
    }
}
