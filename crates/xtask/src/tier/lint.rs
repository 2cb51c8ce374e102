//! lint: format, compiler and clippy lints, documentation, licences, and the rules of the house.

use super::Session;
use crate::artifacts;
use crate::cache::Cache;
use crate::lint::{docs, flake, gaps, layers, lengths, lock, marks, printing, purity, source};
use crate::project::Project;
use anyhow::{Context as _, Result};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

pub(super) const ABOUT: [(&str, &str); 3] = [
    (
        "proves",
        "format, clippy, documentation, licences and sources, layer rules, and that generated pages are current",
    ),
    ("needs", "rustfmt and clippy; cargo-deny, which it builds into $IOSMUX_CACHE (2 minutes, once)"),
    ("budget", "on 2 cores, with unit: 12 minutes warm; the first time also the build of cargo-deny"),
];

const DEADLINE: Duration = Duration::from_secs(30 * 60);
/// Built in the cache, because it is no part of Rust's own tools.
const CARGO_DENY: &str = "0.20.2";

pub(super) fn run(session: &mut Session<'_>) -> Result<()> {
    house_rules(session)?;
    cargo_tools(session)?;
    wire_alone(session)?;
    cargo_deny(session)
}

fn cargo_tools(session: &mut Session<'_>) -> Result<()> {
    let mut format = session.project.cargo();
    format.args(["fmt", "--all", "--check"]);
    session.run_check("rustfmt", &mut format, DEADLINE)?;
    let mut clippy = session.project.cargo();
    clippy.args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]);
    session.run_check("clippy", &mut clippy, DEADLINE)?;
    let mut doc = session.project.cargo();
    doc.args(["doc", "--workspace", "--no-deps", "--all-features", "--locked"])
        .env("RUSTDOCFLAGS", "-D warnings");
    session.run_check("rustdoc", &mut doc, DEADLINE)
}

/// Wire code must build where there is no runtime.
fn wire_alone(session: &mut Session<'_>) -> Result<()> {
    let packages = session.project.packages();
    for package in packages.into_iter().filter(|package| package.features.contains_key("io")) {
        let mut check = session.project.cargo();
        check.args(["check", "--no-default-features", "--locked", "-p", &package.name]);
        session.run_check(&format!("{} without its drivers", package.name), &mut check, DEADLINE)?;
    }
    Ok(())
}

fn cargo_deny(session: &mut Session<'_>) -> Result<()> {
    match provide_cargo_deny(session) {
        Err(error) => session.check("cargo-deny", Err(vec![format!("{error:#}")])),
        Ok(program) => {
            for check in ["bans", "licenses", "sources"] {
                let mut command = Command::new(&program);
                command.current_dir(session.project.root()).env_remove("CARGO_MANIFEST_DIR");
                command.args(["--all-features", "--locked", "check", check]);
                session.run_check(&format!("cargo-deny {check}"), &mut command, DEADLINE)?;
            }
        }
    }
    session.left_out(
        "cargo-deny advisories",
        "their database is no package of a registry; run `cargo deny check advisories`",
    );
    Ok(())
}

fn provide_cargo_deny(session: &mut Session<'_>) -> Result<PathBuf> {
    let flags = [("OPT_LEVEL", "0"), ("LTO", "off"), ("CODEGEN_UNITS", "16"), ("DEBUG", "0")];
    let spec = format!("cargo-deny {CARGO_DENY} {flags:?}");
    let folder = Cache::find()?.entry("cargo-deny", &spec, |folder| {
        let mut install = session.project.cargo();
        install
            .args(["install", "--locked", "--no-track", "--version", CARGO_DENY, "cargo-deny", "--root"])
            .arg(folder);
        install.env("CARGO_TARGET_DIR", folder.join("target"));
        install.envs(flags.map(|(name, value)| (format!("CARGO_PROFILE_RELEASE_{name}"), value)));
        let done = session.log().run("cargo install cargo-deny", &mut install, DEADLINE)?;
        if !done.success() {
            session.log().show_failure("cargo install cargo-deny", &done.output);
            anyhow::bail!("cargo-deny does not build: {}", done.ending());
        }
        std::fs::remove_dir_all(folder.join("target")).context("cannot remove cargo-deny's build folder")
    })?;
    Ok(folder.join("bin/cargo-deny"))
}

fn house_rules(session: &mut Session<'_>) -> Result<()> {
    let project = session.project;
    let files = project.files()?;
    let packages = project.packages();
    let read = |name: &str| {
        std::fs::read(project.root().join(name)).map(|b| String::from_utf8_lossy(&b).into_owned())
    };

    let uses: Vec<_> =
        packages.iter().map(|package| (package.name.to_string(), layers::uses(package))).collect();
    report(session, "arrows between crates point downward", layers::wrong(&uses));
    let undeclared =
        packages.iter().flat_map(|package| artifacts::undeclared(package, &artifacts::text_of)).collect();
    report(session, "net, peer and vm tests are declared", undeclared);
    sources(session, project, &files)?;

    let mut lines = Vec::new();
    for name in files.iter().filter(|name| name.ends_with(".rs")) {
        lines.push((name.clone(), read(name)?.lines().count()));
    }
    let (noted, wrong) = lengths::long(&lines);
    for text in noted {
        session.log().say(&format!("note: {text}"));
    }
    report(session, "files are short", wrong);

    let mut found = Vec::new();
    for name in files.iter().filter(|name| name.as_str() != "Cargo.lock" && !name.ends_with(".bin")) {
        found.extend(marks::wrong_name(name));
        found.extend(marks::wrong(name, &read(name)?));
    }
    report(session, "no machine paths, left-over marks or switched-off tests", found);
    report(session, "generated pages are current", docs::wrong(project));
    report(session, "Cargo.lock is current", lock::wrong(&project.changed()?));
    let (flake, lock) = (read("flake.nix").unwrap_or_default(), read("flake.lock").unwrap_or_default());
    report(session, "flake.lock matches flake.nix", flake::wrong(&flake, &lock));
    Ok(())
}

/// The rules that read Rust sources.
fn sources(session: &mut Session<'_>, project: &Project, files: &[String]) -> Result<()> {
    let (mut impure, mut prints, mut unnamed, mut names) =
        (Vec::new(), Vec::new(), Vec::new(), gaps::Names::new());
    for package in project.packages() {
        let Some(place) = layers::place(&package.name) else { continue };
        let folder = package
            .manifest_path
            .parent()
            .map(|path| project.shorten(path.as_std_path()))
            .unwrap_or_default();
        let source_files = || {
            files.iter().filter(|name| name.starts_with(&format!("{folder}/src/")) && name.ends_with(".rs"))
        };
        for file in source_files().filter(|name| !source::is_test_file(name)) {
            let mentions = source::read(&project.root().join(file))?;
            if place
                .drivers
                .is_some_and(|drivers| !drivers.iter().any(|d| is_under(file, &format!("{folder}/{d}"))))
            {
                impure.extend(purity::wrong(file, &mentions));
            }
            prints.extend(printing::wrong(file, place.layer, &mentions));
            match gaps::names(file, &mentions) {
                Ok(found) if found.is_empty() => {}
                Ok(found) => names.entry(package.name.to_string()).or_default().extend(found),
                Err(wrong) => unnamed.extend(wrong),
            }
        }
    }
    report(session, "wire code is pure", impure);
    report(session, "only front crates print", prints);
    let page = std::fs::read_to_string(project.root().join(gaps::PAGE)).unwrap_or_default();
    unnamed.extend(gaps::wrong(&names, &page));
    report(session, "gaps.md lists what is not sourced", unnamed);
    Ok(())
}

fn is_under(file: &str, path: &str) -> bool {
    file == path || file.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
}

fn report(session: &mut Session<'_>, name: &str, wrong: Vec<String>) {
    session.check(name, if wrong.is_empty() { Ok(String::new()) } else { Err(wrong) });
}
