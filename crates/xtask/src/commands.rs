//! README shows commands: each must exist.

use crate::Cli;
use crate::artifacts::Built;
use crate::project::Project;
use anyhow::{Context as _, Result};
use clap::Parser as _;
use std::process::Command;

/// The commands that a newcomer is promised, exactly.
const PROMISED: [&str; 4] = ["cargo run --release -- demo", "cargo xtask test", "nix run", "nix flake check"];

/// What is wrong with the commands in README.md's code blocks.
pub(crate) fn wrong_in_readme(project: &Project, built: &Built) -> Result<Vec<String>> {
    let readme = std::fs::read_to_string(project.root().join("README.md")).context("README.md")?;
    let flake = std::fs::read_to_string(project.root().join("flake.nix")).context("flake.nix")?;
    let packages: Vec<String> = project.packages().iter().map(|package| package.name.to_string()).collect();
    let help = |program: &str, words: &[&str]| {
        let path = built.binaries.get(program)?;
        let output = Command::new(path).args(words).arg("--help").output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    Ok(wrong(&readme, &flake, &packages, &help))
}

/// Asks a program for the help of a subcommand; `None` when there is no such program or subcommand.
type Help<'a> = dyn Fn(&str, &[&str]) -> Option<String> + 'a;

fn wrong(readme: &str, flake: &str, packages: &[String], help: &Help<'_>) -> Vec<String> {
    let shown = shown_commands(readme);
    let missing = PROMISED.iter().filter(|promised| !shown.iter().any(|line| line == *promised));
    let mut wrong: Vec<String> =
        missing.map(|promised| format!("README.md does not show `{promised}`")).collect();
    for line in &shown {
        let words: Vec<&str> = line.split_whitespace().collect();
        let fine = match words.as_slice() {
            ["cargo", "xtask", rest @ ..] => xtask_knows(rest),
            ["cargo", "run", rest @ ..] => cargo_run_exists(rest, help),
            ["cargo", _, rest @ ..] => {
                package_of(rest).is_none_or(|name| packages.iter().any(|known| known == name))
            }
            ["iosmux", rest @ ..] => subcommand_exists("iosmux", rest, help),
            ["nix", "run", ..] => flake.contains("apps"),
            ["nix", "develop", ..] => flake.contains("devShells"),
            ["nix", "flake", "check", ..] => flake.contains("checks"),
            ["nix", ..] => false,
            _ => true,
        };
        if !fine {
            wrong.push(format!("README.md shows `{line}`, which does not exist"));
        }
    }
    wrong
}

/// Lines of fenced blocks, without prompt and comment.
fn shown_commands(readme: &str) -> Vec<String> {
    let (mut inside, mut lines) = (false, Vec::new());
    for line in readme.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if inside {
            let line = line.trim().trim_start_matches("$ ");
            let line = line.split(" #").next().unwrap_or_default().trim();
            if !line.is_empty() {
                lines.push(line.to_owned());
            }
        }
    }
    lines
}

fn xtask_knows(words: &[&str]) -> bool {
    let parsed = Cli::try_parse_from(std::iter::once("xtask").chain(words.iter().copied()));
    parsed.map_or_else(|error| !error.use_stderr(), |_| true)
}

fn package_of<'a>(words: &[&'a str]) -> Option<&'a str> {
    let at = words.iter().position(|word| matches!(*word, "-p" | "--package"))?;
    words.get(at + 1).copied()
}

fn cargo_run_exists(words: &[&str], help: &Help<'_>) -> bool {
    let split = words.iter().position(|word| *word == "--").unwrap_or(words.len());
    let (ours, theirs) = words.split_at(split);
    let program = package_of(ours).unwrap_or("iosmux");
    subcommand_exists(program, theirs.get(1..).unwrap_or_default(), help)
}

fn subcommand_exists(program: &str, words: &[&str], help: &Help<'_>) -> bool {
    let names: Vec<&str> = words.iter().take_while(|word| !word.starts_with('-')).copied().collect();
    let Some(text) = help(program, &names) else { return false };
    let mut flags = words.iter().filter(|word| word.starts_with("--"));
    flags.all(|flag| text.contains(flag.split('=').next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "```\n$ cargo run --release -- demo\ncargo xtask test\nnix run\nnix flake check   # all\n```\n";

    fn check(extra: &str) -> Vec<String> {
        let help = |program: &str, words: &[&str]| match (program, words) {
            ("iosmux", ["demo"]) => Some("  --json  --phones <N>".to_owned()),
            _ => None,
        };
        wrong(&format!("{GOOD}\n```\n{extra}\n```\n"), "apps checks", &["iosmux-xpc".into()], &help)
    }

    #[test]
    fn existing_commands_pass() {
        let lines = "cargo run --release -- demo --json --phones 3\ncargo xtask test unit --without peers\n\
            cargo bench -p iosmux-xpc\nsudo ls";
        assert_eq!(check(lines), Vec::<String>::new());
    }

    #[test]
    fn what_does_not_exist_is_named() {
        for line in [
            "cargo run --release -- dance",
            "cargo run --release -- demo --colour",
            "cargo xtask test everything",
            "cargo xtask paint",
            "cargo bench -p iosmux-nothing",
            "nix develop",
            "nix bake",
        ] {
            assert_eq!(check(line), [format!("README.md shows `{line}`, which does not exist")]);
        }
    }

    #[test]
    fn the_promised_commands_must_be_there() {
        let missing = wrong("text", "apps checks", &[], &|_, _| None);
        assert_eq!(missing.len(), PROMISED.len());
    }
}
