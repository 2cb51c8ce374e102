//! The systemd guest: Debian trixie from unpacked packages, with this repository's files for systemd installed.

use crate::cache::Cache;
use crate::debs::Debs;
use crate::process::Log;
use crate::vm::cpio::Archive;
use crate::vm::image::{self, BIN, Payload};
use crate::vm::kernel::Kernel;
use anyhow::{Context as _, Result, ensure};
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

const PACKAGES: [&str; 24] = [
    "base-files",
    "base-passwd",
    "bash",
    "coreutils",
    "dash",
    "dbus",
    "grep",
    "iproute2",
    "kmod",
    "libc-bin",
    "libgcc-s1",
    "libnss-systemd",
    "libssl3t64",
    "mount",
    "netbase",
    "passwd",
    "procps",
    "sed",
    "systemd",
    "systemd-sysv",
    "udev",
    "usbmuxd",
    "util-linux",
    "login",
];
/// Raised when `finish` changes.
const WAY: u32 = 2;
/// What nobody reads in a guest.
const PRUNED: [&str; 6] = [
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "usr/share/i18n",
    "usr/lib/udev/hwdb.d",
];
/// Jobs of a first boot that take long without KVM, and consoles that nobody sits at.
const MASKED: [&str; 6] = [
    "systemd-hwdb-update.service",
    "systemd-journal-catalog-update.service",
    "ldconfig.service",
    "systemd-firstboot.service",
    "serial-getty@ttyS0.service",
    "getty@tty1.service",
];
/// Files of nixos-module/files and where they go.
const INSTALLED: [(&str, &str); 6] = [
    ("79-iosmux.rules", "usr/lib/udev/rules.d/79-iosmux.rules"),
    ("70-iosmux.link", "usr/lib/systemd/network/70-iosmux.link"),
    ("70-iosmux.network", "usr/lib/systemd/network/70-iosmux.network"),
    ("iosmux.sysusers.conf", "usr/lib/sysusers.d/iosmux.conf"),
    ("iosmux-bridge.service", "usr/lib/systemd/system/iosmux-bridge.service"),
    ("iosmux-tunneld.service", "usr/lib/systemd/system/iosmux-tunneld.service"),
];

/// Debian's files in the cache.
#[derive(Clone, Debug)]
pub(crate) struct Debian {
    root: PathBuf,
}

impl Debian {
    /// Those in the cache, or fetched. No package's script is run: what they would do is in `finish` and [`Self::image`].
    pub(crate) fn provide(cache: &Cache, log: &mut Log) -> Result<Self> {
        let root = Debs::files(cache, log, &format!("vm-debian{WAY}"), ("trixie", &PACKAGES), finish)?;
        Ok(Self { root })
    }

    /// Writes the guest. `files` is nixos-module/files.
    pub(crate) fn image(&self, kernel: &Kernel, payload: &Payload, files: &Path, path: &Path) -> Result<()> {
        let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        let mut archive = Archive::new(BufWriter::new(file));
        archive.tree("", &self.root)?;
        for folder in ["proc", "sys", "dev", "run", "iosmux", "etc/iosmux"] {
            archive.folder(folder)?;
        }
        archive.folder_as("tmp", 0o1777)?;
        // The package's folder may be below it: all of this is in memory anyway.
        archive.link("etc/systemd/system/tmp.mount", "/dev/null")?;
        archive.link("init", "usr/lib/systemd/systemd")?;
        archive.tree("usr/lib/modules", &kernel.tree)?;
        let at_boot = "etc/modules-load.d/iosmux.conf";
        archive.file(at_boot, 0o644, b"vhci_hcd\nbridge\nveth\ntun\ndummy\n")?;
        for (name, place) in INSTALLED {
            archive.copy(place, &files.join(name))?;
        }
        let unit = "etc/systemd/system/iosmux-run.service";
        archive.file(unit, 0o644, include_bytes!("../../vm/run.service"))?;
        archive
            .link("etc/systemd/system/multi-user.target.wants/iosmux-run.service", "../iosmux-run.service")?;
        for (name, _) in &payload.programs.files {
            archive.link(&format!("usr/bin/{name}"), &format!("{BIN}/{name}"))?;
        }
        image::put(&mut archive, payload)?;
        archive.end()
    }
}

/// What the packages' own scripts would have done, as far as a guest needs it.
fn finish(root: &Path) -> Result<()> {
    for name in PRUNED {
        let path = root.join(name);
        if path.exists() {
            std::fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    ensure!(root.join("bin").is_symlink(), "base-files no longer merges /usr");
    for (from, to) in [
        ("usr/share/base-passwd/passwd.master", "etc/passwd"),
        ("usr/share/base-passwd/group.master", "etc/group"),
    ] {
        std::fs::copy(root.join(from), root.join(to)).with_context(|| format!("{from} of Debian"))?;
    }
    for name in ["run", "lock"] {
        let path = root.join("var").join(name);
        if path.is_dir() && !path.is_symlink() {
            std::fs::remove_dir(&path).with_context(|| format!("{} is not empty", path.display()))?;
        }
        let target = if name == "run" { "/run" } else { "/run/lock" };
        std::os::unix::fs::symlink(target, &path).with_context(|| format!("{} is there", path.display()))?;
    }
    let units = root.join("etc/systemd/system");
    std::fs::create_dir_all(&units)?;
    for name in MASKED {
        std::os::unix::fs::symlink("/dev/null", units.join(name))
            .with_context(|| format!("{name} is there"))?;
    }
    for (name, text) in [
        // An empty one means a first boot, which asks questions.
        ("etc/machine-id", "6b1e2c3d4f5061728394a5b6c7d8e9f0\n"),
        (
            "etc/nsswitch.conf",
            "passwd: files systemd\ngroup: files systemd\nshadow: files systemd\nhosts: files\n",
        ),
        ("etc/hostname", "guest\n"),
        ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
        // usbmuxd's script makes this user.
        ("usr/lib/sysusers.d/usbmuxd.conf", "u usbmux - \"usbmux daemon\" /var/lib/usbmux\n"),
        // The journal goes where the kernel's log goes, so that both are there when a test fails.
        (
            "etc/systemd/journald.conf.d/iosmux.conf",
            "[Journal]\nStorage=volatile\nForwardToConsole=yes\nTTYPath=/dev/ttyS0\n",
        ),
    ] {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().context("a file has a folder")?)?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
