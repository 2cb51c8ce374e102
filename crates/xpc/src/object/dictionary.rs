//! An ordered dictionary that keeps what came, in the order it came.

use super::Object;

/// Keys and values in wire order.
///
/// A peer may send a key twice: both are kept, so that encoding gives back the same bytes, and [`Dictionary::get`] gives
/// the first. Lookups are linear: RemoteXPC dictionaries have tens of keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dictionary {
    entries: Vec<(String, Object)>,
}

impl Dictionary {
    /// An empty dictionary.
    pub const fn new() -> Self {
        Dictionary { entries: Vec::new() }
    }

    /// An empty dictionary with room for `entries` entries.
    pub(crate) fn with_capacity(entries: usize) -> Self {
        Dictionary { entries: Vec::with_capacity(entries) }
    }

    /// Sets the first value of `key`, or appends it, and gives the value that was there.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Object>) -> Option<Object> {
        let (key, value) = (key.into(), value.into());
        if let Some(there) = self.get_mut(&key) {
            return Some(std::mem::replace(there, value));
        }
        self.entries.push((key, value));
        None
    }

    /// Appends an entry even if the key is there already.
    pub fn push(&mut self, key: impl Into<String>, value: impl Into<Object>) {
        self.entries.push((key.into(), value.into()));
    }

    /// [`Dictionary::insert`] for building in one expression.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Object>) -> Self {
        self.insert(key, value);
        self
    }

    /// The first value of `key`.
    pub fn get(&self, key: &str) -> Option<&Object> {
        self.entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The first value of `key`, to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Object> {
        self.entries.iter_mut().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Whether `key` is there.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Takes the first entry of `key` out.
    pub fn remove(&mut self, key: &str) -> Option<Object> {
        let at = self.entries.iter().position(|(name, _)| name == key)?;
        Some(self.entries.remove(at).1)
    }

    /// How many entries there are, repeated keys counted each time.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Object)> + Clone {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The keys in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.entries.iter().map(|(key, _)| key.as_str())
    }
}

impl<K: Into<String>, V: Into<Object>> FromIterator<(K, V)> for Dictionary {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        Dictionary { entries: entries.into_iter().map(|(k, v)| (k.into(), v.into())).collect() }
    }
}

impl<K: Into<String>, V: Into<Object>> Extend<(K, V)> for Dictionary {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        self.entries.extend(entries.into_iter().map(|(k, v)| (k.into(), v.into())));
    }
}

impl IntoIterator for Dictionary {
    type Item = (String, Object);
    type IntoIter = std::vec::IntoIter<(String, Object)>;
    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}
