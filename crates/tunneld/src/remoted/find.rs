//! Which process is remoted.

use nix::unistd::Pid;

/// Its program. Source: protocol.md §7 (P remote/utils.py).
#[cfg(target_os = "macos")]
const PROGRAM: &str = "/usr/libexec/remoted";

/// Apple's remoted, by the path of its program, so that no other of that name is meant.
#[cfg(target_os = "macos")]
pub fn remoted() -> Option<Pid> {
    use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

    let mut system = System::new().ok()?;
    let programs = ProcessRefreshKind::nothing().with_exe(UpdateKind::Always);
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, programs);
    let mut processes = system.processes().iter();
    let (pid, _) = processes.find(|(_, process)| process.exe() == Some(std::path::Path::new(PROGRAM)))?;
    i32::try_from(pid.as_u32()).ok().map(Pid::from_raw)
}

/// Only macOS has one.
#[cfg(not(target_os = "macos"))]
pub fn remoted() -> Option<Pid> {
    None
}
