//! A network namespace that is a thread: what runs on the thread runs in the namespace.
//!
//! The namespace has no name in the file system. The kernel frees it with everything in it when the thread ends, however
//! the process ends.

use std::fs::File;
use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::thread;

use nix::sched::{CloneFlags, unshare};
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use crate::error::LabError;

type Job = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// A network namespace and the runtime of its thread. Dropping it ends both.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    jobs: mpsc::UnboundedSender<Job>,
    fd: OwnedFd,
}

impl Namespace {
    /// A new, empty namespace. `name` is for people; the kernel doesn't learn it, except as the thread's name.
    pub async fn new(name: impl Into<String>) -> Result<Self, LabError> {
        let name = name.into();
        let refused = |source| LabError::Namespace { name: name.clone(), source };
        let (jobs, queue) = mpsc::unbounded_channel();
        let (report, ready) = oneshot::channel();
        let begin = move || match enter() {
            Ok((fd, runtime)) => {
                if report.send(Ok(fd)).is_ok() {
                    serve(runtime, queue);
                }
            }
            Err(error) => drop(report.send(Err(error))),
        };
        thread::Builder::new().name(name.clone()).spawn(begin).map_err(refused)?;
        let fd =
            ready.await.unwrap_or_else(|_| Err(io::Error::other("its thread ended"))).map_err(refused)?;
        Ok(Self { name, jobs, fd })
    }

    /// The name for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace, for netlink requests that move an interface into it, and for setns(2).
    pub fn raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Runs a future in the namespace and gives what it gives. Its sockets and its tasks live there; they end with the
    /// namespace. All jobs share one thread: they may wait, but not block.
    ///
    /// Fails when the job panics or the namespace ends first.
    pub async fn run<F, Fut>(&self, job: F) -> Result<Fut::Output, LabError>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future + 'static,
        Fut::Output: Send + 'static,
    {
        let (report, result) = oneshot::channel();
        let job: Job = Box::new(move || {
            Box::pin(async move {
                // A caller that went away doesn't want the result.
                let _ = report.send(job().await);
            })
        });
        let ended = || LabError::Ended { name: self.name.clone() };
        self.jobs.send(job).map_err(|_| ended())?;
        result.await.map_err(|_| ended())
    }
}

/// Runs a future in a namespace that is gone when this returns.
pub(crate) fn probe<F, Fut>(job: F) -> Result<(), LabError>
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), LabError>> + 'static,
{
    let name = "probe";
    let tried = thread::spawn(move || {
        let (_fd, runtime) =
            enter().map_err(|source| LabError::Namespace { name: name.to_owned(), source })?;
        LocalSet::new().block_on(&runtime, job())
    });
    tried.join().unwrap_or_else(|_| Err(LabError::Ended { name: name.to_owned() }))
}

fn enter() -> io::Result<(OwnedFd, tokio::runtime::Runtime)> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    let fd = File::open("/proc/thread-self/ns/net")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok((fd.into(), runtime))
}

fn serve(runtime: tokio::runtime::Runtime, mut queue: mpsc::UnboundedReceiver<Job>) {
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, async move {
        while let Some(job) = queue.recv().await {
            tokio::task::spawn_local(job());
        }
    });
    drop(tasks);
    runtime.shutdown_background();
}
