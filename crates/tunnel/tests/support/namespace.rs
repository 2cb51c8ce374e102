//! Threads in network namespaces of their own.

use nix::sched::{CloneFlags, unshare};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

/// Work for a namespace's thread.
type Job = Box<dyn FnOnce() + Send>;

/// A thread in a network namespace of its own.
pub(crate) struct Namespace {
    jobs: mpsc::Sender<Job>,
    _thread: JoinHandle<()>,
}

impl Namespace {
    pub(crate) fn new() -> Self {
        let (jobs, queue) = mpsc::channel::<Job>();
        let thread = thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("run inside of a namespace in which you are root");
            queue.into_iter().for_each(|job| job());
        });
        Self { jobs, _thread: thread }
    }

    /// Starts `job` in the namespace; what it returns can be waited for.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> mpsc::Receiver<T> {
        let (tell, result) = mpsc::channel();
        self.jobs.send(Box::new(move || drop(tell.send(job())))).unwrap();
        result
    }

    pub(crate) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        self.start(job).recv().unwrap()
    }
}
