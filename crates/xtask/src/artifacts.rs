//! Builds every test program of the workspace once, and says which tier each belongs to.

use crate::process::Log;
use crate::project::Project;
use crate::vm::guest::guests_of;
use anyhow::{Result, anyhow};
use cargo_metadata::{Artifact, Message, Package, Target, TargetKind};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// The longest that a cold build may take.
const BUILD_DEADLINE: Duration = Duration::from_secs(40 * 60);

/// A package feature that moves a test target out of the unit tier.
pub(crate) const NET: &str = "net-tests";
/// The same for tests against independent clients.
pub(crate) const PEERS: &str = "peer-tests";
/// The same for tests that run in guests.
pub(crate) const VM: &str = "vm-tests";

/// One program that holds tests.
#[derive(Clone, Debug)]
pub(crate) struct TestProgram {
    /// Package that it tests.
    pub(crate) package: String,
    /// Name of the target.
    pub(crate) target: String,
    /// `net-tests`, `peer-tests`, `vm-tests` or, for the unit tier, none.
    pub(crate) feature: Option<&'static str>,
    /// The program.
    pub(crate) path: PathBuf,
    /// The package's folder: tests run there.
    pub(crate) folder: PathBuf,
    /// The package's version, which cargo hands to tests.
    pub(crate) version: String,
}

impl TestProgram {
    /// `package target`, for people.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.package, self.target)
    }
}

/// What one build left.
#[derive(Clone, Debug, Default)]
pub(crate) struct Built {
    /// Every test program, by package and target.
    pub(crate) tests: Vec<TestProgram>,
    /// The workspace's binaries, by name.
    pub(crate) binaries: BTreeMap<String, PathBuf>,
}

/// Builds all targets with all features, so that every tier shares one set of artifacts.
pub(crate) fn build(project: &Project, log: &mut Log) -> Result<Built> {
    let mut command = project.cargo();
    command.args(["test", "--workspace", "--all-features", "--no-run", "--locked"]);
    built_by(project, log, "build of all tests", command)
}

/// Some tests of one package, and what they start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selected<'a> {
    /// The package.
    pub(crate) package: &'a str,
    /// Names of its test targets.
    pub(crate) tests: &'a [String],
    /// Packages whose programs they start, besides its own.
    pub(crate) with: &'a [String],
    /// For figures rather than for findings: takes minutes longer.
    pub(crate) optimised: bool,
}

/// Builds some tests of a package, its programs, and those of `with`.
pub(crate) fn build_some(project: &Project, log: &mut Log, selected: Selected<'_>) -> Result<Built> {
    let Selected { package, tests, with, optimised } = selected;
    let profile = if optimised { "guest" } else { "dev" };
    let mut command = project.cargo();
    command.args(["test", "--no-run", "--all-features", "--profile", profile, "-p", package]);
    for test in tests {
        command.args(["--test", test]);
    }
    let mut built = built_by(project, log, &format!("build of {package} {}", tests.join(", ")), command)?;
    for package in with {
        let mut command = project.cargo();
        command.args(["build", "--all-features", "--bins", "--profile", profile, "-p", package]);
        built.binaries.extend(built_by(project, log, &format!("build of {package}"), command)?.binaries);
    }
    Ok(built)
}

fn built_by(project: &Project, log: &mut Log, what: &str, mut command: Command) -> Result<Built> {
    command.arg("--message-format=json-render-diagnostics");
    let done = log.run(what, &mut command, BUILD_DEADLINE)?;
    if !done.success() {
        log.show_failure(what, &done.output);
        return Err(anyhow!("{what} failed"));
    }
    let mut built = Built::default();
    for line in done.output.lines().filter(|line| line.starts_with('{')) {
        if let Ok(Message::CompilerArtifact(artifact)) = serde_json::from_str(line) {
            built.take(project, artifact);
        }
    }
    built.tests.sort_by(|a, b| (&a.package, &a.target).cmp(&(&b.package, &b.target)));
    Ok(built)
}

impl Built {
    fn take(&mut self, project: &Project, artifact: Artifact) {
        let Some(path) = artifact.executable.map(PathBuf::from) else { return };
        let packages = project.packages();
        let Some(package) = packages.into_iter().find(|package| package.id == artifact.package_id) else {
            return;
        };
        if !artifact.profile.test {
            self.binaries.insert(artifact.target.name, path);
            return;
        }
        self.tests.push(TestProgram {
            package: package.name.to_string(),
            feature: feature_of(&artifact.target, &text_of(&artifact.target)),
            target: artifact.target.name,
            path,
            folder: package.manifest_path.parent().map(PathBuf::from).unwrap_or_default(),
            version: package.version.to_string(),
        });
    }

    /// The test programs of one tier.
    pub(crate) fn of(&self, feature: Option<&str>) -> Vec<&TestProgram> {
        self.tests.iter().filter(|test| test.feature == feature).collect()
    }
}

/// The tier feature that a target requires: in Cargo.toml, or at its head by `#![cfg(feature = "…")]`.
fn feature_of(target: &Target, text: &str) -> Option<&'static str> {
    let required = |feature: &str| target.required_features.iter().any(|name| name == feature);
    let at_head = |feature: &str| text.contains(&format!("#![cfg(feature = \"{feature}\")]"));
    [NET, PEERS, VM].into_iter().find(|feature| required(feature) || at_head(feature))
}

/// The source text of a target's root file.
pub(crate) fn text_of(target: &Target) -> String {
    std::fs::read_to_string(&target.src_path).unwrap_or_default()
}

/// What is wrong with the way in which a package declares its net, peer and vm tests.
///
/// A test that needs more than Rust requires its feature, so that a plain `cargo test` passes anywhere, and its package
/// says where it runs: `[package.metadata.iosmux] net-tests = "inside" | "outside"` a namespace.
pub(crate) fn undeclared(package: &Package, read: &dyn Fn(&Target) -> String) -> Vec<String> {
    let mut wrong = Vec::new();
    let tests: Vec<(&Target, Option<&str>)> =
        package.targets.iter().map(|target| (target, feature_of(target, &read(target)))).collect();
    for feature in [NET, PEERS, VM] {
        if package.features.contains_key(feature) && tests.iter().all(|(_, found)| *found != Some(feature)) {
            wrong.push(format!("{}: feature {feature} has no test target", package.name));
        }
    }
    for (target, feature) in tests {
        for (start, needed) in [("net_", NET), ("vm_", VM)] {
            let named = target.kind.contains(&TargetKind::Test) && target.name.starts_with(start);
            if feature.is_none() && named {
                wrong.push(format!(
                    "{}: test {} must require the feature {needed}",
                    package.name, target.name
                ));
            }
        }
        wrong.extend(match feature {
            None => None,
            Some(VM) => guests_of(package, &target.name).err(),
            Some(feature) => place_of(package, feature, &target.name).err(),
        });
    }
    wrong
}

/// Where a test program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a network and mount namespace of its own, as root in there.
    Inside,
    /// As the user who called, on the machine itself.
    Outside,
}

/// Reads `[package.metadata.iosmux]`: a word for all targets, or a table by target name with `default`.
pub(crate) fn place_of(package: &Package, feature: &str, target: &str) -> Result<Place, String> {
    let value = &package.metadata["iosmux"][feature];
    let word = value.as_str().or_else(|| value[target].as_str()).or_else(|| value["default"].as_str());
    match word {
        Some("inside") => Ok(Place::Inside),
        Some("outside") => Ok(Place::Outside),
        _ => Err(format!(
            "{}: [package.metadata.iosmux] {feature} must be \"inside\" or \"outside\" for test {target}",
            package.name
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(targets: &str, features: &str, metadata: &str) -> Package {
        let text = format!(
            r#"{{"name":"sample","version":"0.1.0","id":"sample 0.1.0","license":null,"description":null,
            "source":null,"dependencies":[],"targets":[{targets}],"features":{features},
            "manifest_path":"/x/Cargo.toml","categories":[],"keywords":[],"readme":null,"repository":null,
            "homepage":null,"documentation":null,"edition":"2024","links":null,"publish":null,"authors":[],
            "default_run":null,"rust_version":null,"license_file":null,"metadata":{metadata}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn test_target(name: &str, required: &str) -> String {
        format!(
            r#"{{"kind":["test"],"crate_types":["bin"],"name":"{name}","src_path":"/x/tests/{name}.rs",
            "edition":"2024","doctest":false,"test":true,"doc":false,"required-features":{required}}}"#
        )
    }

    fn no_text(_: &Target) -> String {
        String::new()
    }

    #[test]
    fn a_declared_net_test_is_fine() {
        let sample = package(
            &test_target("net_announce", r#"["net-tests"]"#),
            r#"{"net-tests":[]}"#,
            r#"{"iosmux":{"net-tests":"inside"}}"#,
        );
        assert_eq!(undeclared(&sample, &no_text), Vec::<String>::new());
        assert_eq!(place_of(&sample, NET, "net_announce"), Ok(Place::Inside));
    }

    #[test]
    fn a_net_test_without_its_feature_is_named() {
        let metadata = r#"{"iosmux":{"net-tests":"inside"}}"#;
        let sample = package(&test_target("net_announce", "[]"), "{}", metadata);
        let wrong = undeclared(&sample, &|_| "fn main() {}".into());
        assert_eq!(wrong, ["sample: test net_announce must require the feature net-tests"]);
        let head = |_: &Target| "//! Links.\n#![cfg(feature = \"net-tests\")]\n".to_owned();
        assert_eq!(undeclared(&sample, &head), Vec::<String>::new());
        assert_eq!(feature_of(&sample.targets[0], &head(&sample.targets[0])), Some(NET));
    }

    #[test]
    fn a_feature_without_tests_is_named() {
        let wrong = undeclared(&package("", r#"{"peer-tests":[]}"#, "null"), &no_text);
        assert_eq!(wrong, ["sample: feature peer-tests has no test target"]);
    }

    #[test]
    fn a_test_without_a_place_is_named() {
        let sample = package(&test_target("peers_a", r#"["peer-tests"]"#), r#"{"peer-tests":[]}"#, "null");
        assert_eq!(undeclared(&sample, &no_text).len(), 1);
    }

    #[test]
    fn a_vm_test_names_its_guests() {
        let target = test_target("vm_usb", r#"["vm-tests"]"#);
        let with = |metadata: &str| undeclared(&package(&target, r#"{"vm-tests":[]}"#, metadata), &no_text);
        assert_eq!(with(r#"{"iosmux":{"vm-tests":{"vm_usb":["6.12","6.1"]}}}"#), Vec::<String>::new());
        for metadata in [
            "null",
            r#"{"iosmux":{"vm-tests":{"vm_usb":["5.4"]}}}"#,
            r#"{"iosmux":{"vm-tests":{"vm_usb":[]}}}"#,
        ] {
            assert_eq!(with(metadata).len(), 1, "{metadata}");
        }
        let plain = package(&test_target("vm_usb", "[]"), "{}", "null");
        assert_eq!(undeclared(&plain, &no_text), ["sample: test vm_usb must require the feature vm-tests"]);
    }

    #[test]
    fn a_target_can_have_a_place_of_its_own() {
        let metadata = r#"{"iosmux":{"net-tests":{"default":"inside","net_demo":"outside"}}}"#;
        let sample = package("", "{}", metadata);
        assert_eq!(place_of(&sample, NET, "net_demo"), Ok(Place::Outside));
        assert_eq!(place_of(&sample, NET, "net_other"), Ok(Place::Inside));
        assert!(place_of(&sample, PEERS, "peers_a").is_err());
    }
}
