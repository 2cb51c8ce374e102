//! The gaps in the code and the gaps in the documentation are the same.
#![allow(missing_docs)]

use std::collections::BTreeSet;
use std::path::Path;

use iosmux_xpc::not_sourced;

const LIST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/research/gaps.md");

/// The names of the bullets under this crate's heading.
fn documented() -> Vec<String> {
    let text = std::fs::read_to_string(LIST).expect("docs/research/gaps.md is part of the repository");
    text.lines()
        .skip_while(|line| *line != "## iosmux-xpc")
        .skip(1)
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|line| line.strip_prefix("- `"))
        .map(|line| {
            let (name, what) = line.split_once("`: ").expect("a bullet is - `name`: what is unknown");
            assert!(what.len() > 40, "{name}: say what is unknown, where we looked, what would close it");
            name.to_owned()
        })
        .collect()
}

#[test]
fn code_and_documentation_list_the_same_gaps() {
    let documented = documented();
    let names: BTreeSet<&str> = documented.iter().map(String::as_str).collect();
    assert_eq!(names.len(), documented.len(), "a name is documented twice");
    assert_eq!(names, not_sourced::ALL.iter().copied().collect::<BTreeSet<_>>());
    assert_eq!(names.len(), not_sourced::ALL.len(), "a name is in ALL twice");
}

/// A gap is a constant of `not_sourced`, so that none is missing in [`not_sourced::ALL`].
#[test]
fn no_gap_is_made_elsewhere() {
    let mut constants = 0;
    for (path, text) in sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))) {
        let made = text.matches("NotSourced {").count() - text.matches("struct NotSourced {").count();
        match path.ends_with("not_sourced.rs") {
            true => constants += made,
            false => assert_eq!(made, 0, "{path} makes a NotSourced of its own"),
        }
    }
    assert_eq!(constants, not_sourced::ALL.len(), "a constant is missing in ALL");
}

fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

#[test]
fn a_gap_says_where_to_read_on() {
    insta::assert_snapshot!(not_sourced::RSD_START_TLS);
}
