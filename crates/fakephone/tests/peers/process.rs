//! Child programs that are bounded in time and end with the thread that started them.

use std::env;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The longest that one run of a client may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(40);
const POLL: Duration = Duration::from_millis(20);

/// Where a peer is, as `cargo xtask test peers` says it.
pub(crate) fn peer(name: &str) -> PathBuf {
    let Some(path) = env::var_os(name) else {
        panic!("{name} is not set: run `cargo xtask test peers`, which provides the peers and sets it")
    };
    PathBuf::from(path)
}

/// A command that the kernel kills when the thread that started it ends, however that happens.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program).stdin(Stdio::null());
    command
}

/// A program that runs until it is dropped; its lines are kept for whoever waits for one.
pub(crate) struct Running {
    name: String,
    child: Child,
    lines: Mutex<Receiver<String>>,
    seen: Vec<String>,
}

impl Running {
    /// Starts a program in the calling thread's namespaces. Its stderr goes where this program's goes.
    pub(crate) fn start(mut command: Command) -> Running {
        let name = format!("{command:?}");
        let child = command.stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{name} can't be started: {error}"));
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Running { name, child, lines: Mutex::new(lines), seen: Vec::new() }
    }

    /// The next line of stdout that `wanted` takes.
    pub(crate) fn line(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + DEADLINE;
        loop {
            let lines = self.lines.get_mut().unwrap();
            match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) if wanted(&line) => return line,
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{} did not say {what} within {DEADLINE:?}, but {:#?}", self.name, self.seen)
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let ending = self.child.wait();
                    panic!("{} ended ({ending:?}) before {what}; it said {:#?}", self.name, self.seen)
                }
            }
        }
    }

    /// Asks it to end, as a service manager does, and waits for that.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        let id = i32::try_from(self.child.id()).unwrap();
        kill(Pid::from_raw(id), Signal::SIGTERM).unwrap();
        wait(&mut self.child, &self.name)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a client to its end in the calling thread's namespaces; what it said when it succeeded, a panic with all of it
/// when it did not.
pub(crate) fn output(mut command: Command) -> String {
    let name = format!("{command:?}");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{name} can't be started: {error}"));
    let stdout = collect(child.stdout.take().unwrap());
    let stderr = collect(child.stderr.take().unwrap());
    let ending = wait(&mut child, &name);
    let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
    assert!(ending.success(), "{name}: {ending}\nstdout: {stdout}\nstderr: {stderr}");
    stdout
}

fn collect(mut stream: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // A stream that breaks ends; what came before it is still worth showing.
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn wait(child: &mut Child, name: &str) -> ExitStatus {
    let end = Instant::now() + DEADLINE;
    loop {
        match child.try_wait().unwrap() {
            Some(ending) => return ending,
            None if Instant::now() < end => thread::sleep(POLL),
            None => {
                child.kill().unwrap();
                let ending = child.wait();
                panic!("{name} was still running after {DEADLINE:?} and was killed ({ending:?})");
            }
        }
    }
}
