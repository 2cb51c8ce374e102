//! QEMU and what guests are made with, of Debian's trixie, unpacked into the cache.

use crate::cache::Cache;
use crate::debs::{Debs, write_script};
use crate::process::Log;
use anyhow::{Context as _, Result, bail, ensure};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PACKAGES: [&str; 5] = ["qemu-system-x86", "busybox-static", "xz-utils", "zstd", "kmod"];
const PROGRAMS: [&str; 4] = ["qemu-system-x86_64", "xz", "zstd", "depmod"];
const LAUNCHERS: &str = "iosmux";

/// The folder that the packages are in.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    root: PathBuf,
}

impl Tools {
    /// Those in the cache, or fetched.
    pub(crate) fn provide(cache: &Cache, log: &mut Log) -> Result<Self> {
        let debs = Debs::provide(cache, log, "vm-programs", ("trixie", &PACKAGES), |debs, _| {
            let launchers = debs.root().join(LAUNCHERS);
            std::fs::create_dir_all(&launchers)?;
            for name in PROGRAMS {
                let places = ["usr/bin", "usr/sbin"].map(|folder| debs.root().join(folder).join(name));
                let found = places.into_iter().find(|path| path.exists());
                let program = found.with_context(|| format!("the packages hold no {name}"))?;
                // Some look at the name that they were started by.
                write_script(&launchers.join(name), &debs.launcher(&program)?)?;
            }
            Ok(())
        })?;
        Ok(Self { root: debs.root().to_owned() })
    }

    /// Debian's static busybox.
    pub(crate) fn busybox(&self) -> PathBuf {
        self.root.join("usr/bin/busybox")
    }

    /// QEMU's launcher.
    pub(crate) fn qemu_path(&self) -> PathBuf {
        self.root.join(LAUNCHERS).join("qemu-system-x86_64")
    }

    /// QEMU with its own firmware and modules.
    pub(crate) fn qemu(&self) -> Result<Command> {
        let mut command = Command::new(self.qemu_path());
        for folder in ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"] {
            command.arg("-L").arg(self.root.join(folder));
        }
        let mut libraries = std::fs::read_dir(self.root.join("usr/lib"))?.filter_map(Result::ok);
        let modules = libraries.find_map(|entry| {
            let path = entry.path().join("qemu");
            path.is_dir().then_some(path)
        });
        command.env("QEMU_MODULE_DIR", modules.context("QEMU's modules are not in its packages")?);
        Ok(command)
    }

    /// Writes what modprobe needs for the modules below `root`.
    pub(crate) fn depmod(&self, root: &Path, release: &str) -> Result<()> {
        let mut command = Command::new(self.root.join(LAUNCHERS).join("depmod"));
        let output = command.arg("-b").arg(root).arg(release).output().context("cannot start depmod")?;
        ensure!(output.status.success(), "depmod: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }

    /// Unpacks with `xz` or `zstd`.
    pub(crate) fn unpack(&self, program: &str, bytes: &[u8]) -> Result<Vec<u8>> {
        let (unpacked, fine) = self.filter(program, bytes)?;
        if !fine {
            bail!("{program} does not accept a file of a Debian package");
        }
        Ok(unpacked)
    }

    /// The same where something else follows the packed bytes.
    pub(crate) fn unpack_prefix(&self, program: &str, bytes: &[u8]) -> Result<Vec<u8>> {
        Ok(self.filter(program, bytes)?.0)
    }

    fn filter(&self, program: &str, bytes: &[u8]) -> Result<(Vec<u8>, bool)> {
        let mut command = Command::new(self.root.join(LAUNCHERS).join(program));
        command.arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().with_context(|| format!("cannot start {program}"))?;
        let mut input = child.stdin.take().context("no pipe")?;
        std::thread::scope(|scope| {
            // A program that has had enough closes its end; what it wrote until then is what is wanted.
            scope.spawn(move || drop(input.write_all(bytes)));
            let output = child.wait_with_output().with_context(|| format!("cannot wait for {program}"))?;
            Ok((output.stdout, output.status.success()))
        })
    }
}
