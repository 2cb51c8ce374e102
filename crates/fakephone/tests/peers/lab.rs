//! Two network namespaces and a cable between them; each namespace is a thread.
//!
//! Nothing has a name in the file system: the kernel frees all of it when the threads end, however this program ends.

use std::any::Any;
use std::fs::{self, File};
use std::future::Future;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, unshare};
use rtnetlink::packet_route::link::{InfoData, InfoKind, InfoVeth};
use rtnetlink::{LinkMessageBuilder, LinkUnspec, LinkVeth};
use tokio::runtime::{Builder, Runtime};

/// The phone's end of the cable.
pub(crate) const PHONE: &str = "phone0";
/// The other end.
pub(crate) const HOST: &str = "vm0";

/// Duplicate-address detection takes up to 2 s; the rest is for a busy machine.
const ADDRESS_DEADLINE: Duration = Duration::from_secs(15);

type Job = Box<dyn FnOnce(&Runtime) + Send>;

/// A network and a mount namespace: what runs on its thread runs in them, child programs too.
#[derive(Clone)]
pub(crate) struct Namespace {
    jobs: Arc<Mutex<Sender<Job>>>,
    fd: Arc<OwnedFd>,
}

impl Namespace {
    /// New namespaces with `lo` up.
    pub(crate) fn new() -> Namespace {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (report, ready) = mpsc::channel();
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            report.send(enter()).unwrap();
            queue.iter().for_each(|job| job(&runtime));
        });
        let fd = ready.recv().unwrap().expect("no namespaces here: run `cargo xtask test peers`");
        let namespace = Namespace { jobs: Arc::new(Mutex::new(jobs)), fd: Arc::new(fd) };
        namespace.up("lo");
        namespace
    }

    /// Runs a job in the namespaces; its panic is the caller's.
    pub(crate) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        self.submit(move |_| job())
    }

    /// Runs a future to its end in the namespaces.
    pub(crate) fn block_on<F: Future>(&self, future: impl FnOnce() -> F + Send + 'static) -> F::Output
    where
        F::Output: Send + 'static,
    {
        self.submit(move |runtime| runtime.block_on(async { future().await }))
    }

    fn submit<T: Send + 'static>(&self, job: impl FnOnce(&Runtime) -> T + Send + 'static) -> T {
        let (report, result) = mpsc::channel::<Result<T, Box<dyn Any + Send>>>();
        let job: Job = Box::new(move |runtime| {
            let done = catch_unwind(AssertUnwindSafe(|| job(runtime)));
            report.send(done).unwrap();
        });
        self.jobs.lock().unwrap().send(job).unwrap();
        result.recv().unwrap().unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn up(&self, interface: &'static str) {
        self.block_on(move || async move {
            let (connection, handle, _) = rtnetlink::new_connection().unwrap();
            tokio::spawn(connection);
            let index = if_nametoindex(interface).unwrap();
            handle.link().set(LinkUnspec::new_with_index(index).up().build()).execute().await.unwrap();
        });
    }

    /// The link-local address of an interface, once duplicate-address detection has passed it.
    fn link_local(&self, interface: &'static str) -> SocketAddrV6 {
        let end = Instant::now() + ADDRESS_DEADLINE;
        loop {
            // The table of the calling thread, not that of the program's first one.
            let table = self.run(|| fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap());
            if let Some((address, index)) = table.lines().find_map(|line| usable(line, interface)) {
                return SocketAddrV6::new(address, 0, 0, index);
            }
            assert!(Instant::now() < end, "{interface} has no usable link-local address: {table}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A line of if_inet6: address, index, prefix length, scope, flags (all hexadecimal), name.
fn usable(line: &str, interface: &str) -> Option<(Ipv6Addr, u32)> {
    const TENTATIVE_OR_FAILED: u8 = 0x40 | 0x08;
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [address, index, _, _, flags, name] = fields[..] else { return None };
    let address = Ipv6Addr::from(u128::from_str_radix(address, 16).ok()?);
    let good = u8::from_str_radix(flags, 16).ok()? & TENTATIVE_OR_FAILED == 0;
    let ours = name == interface && address.is_unicast_link_local() && good;
    ours.then_some((address, u32::from_str_radix(index, 16).ok()?))
}

fn enter() -> nix::Result<OwnedFd> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)?;
    // What is mounted from here on must not be seen outside.
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    Ok(File::open("/proc/thread-self/ns/net").unwrap().into())
}

/// Two namespaces with a cable between [`PHONE`] and [`HOST`].
pub(crate) struct Link {
    pub(crate) phone: Namespace,
    pub(crate) host: Namespace,
}

impl Link {
    /// Lays the cable and waits for the host's address; the phone waits for its own.
    pub(crate) fn new() -> Link {
        let (phone, host) = (Namespace::new(), Namespace::new());
        let far = Arc::clone(&host.fd);
        phone.block_on(move || async move {
            let (connection, handle, _) = rtnetlink::new_connection().unwrap();
            tokio::spawn(connection);
            let far_end =
                LinkMessageBuilder::<LinkUnspec>::new().name(HOST).setns_by_fd(far.as_raw_fd()).build();
            let pair = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
                .name(PHONE)
                .set_info_data(InfoData::Veth(InfoVeth::Peer(far_end)))
                .build();
            handle.link().add(pair).execute().await.unwrap();
        });
        phone.up(PHONE);
        host.up(HOST);
        host.link_local(HOST);
        Link { phone, host }
    }

    /// The index of the host's end of the cable.
    pub(crate) fn host_index(&self) -> u32 {
        self.host.run(|| if_nametoindex(HOST).unwrap())
    }
}
