//! One run of QEMU: the kernel's log comes over the first serial line, what the tests say over the second.

use crate::vm::kernel::Kernel;
use crate::vm::tools::Tools;
use anyhow::{Context as _, Result};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Chooses QEMU's accelerator: `kvm`, `tcg`, or whatever else `-accel` takes.
pub(crate) const ACCEL: &str = "IOSMUX_VM_ACCEL";

/// `$IOSMUX_VM_ACCEL`, else KVM where stock kernels run under it.
pub(crate) fn accel() -> String {
    let chosen = std::env::var(ACCEL).ok().filter(|value| !value.is_empty());
    let opens = || File::options().read(true).write(true).open("/dev/kvm").is_ok();
    chosen.unwrap_or_else(|| choose(Path::new("/sys/module/kvm_pvm").exists(), opens).to_owned())
}

/// kvm-pvm has a /dev/kvm, but a stock kernel dies in it.
fn choose(pvm: bool, opens: impl Fn() -> bool) -> &'static str {
    if !pvm && opens() { "kvm" } else { "tcg" }
}

/// The files of one run, all beside each other.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    /// The archive that the kernel unpacks.
    pub(crate) archive: PathBuf,
    /// The kernel's log.
    pub(crate) console: PathBuf,
    /// What the tests say.
    pub(crate) said: PathBuf,
    /// What QEMU itself says.
    pub(crate) qemu: PathBuf,
}

impl Files {
    /// Named after `name`, in `folder`.
    pub(crate) fn of(folder: &Path, name: &str) -> Self {
        let file = |end: &str| folder.join(format!("{name}.{end}"));
        Self { archive: file("cpio"), console: file("console"), said: file("tests"), qemu: file("qemu") }
    }
}

/// MiB. The archive and what is unpacked from it are both in memory for a moment.
const MEMORY: &str = "1024";

/// Runs a guest to its end, the kernel being told `words` besides its own; `None` when it was killed at the deadline.
pub(crate) fn run(
    tools: &Tools,
    kernel: &Kernel,
    words: &str,
    files: &Files,
    deadline: Duration,
) -> Result<Option<ExitStatus>> {
    let accel = accel();
    let mut command = tools.qemu()?;
    command.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "pc"]);
    command.args(["-accel", &accel, "-cpu", if accel.starts_with("kvm") { "host" } else { "max" }]);
    command.args(["-m", MEMORY]);
    for file in [&files.console, &files.said] {
        command.arg("-serial").arg(format!("file:{}", file.display()));
    }
    command.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(&files.archive);
    command.arg("-append").arg(format!("console=ttyS0 rdinit=/init panic=-1 mitigations=off {words}"));
    let log = File::create(&files.qemu).with_context(|| format!("cannot write {}", files.qemu.display()))?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let child = command.spawn().context("cannot start QEMU")?;
    wait(child, deadline)
}

fn wait(mut child: Child, deadline: Duration) -> Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for QEMU")? {
            return Ok(Some(status));
        }
        if start.elapsed() > deadline {
            child.kill().context("cannot stop QEMU")?;
            child.wait().context("cannot wait for QEMU")?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn kvm_is_taken_only_where_it_works() {
        assert_eq!(choose(false, || true), "kvm");
        assert_eq!(choose(true, || true), "tcg");
        assert_eq!(choose(false, || false), "tcg");
    }

    #[test]
    fn a_guest_that_hangs_is_killed() {
        let child = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(wait(child, Duration::from_millis(100)).unwrap().is_none());
        let child = Command::new("true").spawn().unwrap();
        assert!(wait(child, Duration::from_secs(20)).unwrap().unwrap().success());
    }
}
