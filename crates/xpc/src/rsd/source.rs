//! One reading of RSD dictionaries for both forms of an object: [`View`] and `&Object`.

use uuid::Uuid;

use super::error::RsdError;
use super::key;
use crate::{Dictionary, Kind, Object, View};

/// What the typed readers ask of a value; `'a` is how long its texts live.
pub(super) trait Source<'a>: Copy {
    fn kind(self) -> Kind;
    fn text(self) -> Option<&'a str>;
    fn number(self) -> Option<u64>;
    fn truth(self) -> Option<bool>;
    fn id(self) -> Option<Uuid>;
    /// Keys as bytes, because most are only compared; [`name`] makes a text of one.
    fn entries(self) -> Option<impl Iterator<Item = (&'a [u8], Self)>>;
    fn items(self) -> Option<impl Iterator<Item = Self>>;
    fn owned(self) -> Object;
    fn owned_entries(self) -> Option<Dictionary>;
}

impl<'a> Source<'a> for View<'a> {
    #[inline]
    fn kind(self) -> Kind {
        View::kind(&self)
    }
    #[inline]
    fn text(self) -> Option<&'a str> {
        self.as_str()
    }
    #[inline]
    fn number(self) -> Option<u64> {
        self.as_u64()
    }
    #[inline]
    fn truth(self) -> Option<bool> {
        self.as_bool()
    }
    fn id(self) -> Option<Uuid> {
        self.as_uuid()
    }
    #[inline]
    fn entries(self) -> Option<impl Iterator<Item = (&'a [u8], Self)>> {
        self.as_dictionary().map(|entries| entries.raw_iter())
    }
    #[inline]
    fn items(self) -> Option<impl Iterator<Item = Self>> {
        self.as_array().map(IntoIterator::into_iter)
    }
    fn owned(self) -> Object {
        self.into()
    }
    fn owned_entries(self) -> Option<Dictionary> {
        self.as_dictionary().map(Dictionary::from)
    }
}

impl<'a> Source<'a> for &'a Object {
    fn kind(self) -> Kind {
        Object::kind(self)
    }
    fn text(self) -> Option<&'a str> {
        self.as_str()
    }
    fn number(self) -> Option<u64> {
        self.as_u64()
    }
    fn truth(self) -> Option<bool> {
        self.as_bool()
    }
    fn id(self) -> Option<Uuid> {
        self.as_uuid()
    }
    fn entries(self) -> Option<impl Iterator<Item = (&'a [u8], Self)>> {
        Some(self.as_dictionary()?.iter().map(|(key, value)| (key.as_bytes(), value)))
    }
    fn items(self) -> Option<impl Iterator<Item = Self>> {
        self.as_array().map(<[Object]>::iter)
    }
    fn owned(self) -> Object {
        self.clone()
    }
    fn owned_entries(self) -> Option<Dictionary> {
        self.as_dictionary().cloned()
    }
}

/// Where a key is, for errors only: nothing is built until one is made.
#[derive(Clone, Copy)]
pub(super) enum Path<'p> {
    /// The message itself.
    Root,
    /// A key of the message.
    Message(&'static str),
    /// An entry of Services.
    Service(&'p str),
    /// A key of a service.
    ServiceKey(&'p str, &'static str),
    /// A key of a service's Properties.
    ServiceProperty(&'p str, &'static str),
}

impl Path<'_> {
    #[cold]
    fn text(self) -> String {
        match self {
            Path::Root => "the message itself".to_owned(),
            Path::Message(key) => key.to_owned(),
            Path::Service(name) => format!("{}.{}", key::SERVICES, clip(name)),
            Path::ServiceKey(name, key) => format!("{}.{}.{key}", key::SERVICES, clip(name)),
            Path::ServiceProperty(name, key) => {
                format!("{}.{}.{}.{key}", key::SERVICES, clip(name), key::PROPERTIES)
            }
        }
    }

    #[cold]
    pub(super) fn missing(self, expected: Kind) -> RsdError {
        RsdError::MissingKey { path: self.text(), expected }
    }

    #[cold]
    pub(super) fn wrong(self, expected: Kind, found: Kind) -> RsdError {
        RsdError::WrongType { path: self.text(), expected, found }
    }

    #[cold]
    pub(super) fn bad_port(self, found: &str) -> RsdError {
        RsdError::BadPort { path: self.text(), found: clip(found) }
    }

    #[inline]
    pub(super) fn string<'a, S: Source<'a>>(self, value: S) -> Result<&'a str, RsdError> {
        value.text().ok_or_else(|| self.wrong(Kind::String, value.kind()))
    }

    #[inline]
    pub(super) fn uint64<'a, S: Source<'a>>(self, value: S) -> Result<u64, RsdError> {
        value.number().ok_or_else(|| self.wrong(Kind::Uint64, value.kind()))
    }

    #[inline]
    pub(super) fn bool<'a, S: Source<'a>>(self, value: S) -> Result<bool, RsdError> {
        value.truth().ok_or_else(|| self.wrong(Kind::Bool, value.kind()))
    }

    pub(super) fn uuid<'a, S: Source<'a>>(self, value: S) -> Result<Uuid, RsdError> {
        value.id().ok_or_else(|| self.wrong(Kind::Uuid, value.kind()))
    }

    #[inline]
    pub(super) fn entries<'a, S: Source<'a>>(
        self,
        value: S,
    ) -> Result<impl Iterator<Item = (&'a [u8], S)>, RsdError> {
        value.entries().ok_or_else(|| self.wrong(Kind::Dictionary, value.kind()))
    }

    #[inline]
    pub(super) fn items<'a, S: Source<'a>>(self, value: S) -> Result<impl Iterator<Item = S>, RsdError> {
        value.items().ok_or_else(|| self.wrong(Kind::Array, value.kind()))
    }
}

/// The text of a key, which is UTF-8 in both forms.
#[inline]
pub(super) fn name(key: &[u8]) -> &str {
    std::str::from_utf8(key).unwrap_or_default()
}

/// A peer's text in an error: at most 64 characters.
pub(super) fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}
