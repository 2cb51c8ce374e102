//! Parameters of a URL, read as Python's `parse_qsl` reads them, and numbers as pydantic reads them.

use percent_encoding::percent_decode;

/// The parameters of a request, in their order.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what is behind the question mark; nothing in it is wrong.
    pub(super) fn parse(text: Option<&str>) -> Self {
        let pairs = text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (plain(name), plain(value))
        };
        Self(pairs.map(pair).collect())
    }

    /// The last parameter of that name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

fn plain(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode(spaced.as_bytes()).decode_utf8_lossy().into_owned()
}

/// A whole number as pydantic reads one from a text: with spaces around, a sign, underscores between digits, and a
/// fraction of zeros. Numbers beyond the range end at its border.
pub(super) fn integer(text: &str) -> Option<i64> {
    let text = text.trim();
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let in_order = !whole.is_empty()
        && !whole.starts_with('_')
        && !whole.ends_with('_')
        && !whole.contains("__")
        && whole.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
        && !fraction.is_empty()
        && fraction.bytes().all(|byte| byte == b'0');
    if !in_order {
        return None;
    }
    let digits = whole.bytes().filter(u8::is_ascii_digit).map(|byte| i64::from(byte - b'0'));
    let value = digits.fold(0_i64, |value, digit| value.saturating_mul(10).saturating_add(digit));
    Some(if negative { value.saturating_neg() } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parameters_are_decoded_and_the_last_one_counts() {
        let query = Query::parse(Some("udid=a&udid=caf%C3%A9+%2B%ff&&empty&x=1=2"));
        assert_eq!(query.get("udid"), Some("caf\u{e9} +\u{fffd}"));
        assert_eq!((query.get("empty"), query.get("x"), query.get("y")), (Some(""), Some("1=2"), None));
        assert_eq!(Query::parse(None).get(""), None);
    }

    #[test]
    fn numbers_are_read_as_pydantic_reads_them() {
        let good = [("4", 4), (" 4\t", 4), ("+4", 4), ("-3.0", -3), ("1_0", 10), ("007", 7), ("2.000", 2)];
        for (text, value) in good {
            assert_eq!(integer(text), Some(value), "{text}");
        }
        for text in ["", " ", "-", "abc", "1.5", "4.", ".0", "_1", "1_", "1__0", "0x4", "1e3", "--1", "٣"] {
            assert_eq!(integer(text), None, "{text}");
        }
        assert_eq!(integer("99999999999999999999"), Some(i64::MAX));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".{0,64}") {
            let _ = Query::parse(Some(&text)).get("udid");
            let _ = integer(&text);
        }
    }
}
