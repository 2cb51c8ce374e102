//! The one table of crates and layers, and the rule that arrows point downward.

use cargo_metadata::{DependencyKind, Package};
use std::fmt;

/// Layers, lowest first (docs/architecture/crates.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Layer {
    /// Codecs and state machines: no I/O, no clock, no randomness.
    Wire,
    /// Drivers: sockets, devices, files.
    Io,
    /// Programs that compose drivers.
    Daemon,
    /// What talks to people.
    Front,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wire => "wire",
            Self::Io => "io",
            Self::Daemon => "daemon",
            Self::Front => "front",
        })
    }
}

/// One crate of the workspace and its place.
pub(crate) struct Place {
    /// Package name.
    pub(crate) package: &'static str,
    /// Where other crates see it.
    pub(crate) layer: Layer,
    /// Where its wire sources are, if it has any: everything under `src` except these files and folders.
    pub(crate) drivers: Option<&'static [&'static str]>,
}

/// Every crate. A crate that is not here fails the lint tier.
pub(crate) const CRATES: &[Place] = &[
    Place {
        package: "iosmux-xpc",
        layer: Layer::Wire,
        drivers: Some(&["src/io", "src/io.rs", "src/rsd/io.rs"]),
    },
    Place { package: "iosmux-pairing", layer: Layer::Wire, drivers: Some(&["src/io", "src/store.rs"]) },
    Place { package: "iosmux-usb", layer: Layer::Wire, drivers: Some(&[]) },
    Place { package: "iosmux-mdns", layer: Layer::Io, drivers: Some(&["src/io", "src/io.rs"]) },
    Place { package: "iosmux-tunnel", layer: Layer::Io, drivers: Some(&["src/io", "src/io.rs"]) },
    Place { package: "iosmux-capture", layer: Layer::Io, drivers: None },
    Place { package: "iosmux-lab", layer: Layer::Io, drivers: None },
    Place { package: "iosmux-link", layer: Layer::Io, drivers: None },
    Place { package: "iosmux-service", layer: Layer::Io, drivers: None },
    Place { package: "iosmux-fakephone", layer: Layer::Daemon, drivers: None },
    Place { package: "iosmux-tunneld", layer: Layer::Daemon, drivers: None },
    Place { package: "iosmux-bridge", layer: Layer::Daemon, drivers: None },
    Place { package: "iosmux", layer: Layer::Front, drivers: None },
    Place { package: "xtask", layer: Layer::Front, drivers: None },
];

/// The table's line for a package.
pub(crate) fn place(package: &str) -> Option<&'static Place> {
    CRATES.iter().find(|place| place.package == package)
}

/// The crates of this workspace that `package` is built from, tests left aside.
pub(crate) fn uses(package: &Package) -> Vec<String> {
    let ours = |name: &str| place(name).is_some() || name.starts_with("iosmux");
    let built_in =
        package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
    let mut names: Vec<String> =
        built_in.map(|dependency| dependency.name.clone()).filter(|n| ours(n)).collect();
    names.sort();
    names.dedup();
    names
}

/// Crates without a place, places without a crate, and arrows that do not point downward.
pub(crate) fn wrong(packages: &[(String, Vec<String>)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for place in CRATES {
        if !packages.iter().any(|(name, _)| name == place.package) {
            wrong.push(format!("{} is in the table of layers but not in the workspace", place.package));
        }
    }
    for (name, uses) in packages {
        let Some(from) = place(name) else {
            wrong.push(format!("{name} has no layer: add it to crates/xtask/src/lint/layers.rs"));
            continue;
        };
        for used in uses {
            let Some(to) = place(used) else { continue };
            let downward = to.layer < from.layer || (to.layer == Layer::Wire && from.layer == Layer::Wire);
            if !downward {
                wrong.push(format!(
                    "{name} ({}) uses {used} ({}): arrows point downward only",
                    from.layer, to.layer
                ));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> Vec<(String, Vec<String>)> {
        CRATES.iter().map(|place| (place.package.to_owned(), Vec::new())).collect()
    }

    #[test]
    fn downward_arrows_pass() {
        let mut packages = workspace();
        let phone = packages.iter_mut().find(|(name, _)| name == "iosmux-fakephone").unwrap();
        phone.1 = vec!["iosmux-xpc".into(), "iosmux-mdns".into()];
        assert_eq!(wrong(&packages), Vec::<String>::new());
    }

    #[test]
    fn an_upward_arrow_is_named() {
        let mut packages = workspace();
        packages[0].1 = vec!["iosmux-fakephone".into()];
        let text = "iosmux-xpc (wire) uses iosmux-fakephone (daemon): arrows point downward only";
        assert_eq!(wrong(&packages), [text]);
    }

    #[test]
    fn a_sideways_arrow_above_wire_is_named() {
        let mut packages = workspace();
        packages[2].1 = vec!["iosmux-capture".into()];
        assert_eq!(wrong(&packages).len(), 1);
    }

    #[test]
    fn an_unknown_crate_and_a_missing_one_are_named() {
        let mut packages = workspace();
        packages[0].0 = "iosmux-new".into();
        assert_eq!(wrong(&packages).len(), 2);
    }
}
