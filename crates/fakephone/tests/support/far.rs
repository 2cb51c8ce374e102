//! The phone's side of a link as a network namespace of its own: a thread that enters one, with a runtime.
//!
//! A tunnel's two ends need it: in one namespace the kernel would never send a packet between two of its own addresses.

use std::fs::File;
use std::future::Future;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::process::{Command, id};
use std::thread;

use iosmux_fakephone::net::{Phone, PhoneConfig};
use nix::mount::MsFlags;
use nix::sched::{CloneFlags, unshare};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::{Link, SOON, start};

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A link whose phone's end is in another namespace; the other end is here.
pub struct FarLink {
    pub link: Link,
    jobs: mpsc::UnboundedSender<Job>,
    /// Keeps the namespace's file open: its path names the namespace to `ip`.
    namespace: File,
}

impl FarLink {
    /// The phone's end has no address yet.
    pub fn new() -> FarLink {
        FarLink::in_namespaces(CloneFlags::CLONE_NEWNET)
    }

    /// The phone's side has no /dev/net/tun.
    pub async fn without_tun() -> FarLink {
        let far = FarLink::in_namespaces(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS);
        far.run(|| async {
            let mount = |source, target: &str, kind, flags| {
                nix::mount::mount(source, target, kind, flags, None::<&str>).expect("mounted");
            };
            // What is mounted next must not be seen outside.
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE);
            mount(Some("none"), "/dev/net", Some("tmpfs"), MsFlags::empty());
        })
        .await;
        far
    }

    fn in_namespaces(flags: CloneFlags) -> FarLink {
        let (jobs, mut inbox) = mpsc::unbounded_channel::<Job>();
        let (report, entered) = std::sync::mpsc::channel();
        thread::spawn(move || {
            unshare(flags).expect("a namespace of its own (these tests run under unshare -Urn)");
            report
                .send(File::open("/proc/thread-self/ns/net").expect("/proc is there"))
                .expect("the test waits");
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                while let Some(job) = inbox.recv().await {
                    tokio::spawn(job);
                }
            });
        });
        let namespace = entered.recv().expect("the thread entered its namespace");
        let link = Link::new();
        let path = format!("/proc/{}/fd/{}", id(), namespace.as_raw_fd());
        super::ip(&["link", "set", &link.phone_end(), "netns", &path]);
        FarLink { link, jobs, namespace }
    }

    /// Runs a future on the phone's side.
    pub async fn run<T, F>(&self, job: impl FnOnce() -> F + Send + 'static) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (done, result) = oneshot::channel();
        let job = Box::pin(async move {
            // Whoever asked may have given up.
            let _ = done.send(job().await);
        });
        self.jobs.send(job).expect("the phone's side lives");
        timeout(4 * SOON, result).await.expect("an end soon").expect("the job did not panic")
    }

    /// `ip` on the phone's side.
    pub async fn ip(&self, arguments: &'static str) -> String {
        self.run(move || async move { super::ip(&arguments.split(' ').collect::<Vec<_>>()) }).await
    }

    /// The phone's interfaces but its end of the link and loopback.
    pub async fn other_interfaces(&self) -> Vec<String> {
        let list = self.ip("-o link show").await;
        let names = list.lines().filter_map(|line| line.split(": ").nth(1)).map(str::to_owned);
        names.filter(|name| name != "lo" && !name.starts_with("phone")).collect()
    }

    /// A phone on its side.
    pub async fn phone(&self, config: PhoneConfig) -> Phone {
        let (end, address) = (self.link.phone_end(), format!("{}/64", self.link.address(1)));
        self.run(move || async move {
            super::ip(&["link", "set", &end, "addrgenmode", "none"]);
            super::ip(&["link", "set", &end, "up"]);
            super::ip(&["address", "add", &address, "dev", &end, "nodad"]);
            start(config).await
        })
        .await
    }

    /// A phone with the untrusted services on the link and the trusted ones in tunnels.
    pub async fn usual_phone(&self, edit: impl FnOnce(&mut PhoneConfig)) -> Phone {
        let mut config = self.link.config();
        config.untrusted_catalogue = Some(super::catalogue(super::UNTRUSTED));
        edit(&mut config);
        self.phone(config).await
    }
}

/// The interfaces of this side that tunnels made.
pub fn host_tunnels() -> Vec<String> {
    let output = Command::new("ip").args(["-o", "link", "show"]).output().expect("ip starts");
    let list = String::from_utf8(output.stdout).expect("text");
    let names = list.lines().filter_map(|line| line.split(": ").nth(1)).map(str::to_owned);
    names.filter(|name| name.starts_with("tun")).collect()
}
