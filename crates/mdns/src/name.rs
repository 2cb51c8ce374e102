//! Domain names: labels of bytes, compared without ASCII case.

use std::{
    cmp::Ordering,
    fmt::{self, Write as _},
    hash::{Hash, Hasher},
};

use crate::error::NameError;

/// Longest label in bytes. Source: RFC 1035 §2.3.4.
const MAX_LABEL: usize = 63;
/// Longest name in bytes with length bytes and the root. Source: RFC 1035 §2.3.4.
const MAX_NAME: usize = 255;

/// A fully qualified domain name of at most 255 bytes.
///
/// Held as on the wire without the final zero: a length byte before each label. Length bytes are below 64, so folding
/// ASCII letters over the whole buffer never touches one, and comparing buffers compares names.
#[derive(Clone)]
pub struct Name(Box<[u8]>);

impl Name {
    /// Builds a name from its labels.
    ///
    /// # Errors
    /// An empty or too long label, or a name above 255 bytes.
    pub fn from_labels<'a>(labels: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, NameError> {
        let mut wire = Vec::with_capacity(32);
        for label in labels {
            let length = match u8::try_from(label.len()) {
                Ok(0) => return Err(NameError::EmptyLabel),
                Ok(length) if label.len() <= MAX_LABEL => length,
                _ => return Err(NameError::LabelTooLong(label.len())),
            };
            wire.push(length);
            wire.extend_from_slice(label);
            let total = wire.len().saturating_add(1);
            if total > MAX_NAME {
                return Err(NameError::TooLong(total));
            }
        }
        Ok(Self(wire.into_boxed_slice()))
    }

    /// Reads dotted text such as `_remoted._tcp.local`; one dot at the end is accepted, nothing is unescaped.
    ///
    /// # Errors
    /// As [`Name::from_labels`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        Self::from_labels(text.strip_suffix('.').unwrap_or(text).split('.').map(str::as_bytes))
    }

    /// The name with one more label in front.
    ///
    /// # Errors
    /// As [`Name::from_labels`].
    pub fn child(&self, label: &[u8]) -> Result<Self, NameError> {
        Self::from_labels(std::iter::once(label).chain(self.labels()))
    }

    /// The labels, from the first.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest: &[u8] = &self.0;
        std::iter::from_fn(move || {
            let (length, tail) = rest.split_first()?;
            let (label, tail) = tail.split_at_checked(usize::from(*length))?;
            rest = tail;
            Some(label)
        })
    }

    /// The first label when the rest of the name equals `parent`.
    pub fn label_under(&self, parent: &Name) -> Option<&[u8]> {
        let (length, tail) = self.0.split_first()?;
        let (label, rest) = tail.split_at_checked(usize::from(*length))?;
        rest.eq_ignore_ascii_case(&parent.0).then_some(label)
    }

    /// Length on the wire without compression, in bytes.
    pub fn wire_len(&self) -> usize {
        self.0.len().saturating_add(1)
    }
}

/// A label as text: UTF-8 as it is, a backslash doubled, any other byte and controls as `\DDD`; distinct labels give
/// distinct texts.
pub fn label_text(label: &[u8]) -> String {
    let mut text = String::with_capacity(label.len());
    for chunk in label.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                c if c.is_ascii_control() => push_escaped(&mut text, c as u8),
                c => text.push(c),
            }
        }
        chunk.invalid().iter().for_each(|byte| push_escaped(&mut text, *byte));
    }
    text
}

fn push_escaped(text: &mut String, byte: u8) {
    // Writing to a String can't fail.
    let _ = write!(text, "\\{byte:03}");
}

impl fmt::Display for Name {
    /// Dotted text without the final dot; dots inside a label are escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(".");
        }
        for (index, label) in self.labels().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            f.write_str(&label_text(label).replace('.', "\\."))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.iter().for_each(|byte| state.write_u8(byte.to_ascii_lowercase()));
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.iter().map(u8::to_ascii_lowercase).cmp(other.0.iter().map(u8::to_ascii_lowercase))
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_without_ascii_case() {
        let a = Name::parse("NCM._Remoted._tcp.LOCAL.").unwrap();
        let b = Name::parse("ncm._remoted._tcp.local").unwrap();
        assert_eq!(a, b);
        assert_eq!(a.cmp(&b), Ordering::Equal);
        assert_eq!(a.label_under(&Name::parse("_remoted._tcp.local").unwrap()), Some(&b"NCM"[..]));
        assert_eq!(a.label_under(&Name::parse("_tcp.local").unwrap()), None);
        assert_eq!(a.to_string(), "NCM._Remoted._tcp.LOCAL");
    }

    #[test]
    fn refuses_what_is_not_a_name() {
        assert_eq!(Name::parse("a..b").unwrap_err(), NameError::EmptyLabel);
        assert_eq!(Name::parse(&"x".repeat(64)).unwrap_err(), NameError::LabelTooLong(64));
        let long = ["y".repeat(63), "y".repeat(63), "y".repeat(63), "y".repeat(63)].join(".");
        assert_eq!(Name::parse(&long).unwrap_err(), NameError::TooLong(257));
    }

    #[test]
    fn shows_any_label() {
        let name = Name::from_labels([&b"J\xf6rg's i.Phone\\\x01"[..], b"local"]).unwrap();
        assert_eq!(name.to_string(), "J\\246rg's i\\.Phone\\\\\\001.local");
        assert_eq!(label_text("Jörg's i.Phone".as_bytes()), "Jörg's i.Phone");
    }
}
