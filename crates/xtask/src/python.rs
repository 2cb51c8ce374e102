//! Python 3.13 from Debian's trixie, because bookworm's 3.11 has no TLS-PSK, and packages from PyPI into a venv.

use crate::cache::Cache;
use crate::debs::{Debs, write_script};
use crate::process::Log;
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(20 * 60);
const VERSION: &str = "python3.13";

/// The interpreter, run through its own loader.
pub(crate) struct Python {
    program: PathBuf,
    pip: PathBuf,
}

impl Python {
    /// Fetches the interpreter once.
    pub(crate) fn provide(cache: &Cache, log: &mut Log) -> Result<Self> {
        let packages = [VERSION, "python3-pip-whl", "libstdc++6"];
        let debs = Debs::provide(cache, log, VERSION, ("trixie", &packages), wrap)?;
        let program = debs.root().join("usr/bin").join(VERSION);
        let wheels = debs.root().join("usr/share/python-wheels");
        let pip = std::fs::read_dir(&wheels)?
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("pip-")));
        Ok(Self { program, pip: pip.context("python3-pip-whl holds no pip")? })
    }

    /// A venv with exactly the packages of `requirements`, which names a hash for each.
    ///
    /// Returns its interpreter. Where PyPI is comes from this machine's pip configuration.
    pub(crate) fn venv(
        &self,
        cache: &Cache,
        log: &mut Log,
        name: &str,
        requirements: &str,
    ) -> Result<PathBuf> {
        let spec = format!("{} {requirements}", self.program.display());
        let folder = cache.entry(name, &spec, |folder| {
            let mut make = Command::new(&self.program);
            make.args(["-m", "venv", "--without-pip"]).arg(folder);
            run(log, "python -m venv", &mut make)?;
            let list = folder.join("requirements.txt");
            std::fs::write(&list, requirements)?;
            let mut install = Command::new(folder.join("bin/python"));
            install.arg(self.pip.join("pip")).args([
                "install",
                "--no-input",
                "--require-hashes",
                "--only-binary",
                ":all:",
            ]);
            install.args(["--no-deps", "-r"]).arg(&list);
            run(log, &format!("pip install {name}"), &mut install)
        })?;
        Ok(interpreter(&folder))
    }
}

/// Puts a script in the interpreter's place, and compiles its library once: a start then takes half the time.
fn wrap(debs: &Debs, log: &mut Log) -> Result<()> {
    let program = debs.root().join("usr/bin").join(VERSION);
    let binary = debs.root().join("usr/bin").join(format!("{VERSION}.bin"));
    std::fs::rename(&program, &binary).context("cannot put the interpreter aside")?;
    write_script(&program, &debs.launcher(&binary)?)?;
    let mut compile = Command::new(&program);
    compile.args(["-m", "compileall", "-q"]).arg(debs.root().join("usr/lib").join(VERSION));
    run(log, "python -m compileall", &mut compile)
}

fn interpreter(venv: &Path) -> PathBuf {
    venv.join("bin/python")
}

fn run(log: &mut Log, what: &str, command: &mut Command) -> Result<()> {
    // What a person's shell says about Python is not meant for this one.
    command.env_remove("PYTHONHOME").env_remove("PYTHONPATH").env_remove("VIRTUAL_ENV");
    let done = log.run(what, command, DEADLINE)?;
    if !done.success() {
        log.show_failure(what, &done.output);
        bail!("{what}: {}", done.ending());
    }
    Ok(())
}
