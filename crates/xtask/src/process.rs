//! Runs a program: its output goes to the tier's log, a line now and then to the person who waits.

use crate::out;
use crate::project::Project;
use crate::table::seconds;
use anyhow::{Context as _, Result};
use std::fs::File;
use std::io::{BufRead as _, BufReader, PipeReader, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How often a long step says that it is still at work.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// How many lines of a failed program are shown; the log holds all.
const TAIL: usize = 60;

/// The log file of one tier.
pub(crate) struct Log {
    file: File,
    tier: String,
    shown: String,
    aside: bool,
}

/// What came of a program.
pub(crate) struct Done {
    /// How it ended; `None` when it ran past its deadline and was killed.
    pub(crate) status: Option<ExitStatus>,
    /// Both streams, in the order in which they came.
    pub(crate) output: String,
    /// From start to end.
    pub(crate) time: Duration,
}

impl Done {
    /// Whether it ended by itself with status 0.
    pub(crate) fn success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// How it ended, for a sentence.
    pub(crate) fn ending(&self) -> String {
        self.status
            .map_or_else(|| format!("killed after {}", seconds(self.time)), |status| status.to_string())
    }
}

impl Log {
    /// Starts `TIER.log` anew.
    pub(crate) fn create(project: &Project, tier: &str) -> Result<Self> {
        let folder = project.work_dir();
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let path = folder.join(format!("{tier}.log"));
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { file, tier: tier.into(), shown: project.shorten(&path), aside: false })
    }

    /// From now on talks on stderr.
    pub(crate) fn aside(self) -> Self {
        Self { aside: true, ..self }
    }

    fn tell(&self, text: &str) {
        if self.aside { out::aside(text) } else { out::line(text) }
    }

    /// Says a line to the person and keeps it in the log.
    pub(crate) fn say(&mut self, text: &str) {
        self.tell(&format!("{}: {text}", self.tier));
        self.keep(text);
    }

    /// Runs `command` to its end, or kills it when `deadline` has passed.
    pub(crate) fn run(&mut self, what: &str, command: &mut Command, deadline: Duration) -> Result<Done> {
        self.keep(&format!("=== {what}: {command:?}"));
        let start = Instant::now();
        let (mut child, lines) = spawn(command)?;
        let (mut output, mut beat, mut killed, mut silent) = (String::new(), HEARTBEAT, false, 0);
        loop {
            match lines.recv_timeout(Duration::from_millis(250)) {
                Ok(line) => {
                    silent = 0;
                    if !is_message(&line) {
                        self.keep(&line);
                    }
                    output.push_str(&line);
                    output.push('\n');
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => silent += 1,
            }
            // Something that the program left behind may hold the pipe open for ever.
            if silent > 4 && child.try_wait().is_ok_and(|status| status.is_some()) {
                break;
            }
            if start.elapsed() > deadline {
                killed = true;
                child.kill().with_context(|| format!("cannot stop {what}"))?;
                break;
            }
            if start.elapsed() > beat {
                self.tell(&format!("{}: {what} … {}", self.tier, seconds(start.elapsed())));
                beat += HEARTBEAT;
            }
        }
        let status = child.wait().with_context(|| format!("cannot wait for {what}"))?;
        let done = Done { status: (!killed).then_some(status), output, time: start.elapsed() };
        self.keep(&format!("=== {what}: {} after {}", done.ending(), seconds(done.time)));
        Ok(done)
    }

    /// Shows the end of a failed program's output and where the rest is.
    pub(crate) fn show_failure(&mut self, what: &str, output: &str) {
        let lines: Vec<&str> = output.lines().filter(|line| !is_message(line)).collect();
        out::line(format!("{}: {what} FAILED; its last lines (all of it: {}):", self.tier, self.shown));
        for line in lines.iter().skip(lines.len().saturating_sub(TAIL)) {
            self.tell(&format!("    {line}"));
        }
    }

    /// Keeps a line in the log only.
    pub(crate) fn keep(&mut self, text: &str) {
        // A full disk must not hide what the tests say: the person still sees the summary.
        drop(writeln!(self.file, "{text}"));
    }
}

/// cargo's JSON messages are for us, not for the log.
fn is_message(line: &str) -> bool {
    line.starts_with("{\"reason\":")
}

fn spawn(command: &mut Command) -> Result<(Child, Receiver<String>)> {
    let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
    let second = writer.try_clone().context("cannot copy a pipe")?;
    command.stdin(Stdio::null()).stdout(writer).stderr(second);
    let program = command.get_program().to_string_lossy().into_owned();
    let child = command.spawn().with_context(|| format!("cannot start {program}"));
    // The command keeps its ends of the pipe open until it gets others.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || read_lines(reader, &send));
    Ok((child?, receive))
}

fn read_lines(reader: PipeReader, send: &mpsc::Sender<String>) {
    let mut reader = BufReader::new(reader);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
        let line = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
        if send.send(line).is_err() {
            return;
        }
        bytes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(folder: &std::path::Path) -> Log {
        let file = File::create(folder.join("log")).unwrap();
        Log { file, tier: "t".into(), shown: "log".into(), aside: false }
    }

    #[test]
    fn both_streams_come_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; echo three; exit 3"]);
        let done = log(folder.path()).run("sh", &mut command, Duration::from_secs(20)).unwrap();
        assert_eq!(done.output, "one\ntwo\nthree\n");
        assert_eq!(done.status.and_then(|status| status.code()), Some(3));
        assert!(std::fs::read_to_string(folder.path().join("log")).unwrap().contains("two\n"));
    }

    #[test]
    fn a_process_left_behind_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 30 & echo done"]);
        let done = log(folder.path()).run("sh", &mut command, Duration::from_secs(25)).unwrap();
        assert!(done.success() && done.output == "done\n");
        assert!(done.time < Duration::from_secs(20));
    }

    #[test]
    fn a_program_that_hangs_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sleep");
        command.arg("60");
        let done = log(folder.path()).run("sleep", &mut command, Duration::from_millis(300)).unwrap();
        assert!(done.status.is_none() && !done.success());
        assert!(done.time < Duration::from_secs(30));
    }
}
