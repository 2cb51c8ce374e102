//! Writes docs/architecture/crates.md from the workspace, so that the drawing can't lie.

use super::layers::{self, Layer};
use crate::project::Project;
use anyhow::{Context as _, Result};
use cargo_metadata::Package;
use std::fmt::Write as _;

/// The generated page.
const PAGE: &str = "docs/architecture/crates.md";

const HEAD: &str = "# Crates\n\n<!-- Written by `cargo xtask docs` from Cargo.toml and crates/xtask/src/lint/layers.rs. -->\n\n\
Arrows point from a crate to what it is built from, downward only; the lint tier checks that.\n\n\
* **wire**: codecs and state machines. No I/O, no async, no clock, no randomness of their own: both are arguments.\n\
* **io**: drivers. Sockets, devices and files, behind small traits where a channel can stand in.\n\
* **daemon**: programs that compose drivers.\n\
* **front**: what talks to people. Only these print.\n";

/// Writes the page.
pub(crate) fn write(project: &Project) -> Result<()> {
    let path = project.root().join(PAGE);
    std::fs::write(&path, page(&project.packages()))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Whether the page is what would be written now.
pub(crate) fn wrong(project: &Project) -> Vec<String> {
    let text = std::fs::read_to_string(project.root().join(PAGE)).unwrap_or_default();
    stale(&text, &page(&project.packages())).into_iter().collect()
}

fn stale(found: &str, expected: &str) -> Option<String> {
    (found != expected).then(|| format!("{PAGE} is not what Cargo.toml says now: run `cargo xtask docs`"))
}

fn page(packages: &[&Package]) -> String {
    let mut text = format!("{HEAD}\n```mermaid\nflowchart TD\n");
    for layer in [Layer::Front, Layer::Daemon, Layer::Io, Layer::Wire] {
        let _ = writeln!(text, "    subgraph {layer}");
        for package in members(packages, layer) {
            let _ = writeln!(text, "        {}[\"{}\"]", id(&package.name), package.name);
        }
        text.push_str("    end\n");
    }
    for package in packages {
        for used in layers::uses(package) {
            let _ = writeln!(text, "    {} --> {}", id(&package.name), id(&used));
        }
    }
    text.push_str("```\n\n| crate | layer | what it is | built from |\n|---|---|---|---|\n");
    for layer in [Layer::Front, Layer::Daemon, Layer::Io, Layer::Wire] {
        for package in members(packages, layer) {
            let what = package.description.as_deref().unwrap_or_default();
            let uses = layers::uses(package).join(", ");
            let uses = if uses.is_empty() { "–".to_owned() } else { uses };
            let _ = writeln!(text, "| {} | {layer}{} | {what} | {uses} |", package.name, wire_part(package));
        }
    }
    text
}

fn members<'a>(packages: &[&'a Package], layer: Layer) -> Vec<&'a Package> {
    let in_layer =
        |package: &&&Package| layers::place(&package.name).is_some_and(|place| place.layer == layer);
    packages.iter().filter(in_layer).copied().collect()
}

fn wire_part(package: &Package) -> &'static str {
    match layers::place(&package.name) {
        Some(place) if place.layer == Layer::Wire && package.features.contains_key("io") => {
            ", drivers in `io`"
        }
        Some(place) if place.layer != Layer::Wire && place.drivers.is_some() => ", wire outside of `io`",
        _ => "",
    }
}

fn id(name: &str) -> String {
    name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_every_crate_and_arrow() {
        let project = Project::find().unwrap();
        let packages = project.packages();
        let text = page(&packages);
        for package in &packages {
            assert!(text.contains(&format!("| {} |", package.name)), "{} is missing", package.name);
            for used in layers::uses(package) {
                assert!(text.contains(&format!("{} --> {}", id(&package.name), id(&used))));
            }
        }
    }

    #[test]
    fn a_stale_page_is_named() {
        assert!(stale("old", "new").is_some() && stale("same", "same").is_none());
    }
}
