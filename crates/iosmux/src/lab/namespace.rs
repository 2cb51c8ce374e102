//! A network namespace that is a thread: what runs on the thread runs in the namespace.
//!
//! The namespace has no name in the file system. The kernel frees it with everything in it when the thread ends, however
//! the process ends.

use std::fs::File;
use std::future::Future;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::thread;

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, unshare};
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

type Job = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// A network namespace and the runtime of its thread. Dropping it ends both.
pub(crate) struct Namespace {
    name: String,
    jobs: mpsc::UnboundedSender<Job>,
    fd: OwnedFd,
}

impl Namespace {
    /// A new, empty namespace. `name` is for people; the kernel doesn't learn it, except as the thread's name.
    pub(crate) async fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let (jobs, queue) = mpsc::unbounded_channel();
        let (report, ready) = oneshot::channel();
        thread::Builder::new().name(name.clone()).spawn(move || match enter() {
            Ok((fd, runtime)) => {
                if report.send(Ok(fd)).is_ok() {
                    serve(runtime, queue);
                }
            }
            Err(error) => drop(report.send(Err(error))),
        })?;
        let fd = ready.await?.with_context(|| format!("create the namespace {name}"))?;
        Ok(Self { name, jobs, fd })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The namespace, for netlink requests that move an interface into it.
    pub(crate) fn raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Runs a future in the namespace. Its sockets and its tasks live there; they end with the namespace.
    ///
    /// Fails when the job fails or panics, or the namespace ends first.
    pub(crate) async fn run<F, Fut, T>(&self, job: F) -> Result<T>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T>> + 'static,
        T: Send + 'static,
    {
        let (report, result) = oneshot::channel();
        let job: Job = Box::new(move || {
            Box::pin(async move {
                // A caller that went away doesn't want the result.
                let _ = report.send(job().await);
            })
        });
        let ended = || anyhow!("the namespace {} ended before its job", self.name);
        self.jobs.send(job).map_err(|_| ended())?;
        result.await.map_err(|_| ended())?.with_context(|| format!("in the namespace {}", self.name))
    }
}

/// Runs a future in a namespace that is gone when this returns.
pub(crate) fn probe<F, Fut>(job: F) -> Result<()>
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = Result<()>> + 'static,
{
    let tried = thread::spawn(move || -> Result<()> {
        let (_fd, runtime) = enter()?;
        LocalSet::new().block_on(&runtime, job())
    });
    tried.join().map_err(|_| anyhow!("the probe panicked"))?
}

fn enter() -> Result<(OwnedFd, tokio::runtime::Runtime)> {
    unshare(CloneFlags::CLONE_NEWNET).context("unshare the network namespace")?;
    let fd = File::open("/proc/thread-self/ns/net").context("open the network namespace")?;
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
