//! Lines for whoever reads standard output, from a program that must not wait for them.

use std::io::{self, Write};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

/// Lines that wait for a slow reader; more are left out.
const WAITING: usize = 256;
/// How long the reader may take for them at the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// Where the lines go, and how many of the last ones did not.
pub struct Lines {
    waiting: mpsc::Sender<String>,
    missed: u64,
    gap: Box<dyn Fn(u64) -> String + Send>,
}

/// The thread that writes them.
pub struct Writing(JoinHandle<io::Result<()>>);

impl Lines {
    /// Lines to `out`; `gap` makes the one that stands for so many that were left out. Must be called inside a tokio runtime.
    pub fn to(
        out: impl Write + Send + 'static,
        gap: impl Fn(u64) -> String + Send + 'static,
    ) -> (Self, Writing) {
        let (lines, waiting) = Self::new(WAITING, gap);
        (lines, Writing(spawn_blocking(|| write(waiting, out))))
    }

    fn new(room: usize, gap: impl Fn(u64) -> String + Send + 'static) -> (Self, mpsc::Receiver<String>) {
        let (waiting, lines) = mpsc::channel(room);
        (Self { waiting, missed: 0, gap: Box::new(gap) }, lines)
    }

    /// Leaves a line out where there is no room, and those behind it until the gap is told.
    pub fn put(&mut self, line: String) {
        if self.missed > 0 || self.waiting.try_send(line).is_err() {
            self.miss(1);
        }
    }

    /// So many lines were never made.
    pub fn miss(&mut self, lines: u64) {
        self.missed = self.missed.saturating_add(lines);
    }

    /// Tells of a gap when there is room for that; returns when the reader is gone. Cancelling loses nothing.
    pub async fn until_unread(&mut self) {
        loop {
            tokio::select! {
                biased;
                () = self.waiting.closed() => return,
                Ok(room) = self.waiting.reserve(), if self.missed > 0 => {
                    room.send((self.gap)(std::mem::take(&mut self.missed)));
                }
            }
        }
    }
}

impl Writing {
    /// Waits for the last lines, but not for a reader who does not read. Drop the [`Lines`] before.
    ///
    /// # Errors
    /// Whatever writing gave, but that the reader has gone: that is how a pipe ends.
    pub async fn end(self) -> io::Result<()> {
        match timeout(FAREWELL, self.0).await {
            Err(_) => Ok(()),
            Ok(written) => match written.map_err(io::Error::from)? {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                written => written,
            },
        }
    }
}

/// Writes until no more can come or their reader is gone. It blocks while nobody reads, as after Ctrl-S.
fn write(mut lines: mpsc::Receiver<String>, mut out: impl Write) -> io::Result<()> {
    while let Some(line) = lines.blocking_recv() {
        writeln!(out, "{line}")?;
        out.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader};

    #[tokio::test]
    async fn who_does_not_read_is_told_how_much_was_left_out() {
        let (mut lines, mut reader) = Lines::new(2, |missed| format!("({missed} missing)"));
        (1..=4).for_each(|line| lines.put(line.to_string()));
        lines.miss(10);
        let read = async {
            let mut read = Vec::new();
            while read.len() < 3 {
                read.extend(reader.recv().await);
            }
            read
        };
        let read = tokio::select! {
            () = lines.until_unread() => panic!("somebody reads"),
            read = read => read,
        };
        assert_eq!(read, ["1", "2", "(12 missing)"]);
        lines.put("5".to_owned());
        assert_eq!(reader.recv().await.as_deref(), Some("5"));
        drop(reader);
        lines.until_unread().await;
    }

    #[tokio::test]
    async fn all_lines_are_written_before_the_end() {
        let (reader, writer) = io::pipe().unwrap();
        let (mut lines, writing) = Lines::to(writer, |_| String::new());
        (0..3).for_each(|number| lines.put(number.to_string()));
        drop(lines);
        writing.end().await.unwrap();
        let read: Vec<_> = BufReader::new(reader).lines().map(Result::unwrap).collect();
        assert_eq!(read, ["0", "1", "2"]);
    }

    #[tokio::test]
    async fn neither_a_reader_who_is_gone_nor_one_who_does_not_read_is_an_error() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let (mut lines, writing) = Lines::to(writer, |_| String::new());
        lines.put("x".to_owned());
        lines.until_unread().await;
        writing.end().await.unwrap();

        let (reader, writer) = io::pipe().unwrap();
        let (mut lines, writing) = Lines::to(writer, |_| String::new());
        lines.put("x".repeat(1 << 20));
        drop(lines);
        writing.end().await.unwrap();
        drop(reader);
    }
}
