//! JSON and texts as Python's standard library writes them.

use std::io;

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, Serializer};

/// Spaces behind commas and colons, and nothing but ASCII.
struct Dumps;

impl Formatter for Dumps {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        let mut units = [0; 2];
        for letter in text.chars() {
            match letter {
                '\u{20}'..='\u{7e}' => writer.write_all(&[letter as u8])?,
                _ => {
                    for unit in letter.encode_utf16(&mut units) {
                        write!(writer, "\\u{unit:04x}")?;
                    }
                }
            }
        }
        Ok(())
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        match escape {
            CharEscape::Quote => writer.write_all(b"\\\""),
            CharEscape::ReverseSolidus => writer.write_all(b"\\\\"),
            CharEscape::Solidus => writer.write_all(b"/"),
            CharEscape::Backspace => writer.write_all(b"\\b"),
            CharEscape::FormFeed => writer.write_all(b"\\f"),
            CharEscape::LineFeed => writer.write_all(b"\\n"),
            CharEscape::CarriageReturn => writer.write_all(b"\\r"),
            CharEscape::Tab => writer.write_all(b"\\t"),
            CharEscape::AsciiControl(byte) => write!(writer, "\\u{byte:04x}"),
        }
    }
}

/// What `json.dumps` makes of it.
pub(super) fn dumps(value: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    // Writing to a Vec does not fail, and every key that is sent is a text.
    let _ = value.serialize(&mut Serializer::with_formatter(&mut out, Dumps));
    out
}

/// What `repr` makes of a text.
pub(super) fn repr(text: &str) -> String {
    use std::fmt::Write as _;

    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len().saturating_add(2));
    out.push(quote);
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if letter == quote => out.extend(['\\', quote]),
            '\0'..='\u{1f}' | '\u{7f}'..='\u{a0}' | '\u{ad}' => {
                let _ = write!(out, "\\x{:02x}", u32::from(letter));
            }
            _ => out.push(letter),
        }
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn json_has_spaces_and_only_ascii() {
        let value = json!({"a": [1, null, true, {}], "b": "caf\u{e9} \"\\/\n\u{1}\u{7f}\u{1f600}", "c": []});
        let text = String::from_utf8(dumps(&value)).unwrap();
        let expected =
            r#"{"a": [1, null, true, {}], "b": "caf\u00e9 \"\\/\n\u0001\u007f\ud83d\ude00", "c": []}"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn texts_are_quoted_as_repr_quotes() {
        assert_eq!(repr("plain"), "'plain'");
        assert_eq!(repr("it's"), "\"it's\"");
        assert_eq!(repr("it's \"so\""), "'it\\'s \"so\"'");
        assert_eq!(repr("a\\b\n\u{1}\u{e9}\u{85}"), "'a\\\\b\\n\\x01\u{e9}\\x85'");
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in "\\PC{0,32}|[\\x00-\\x7f]{0,32}") {
            let written = dumps(&json!({&text: [&text]}));
            prop_assert!(written.is_ascii());
            prop_assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), json!({&text: [&text]}));
        }
    }
}
