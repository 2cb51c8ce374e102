//! A daemon as a process in the VM's namespace.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use iosmux_lab::Lab;
use tokio::time::sleep;

use super::http;

const PORT: u16 = 49_151;
/// pymobiledevice3 looks for phones about every half minute.
const PATIENCE: Duration = Duration::from_secs(120);
/// USER_HZ. Source: proc_pid_stat(5).
const TICKS_A_SECOND: u64 = 100;

#[derive(Debug, Clone)]
pub(crate) enum Program {
    Ours,
    /// The Python that has it.
    Pymobiledevice3(OsString),
}

impl Program {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Ours => "iosmux",
            Self::Pymobiledevice3(_) => "pymobiledevice3",
        }
    }

    fn command(&self, files: &Path) -> Command {
        let mut command = match self {
            Self::Ours => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_iosmux-tunneld"));
                command.args(["run", "--listen", &format!("127.0.0.1:{PORT}"), "--state-dir"]);
                command.arg(files.join("records"));
                command
            }
            Self::Pymobiledevice3(python) => {
                let mut command = Command::new(python);
                command.args(["-m", "pymobiledevice3", "remote", "tunneld", "--port", &PORT.to_string()]);
                command.args(["--no-usbmux", "--no-mobdev2", "--no-wifi"]);
                command
            }
        };
        // Records and settings of whoever runs the bench are left alone.
        command.env("HOME", files).env("XDG_DATA_HOME", files.join("data")).env_remove("SUDO_UID");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

pub(crate) struct Daemon(Child);

impl Daemon {
    pub(crate) async fn start(program: &Program, lab: &Lab, files: &Path) -> Self {
        let mut command = program.command(files);
        let spawned = lab.vm.namespace.run(move || async move { command.spawn() }).await;
        Self(spawned.expect("the VM").expect("the daemon starts"))
    }

    /// Waits for its first answer.
    pub(crate) async fn answers(&self, lab: &Lab) {
        self.until(lab, "/hello", |body| body.contains("alive")).await;
    }

    /// Waits until it lists that many phones.
    pub(crate) async fn lists(&self, lab: &Lab, phones: usize) {
        self.until(lab, "/", move |body| body.matches("tunnel-address").count() >= phones).await;
    }

    async fn until(&self, lab: &Lab, path: &'static str, is: impl Fn(&str) -> bool + Send + 'static) {
        let ask = move || async move {
            let start = Instant::now();
            while start.elapsed() < PATIENCE {
                if http::get(PORT, path).await.is_ok_and(|body| is(&body)) {
                    return true;
                }
                sleep(Duration::from_millis(1)).await;
            }
            false
        };
        let came = lab.vm.namespace.run(ask).await.expect("the VM");
        assert!(came, "{path} did not answer as wanted within {PATIENCE:?}");
    }

    /// Resident memory, in KiB.
    pub(crate) fn rss(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
    }

    /// User and system time so far.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).expect("it runs");
        let (_, words) = stat.rsplit_once(')').expect("a name");
        let times =
            words.split_whitespace().skip(11).take(2).map(|word| word.parse::<u64>().expect("a number"));
        Duration::from_millis(times.sum::<u64>() * 1000 / TICKS_A_SECOND)
    }

    pub(crate) async fn stop(mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).expect("a process id"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("it runs");
        for _ in 0..100 {
            if self.0.try_wait().expect("our child").is_some() {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
