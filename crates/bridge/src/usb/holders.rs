//! Who else has to do with a phone: kernel drivers, and programs that have its node open, as far as they can be seen.

use std::fs;
use std::path::{Path, PathBuf};

use iosmux_usb::string::Escaped;

use crate::ports::{Address, Bound, Holder};

/// The driver that stands for "a program has claimed it". Source: the kernel's drivers/usb/core/devio.c.
pub(crate) const USBFS: &str = "usbfs";
/// The module that selects configurations 0 and 1 to charge faster. Source: platform.md (Guests).
const FASTCHARGE: &str = "apple_mfi_fastcharge";
/// The program that chooses configurations, and modes in newer versions. Source: protocol.md §1.3.
const USBMUXD: &str = "usbmuxd";

/// The folders that are read; tests have their own.
#[derive(Debug, Clone)]
pub(crate) struct Processes {
    proc: PathBuf,
    modules: PathBuf,
}

impl Default for Processes {
    fn default() -> Self {
        Self { proc: "/proc".into(), modules: "/sys/module".into() }
    }
}

impl Processes {
    /// Who has a phone's interfaces, after the kernel said that somebody has.
    pub(crate) fn holders(&self, address: &Address, bound: &[Bound], ours: &[u32]) -> Vec<Holder> {
        let drivers = bound.iter().filter(|bound| bound.driver != USBFS);
        let mut holders: Vec<_> = drivers.map(|bound| Holder::Driver(bound.driver.clone())).collect();
        holders.dedup();
        let mut programs = self.programs(ours, |pid| self.has_open(pid, &node(address)));
        if programs.is_empty() && bound.iter().any(|bound| bound.driver == USBFS) {
            // Another user's program: a usbmuxd that runs takes every phone, and is it almost always.
            programs = self.programs(ours, |pid| self.is_usbmuxd(pid));
            if programs.is_empty() {
                holders.push(Holder::Unknown);
            }
        }
        holders.extend(programs);
        holders
    }

    /// What is known to switch phones and is there, and who has this one open.
    pub(crate) fn meddlers(&self, address: &Address, ours: &[u32]) -> Vec<Holder> {
        let node = node(address);
        let is_one = |pid| self.is_usbmuxd(pid) || self.has_open(pid, &node);
        let mut meddlers = self.programs(ours, is_one);
        if self.modules.join(FASTCHARGE).exists() {
            meddlers.push(Holder::Driver(FASTCHARGE.to_owned()));
        }
        meddlers
    }

    fn programs(&self, ours: &[u32], matches: impl Fn(u32) -> bool) -> Vec<Holder> {
        let Ok(entries) = fs::read_dir(&self.proc) else { return Vec::new() };
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        let mut others: Vec<_> = pids.filter(|pid| !ours.contains(pid) && matches(*pid)).collect();
        others.sort_unstable();
        others
            .into_iter()
            .map(|pid| {
                // Any program chooses its own name: it is made fit for a line of text, unless it is an ordinary word.
                let name = self.name(pid).unwrap_or_default();
                let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
                let name = if plain && !name.is_empty() { name } else { Escaped(&name).to_string() };
                Holder::Process { pid, name }
            })
            .collect()
    }

    fn is_usbmuxd(&self, pid: u32) -> bool {
        self.name(pid).as_deref() == Some(USBMUXD)
    }

    fn name(&self, pid: u32) -> Option<String> {
        let name = fs::read(self.proc.join(pid.to_string()).join("comm")).ok()?;
        Some(String::from_utf8_lossy(name.strip_suffix(b"\n").unwrap_or(&name)).into_owned())
    }

    /// Other users' programs can't be looked at: they have nothing open, as far as can be seen.
    fn has_open(&self, pid: u32, node: &Path) -> bool {
        let Ok(files) = fs::read_dir(self.proc.join(pid.to_string()).join("fd")) else { return false };
        files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|target| target == node))
    }
}

/// The node of a phone.
pub(crate) fn node(address: &Address) -> PathBuf {
    format!("/dev/bus/usb/{:03}/{:03}", address.bus, address.device).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    fn address() -> Address {
        Address { id: "1-2".to_owned(), bus: 1, device: 7 }
    }

    fn system() -> (TempDir, Processes) {
        let folder = tempfile::tempdir().unwrap();
        let processes = Processes { proc: folder.path().join("proc"), modules: folder.path().join("module") };
        (folder, processes)
    }

    fn program(processes: &Processes, pid: u32, name: &str, open: Option<&str>) {
        let folder = processes.proc.join(pid.to_string());
        fs::create_dir_all(folder.join("fd")).unwrap();
        fs::write(folder.join("comm"), format!("{name}\n")).unwrap();
        if let Some(open) = open {
            symlink(open, folder.join("fd/3")).unwrap();
        }
    }

    fn claimed() -> Vec<Bound> {
        vec![
            Bound { interface: 1, driver: USBFS.to_owned() },
            Bound { interface: 2, driver: "ipheth".to_owned() },
        ]
    }

    #[test]
    fn programs_and_drivers_that_hold_a_phone_are_named() {
        let (_folder, processes) = system();
        program(&processes, 40, "gvfsd-gphoto2", Some("/dev/bus/usb/001/007"));
        program(&processes, 41, "lsusb", Some("/dev/bus/usb/001/008"));
        program(&processes, 42, "us", Some("/dev/bus/usb/001/007"));
        let holders = processes.holders(&address(), &claimed(), &[42]);
        let program = Holder::Process { pid: 40, name: "gvfsd-gphoto2".to_owned() };
        assert_eq!(holders, [Holder::Driver("ipheth".to_owned()), program]);
    }

    #[test]
    fn a_holder_that_cannot_be_seen_is_said_to_be_there() {
        let (_folder, processes) = system();
        program(&processes, 40, "root's", None);
        let holders = processes.holders(&address(), &claimed(), &[]);
        assert_eq!(holders, [Holder::Driver("ipheth".to_owned()), Holder::Unknown]);
    }

    #[test]
    fn a_usbmuxd_of_another_user_is_taken_for_the_holder() {
        let (_folder, processes) = system();
        program(&processes, 40, "usbmuxd", None);
        let usbmuxd = Holder::Process { pid: 40, name: "usbmuxd".to_owned() };
        assert_eq!(processes.holders(&address(), &claimed()[..1], &[]), [usbmuxd]);
        assert_eq!(
            processes.holders(&address(), &claimed()[1..], &[]),
            [Holder::Driver("ipheth".to_owned())]
        );
    }

    #[test]
    fn a_usbmuxd_and_fast_charging_meddle() {
        let (folder, processes) = system();
        program(&processes, 40, "usbmuxd", None);
        program(&processes, 41, "bash", None);
        fs::create_dir_all(folder.path().join("module/apple_mfi_fastcharge")).unwrap();
        let usbmuxd = Holder::Process { pid: 40, name: "usbmuxd".to_owned() };
        let module = Holder::Driver("apple_mfi_fastcharge".to_owned());
        assert_eq!(processes.meddlers(&address(), &[]), [usbmuxd, module]);
    }

    #[test]
    fn a_program_cannot_write_into_our_log_by_its_name() {
        let (_folder, processes) = system();
        program(&processes, 40, "\u{1b}[2J\n", Some("/dev/bus/usb/001/007"));
        let holders = processes.meddlers(&address(), &[]);
        assert_eq!(holders, [Holder::Process { pid: 40, name: "\"\\u{1b}[2J\\u{a}\"".to_owned() }]);
    }
}
