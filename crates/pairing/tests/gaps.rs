//! The gaps in the code and the gaps in the documentation are the same.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeSet;

use iosmux_pairing::not_sourced;

const LIST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/research/gaps.md");

#[test]
fn code_and_documentation_list_the_same_gaps() {
    let text = std::fs::read_to_string(LIST).expect("docs/research/gaps.md is part of the repository");
    let documented: Vec<_> = text
        .lines()
        .skip_while(|line| *line != "## iosmux-pairing")
        .skip(1)
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|line| line.strip_prefix("- `").and_then(|line| line.split_once("`: ")))
        .inspect(|(name, what)| assert!(what.len() > 40, "{name}: say what is unknown and where we looked"))
        .map(|(name, _)| name)
        .collect();
    let names: BTreeSet<_> = documented.iter().copied().collect();
    assert_eq!(names.len(), documented.len(), "a name is documented twice");
    assert_eq!(names, not_sourced::ALL.iter().copied().collect::<BTreeSet<_>>());
    assert_eq!(names.len(), not_sourced::ALL.len(), "a name is in ALL twice");
}
