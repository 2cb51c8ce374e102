//! Guests: real kernels in QEMU, with test programs of this workspace in them.
//!
//! | file | what |
//! |---|---|
//! | `guest` | which guests there are, and which a test wants |
//! | `tools`, `kernel` | QEMU, busybox, kernels and their modules, from Debian's packages |
//! | `programs`, `cpio`, `image` | what a guest starts from |
//! | `debian` | the same for the guest with systemd |
//! | `qemu` | one run |
//! | `judge` | what came of it |
//! | `hand` | `cargo xtask vm` |
//! | `soak` | `cargo xtask soak` |

pub(crate) mod cpio;
pub(crate) mod debian;
pub(crate) mod guest;
pub(crate) mod hand;
pub(crate) mod image;
pub(crate) mod judge;
pub(crate) mod kernel;
pub(crate) mod programs;
pub(crate) mod qemu;
pub(crate) mod soak;
pub(crate) mod tools;

use crate::artifacts::TestProgram;
use crate::cache::Cache;
use crate::process::Log;
use anyhow::{Context as _, Result, ensure};
use debian::Debian;
use guest::Guest;
use image::Payload;
use kernel::Kernel;
use programs::Programs;
use qemu::Files;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tools::Tools;

/// The longest that a guest may run.
const DEADLINE: Duration = Duration::from_secs(9 * 60);
/// How many guests run at once: QEMU keeps one core busy.
const AT_ONCE: usize = 2;

/// Everything that guests are made of.
pub(crate) struct Machine {
    tools: Tools,
    kernels: BTreeMap<Guest, Kernel>,
    debian: Option<Debian>,
}

/// One test program in one guest.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// Where it runs.
    pub(crate) guest: Guest,
    /// What runs.
    pub(crate) test: TestProgram,
    /// Arguments after libtest's own.
    pub(crate) words: Vec<String>,
    /// Variables besides those that every test finds.
    pub(crate) environment: Vec<(String, String)>,
    /// The longest that the guest may run.
    pub(crate) deadline: Duration,
}

impl Job {
    /// As the tier runs it.
    pub(crate) fn new(guest: Guest, test: &TestProgram) -> Self {
        Self { guest, test: test.clone(), words: Vec::new(), environment: Vec::new(), deadline: DEADLINE }
    }

    /// For people and for file names.
    pub(crate) fn name(&self) -> String {
        format!("{} {} on {}", self.test.package, self.test.target, self.guest)
    }

    /// Its logs.
    pub(crate) fn files(&self, folder: &Path) -> Files {
        Files::of(folder, &self.name().replace(' ', "-"))
    }
}

/// What came of a job.
pub(crate) struct Ran {
    /// The job.
    pub(crate) job: Job,
    /// QEMU's end, `None` when it was killed at the deadline; or why it never started.
    pub(crate) ending: Result<Option<ExitStatus>>,
    /// Where its logs are.
    pub(crate) files: Files,
    /// From start to end.
    pub(crate) time: Duration,
}

impl Machine {
    /// Provides what `guests` need.
    pub(crate) fn provide(log: &mut Log, guests: &[Guest]) -> Result<Self> {
        ensure!(std::env::consts::ARCH == "x86_64", "guests are for x86_64, as their kernels are");
        let cache = Cache::find()?;
        let tools = Tools::provide(&cache, log).context("QEMU")?;
        let mut kernels = BTreeMap::new();
        for guest in guests {
            let (suite, series) = guest.kernel();
            let kernel = Kernel::provide(&cache, log, &tools, suite, series);
            kernels.insert(*guest, kernel.with_context(|| format!("kernel {series}"))?);
        }
        let debian = guests.contains(&Guest::Systemd).then(|| Debian::provide(&cache, log));
        Ok(Self { tools, kernels, debian: debian.transpose().context("Debian with systemd")? })
    }

    /// What `cargo xtask provision vm` prints.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let text = |path: PathBuf| path.display().to_string();
        let mut variables = vec![
            ("IOSMUX_VM_QEMU".to_owned(), text(self.tools.qemu_path())),
            (qemu::ACCEL.to_owned(), qemu::accel()),
        ];
        for (guest, kernel) in &self.kernels {
            let name = format!("IOSMUX_VM_KERNEL_{}", guest.name().replace('.', "_").to_uppercase());
            variables.push((name, text(kernel.image.clone())));
        }
        variables
    }

    /// Runs jobs, two at a time, and hands each to `done` as it ends.
    pub(crate) fn run(
        &self,
        jobs: Vec<Job>,
        binaries: &BTreeMap<String, PathBuf>,
        folder: &Path,
        done: &mut dyn FnMut(Ran) -> Result<()>,
    ) -> Result<()> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let queue = Mutex::new(jobs.into_iter());
        let (send, receive) = mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                let (send, queue) = (send.clone(), &queue);
                scope.spawn(move || {
                    let next = || queue.lock().ok().and_then(|mut queue| queue.next());
                    while let Some(job) = next() {
                        if send.send(self.run_one(job, binaries, folder)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(send);
            receive.iter().try_for_each(done)
        })
    }

    fn run_one(&self, job: Job, binaries: &BTreeMap<String, PathBuf>, folder: &Path) -> Ran {
        let start = Instant::now();
        let files = job.files(folder);
        let ending = self.prepare(&job, binaries, folder, &files).and_then(|kernel| {
            qemu::run(&self.tools, kernel, job.guest.kernel_words(), &files, job.deadline)
        });
        // As large as the guest's memory: half of one, on a full disk, would make the next fail as well.
        let removed = std::fs::remove_file(&files.archive).context("cannot remove a guest's archive");
        let ending = ending.and_then(|status| removed.map(|()| status));
        Ran { job, ending, files, time: start.elapsed() }
    }

    fn prepare(
        &self,
        job: &Job,
        binaries: &BTreeMap<String, PathBuf>,
        folder: &Path,
        files: &Files,
    ) -> Result<&Kernel> {
        // The last run's words must not be taken for this one's.
        for file in [&files.console, &files.said, &files.qemu] {
            std::fs::write(file, "").with_context(|| format!("cannot write {}", file.display()))?;
        }
        let kernel = self.kernels.get(&job.guest).context("the guest was not provided")?;
        let (small, mut programs) = (folder.join("small"), Programs::default());
        programs.add(&small, &job.test.target, &job.test.path)?;
        for (name, path) in binaries {
            programs.add(&small, name, path)?;
        }
        // What tests print is figures, wanted of those that pass as well.
        let mut words = vec!["--test-threads=1".to_owned(), "--show-output".to_owned()];
        words.extend(job.words.iter().cloned());
        let payload = Payload {
            programs,
            folder: job.test.folder.clone(),
            environment: environment(job, kernel),
            words,
        };
        match (&self.debian, job.guest) {
            (Some(debian), Guest::Systemd) => {
                let installed = root_of(job).join("nixos-module/files");
                debian.image(kernel, &payload, &installed, &files.archive)?;
            }
            _ => image::busybox(&self.tools, kernel, &payload, &files.archive)?,
        }
        Ok(kernel)
    }
}

/// The workspace: its packages are in crates/.
fn root_of(job: &Job) -> &Path {
    job.test.folder.ancestors().nth(2).unwrap_or(&job.test.folder)
}

/// What a test in a guest finds in its environment.
fn environment(job: &Job, kernel: &Kernel) -> Vec<(String, String)> {
    let folder = job.test.folder.display().to_string();
    let root = root_of(job).display().to_string();
    let mut all = job.environment.clone();
    let common = [
        ("CARGO_MANIFEST_DIR", folder.as_str()),
        ("CARGO_PKG_NAME", &job.test.package),
        ("CARGO_PKG_VERSION", &job.test.version),
        ("INSTA_WORKSPACE_ROOT", &root),
        ("INSTA_UPDATE", "no"),
        ("RUST_BACKTRACE", "1"),
        ("IOSMUX_VM_BIN", image::BIN),
        ("IOSMUX_VM_GUEST", job.guest.name()),
        ("IOSMUX_VM_RELEASE", &kernel.release),
        (qemu::ACCEL, &qemu::accel()),
    ];
    all.extend(common.map(|(name, value)| (name.to_owned(), value.to_owned())));
    all
}
