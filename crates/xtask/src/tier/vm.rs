//! vm: real kernels, in guests.

use super::Session;
use crate::artifacts;
use crate::vm::guest::{Guest, guests_of};
use crate::vm::{Job, Machine, judge, qemu};
use anyhow::{Context as _, Result, anyhow, ensure};

pub(super) const ABOUT: [(&str, &str); 3] = [
    (
        "proves",
        "the cable on Debian's kernels 6.12 and 6.1 and under its systemd, udev and usbmuxd: a phone that the kernel believes \
         in, the bridge, the daemon behind it",
    ),
    (
        "needs",
        "x86_64; no KVM, but it helps (IOSMUX_VM_ACCEL chooses); Debian's QEMU, busybox and kernels on first use, kept in \
         $IOSMUX_CACHE",
    ),
    ("budget", "on 2 cores without KVM: 12 minutes; the first time also 3 minutes of downloads (350 MB)"),
];

pub(super) fn run(session: &mut Session<'_>) -> Result<()> {
    let built = session.built()?;
    let (mut jobs, mut guests): (Vec<Job>, Vec<Guest>) = (Vec::new(), Vec::new());
    for test in built.of(Some(artifacts::VM)) {
        let packages = session.project.packages();
        let package = packages.into_iter().find(|package| *package.name == test.package);
        let package = package.ok_or_else(|| anyhow!("package {} vanished", test.package))?;
        match guests_of(package, &test.target) {
            Ok(wanted) => {
                jobs.extend(wanted.iter().map(|guest| Job::new(*guest, test)));
                guests.extend(wanted);
            }
            Err(reason) => session.check(&test.name(), Err(vec![reason])),
        }
    }
    ensure!(!jobs.is_empty(), "no package has a test behind the feature {}", artifacts::VM);
    guests.sort();
    guests.dedup();
    let machine = Machine::provide(session.log(), &guests).context("this tier can't run here")?;
    session.log().say(&format!("{} guests to run, two at a time, with {}", jobs.len(), qemu::accel()));
    let (folder, mut binaries) = (session.project.work_dir().join("vm"), built.binaries);
    // Itself it does not need in there.
    binaries.remove(env!("CARGO_PKG_NAME"));
    machine.run(jobs, &binaries, &folder, &mut |ran| {
        let counts = judge::judge(session.log(), &ran);
        session.count(counts);
        Ok(())
    })
}
