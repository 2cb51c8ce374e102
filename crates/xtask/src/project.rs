//! Where the repository is and what cargo knows of it.

use anyhow::{Context as _, Result, ensure};
use cargo_metadata::{Metadata, MetadataCommand, Package};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace that xtask was built in.
pub(crate) struct Project {
    /// The workspace, its packages and their resolved graph.
    pub(crate) metadata: Metadata,
}

impl Project {
    /// Asks cargo, with the committed lock.
    pub(crate) fn find() -> Result<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
        let here = if here.exists() { here } else { PathBuf::from("Cargo.toml") };
        let metadata = MetadataCommand::new().manifest_path(here).exec().context("cargo metadata failed")?;
        Ok(Self { metadata })
    }

    /// The folder of the workspace's Cargo.toml.
    pub(crate) fn root(&self) -> &Path {
        self.metadata.workspace_root.as_std_path()
    }

    /// Where logs go: `xtask/` in cargo's target folder.
    pub(crate) fn work_dir(&self) -> PathBuf {
        self.metadata.target_directory.as_std_path().join("xtask")
    }

    /// The packages of this workspace, by name.
    pub(crate) fn packages(&self) -> Vec<&Package> {
        let mut packages = self.metadata.workspace_packages();
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        packages
    }

    /// A path for people: relative to the root, or to the place they stand in, where that is shorter.
    pub(crate) fn shorten(&self, path: &Path) -> String {
        path.strip_prefix(self.root()).unwrap_or(path).display().to_string()
    }

    /// A cargo call at the root, without what the cargo that started us left in the environment.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(self.root()).env("CARGO_TERM_COLOR", "never");
        clean_environment(&mut command);
        command
    }

    /// The files that git tracks or would track, relative to the root, sorted.
    pub(crate) fn files(&self) -> Result<Vec<String>> {
        let mut names = self.git(&["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
        names.retain(|name| self.root().join(name).is_file());
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// The tracked files that differ from the last commit.
    pub(crate) fn changed(&self) -> Result<Vec<String>> {
        self.git(&["diff", "--name-only", "-z", "HEAD"])
    }

    fn git(&self, words: &[&str]) -> Result<Vec<String>> {
        let output = Command::new("git").current_dir(self.root()).args(words).output().context("git")?;
        ensure!(output.status.success(), "git: {}", String::from_utf8_lossy(&output.stderr).trim());
        let text = String::from_utf8(output.stdout).context("a tracked file's name is not UTF-8")?;
        Ok(text.split('\0').filter(|name| !name.is_empty()).map(String::from).collect())
    }
}

/// Removes what `cargo run` set for us, so that a cargo below does not see another package's variables.
pub(crate) fn clean_environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_")
            || text.starts_with("CARGO_MANIFEST_")
            || text.starts_with("CARGO_BIN_")
        {
            command.env_remove(&name);
        }
    }
}
