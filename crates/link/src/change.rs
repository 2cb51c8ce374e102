//! What changed between two looks at the interfaces.

use crate::interface::Interface;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is new, or has a new name or index.
    Appeared(Interface),
    /// It says something else now.
    Changed(Interface),
    /// It is not there any more; this is what it was.
    Vanished(Interface),
}

/// The changes from `before` to `after`, both with each index once: what vanished first.
///
/// The same index with another name is another interface: it is chosen by its name.
pub fn changes(before: &[Interface], after: &[Interface]) -> Vec<Change> {
    let same = |one: &Interface, other: &Interface| one.index == other.index && one.name == other.name;
    let gone = before.iter().filter(|old| !after.iter().any(|new| same(old, new)));
    let here = after.iter().filter_map(|new| match before.iter().find(|old| same(old, new)) {
        None => Some(Change::Appeared(new.clone())),
        Some(old) if old != new => Some(Change::Changed(new.clone())),
        Some(_) => None,
    });
    gone.cloned().map(Change::Vanished).chain(here).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::Kind;

    fn interface(name: &str, index: u32) -> Interface {
        let (name, addresses) = (name.to_owned(), Vec::new());
        Interface { name, index, up: true, running: true, kind: Kind::Shared, addresses }
    }

    #[test]
    fn nothing_comes_of_nothing() {
        let both = [interface("a", 1), interface("b", 2)];
        assert_eq!(changes(&both, &both), []);
        assert_eq!(changes(&[], &both).len(), 2);
    }

    #[test]
    fn a_new_index_or_name_is_a_new_interface() {
        let (old, new) = (interface("a", 1), interface("a", 2));
        let expected = [Change::Vanished(old.clone()), Change::Appeared(new.clone())];
        assert_eq!(changes(std::slice::from_ref(&old), std::slice::from_ref(&new)), expected);
        let renamed = interface("b", 1);
        let expected = [Change::Vanished(old.clone()), Change::Appeared(renamed.clone())];
        assert_eq!(changes(&[old], &[renamed]), expected);
    }

    #[test]
    fn an_address_is_a_change() {
        let old = interface("a", 1);
        let new = Interface { addresses: vec!["fe80::1".parse().unwrap()], ..old.clone() };
        assert_eq!(changes(&[old], std::slice::from_ref(&new)), [Change::Changed(new)]);
    }
}
