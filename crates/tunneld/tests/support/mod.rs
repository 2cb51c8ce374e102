//! A desk: phones, a cable box and a daemon, in network namespaces that belong to the test process.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

pub mod echo;
pub mod process;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use iosmux_fakephone::accessory::PairingConfig;
use iosmux_fakephone::fault::Fault;
use iosmux_fakephone::net::{Phone, PhoneConfig, Visits};
use iosmux_lab::{Lab, Place};
use iosmux_tunneld::config::Settings;
use iosmux_tunneld::daemon::Daemon;
use iosmux_tunneld::fleet::Fleet;
use iosmux_tunneld::model::{Device, State};
use iosmux_xpc::rsd::Catalogue;
use tempfile::TempDir;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tracing_subscriber::EnvFilter;

pub const TRUSTED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../fakephone/tests/fixtures/iphone11,6_ios17.0.3_trusted.json");
pub const UNTRUSTED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../fakephone/tests/fixtures/iphone15,3_ios17.0_untrusted.json");

pub fn catalogue(path: &str) -> Catalogue {
    Catalogue::from_json(&serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()).unwrap()
}

/// The UDID of the phone with this number.
pub fn udid(number: usize) -> String {
    format!("00008020-{:016X}", 0x1000 + number)
}

/// A phone that runs; dropped, it goes without a word.
pub struct Plugged {
    stop: Option<oneshot::Sender<()>>,
    gone: oneshot::Receiver<()>,
    visits: watch::Receiver<Visits>,
}

/// A daemon that runs.
pub struct Running {
    pub fleet: Fleet,
    pub registry: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    ended: oneshot::Receiver<()>,
}

pub struct Desk {
    pub lab: Lab,
    pub files: TempDir,
    pub phones: Vec<Option<Plugged>>,
    pub daemon: Option<Running>,
}

impl Desk {
    /// Cables and namespaces, all of them up; nothing runs yet.
    pub async fn new(phones: u16) -> Self {
        // Shown when a test fails; RUST_LOG says how much. One test of the program is the first.
        let _ = tracing_subscriber::fmt()
            .with_test_writer()
            .with_env_filter(EnvFilter::from_default_env())
            .try_init();
        let lab = Lab::build(phones).await.unwrap();
        lab.bring_up_at_once().await.unwrap();
        let phones = (0..phones).map(|_| None).collect();
        Self { lab, files: tempfile::tempdir().unwrap(), phones, daemon: None }
    }

    /// One phone, one daemon, and a tunnel.
    pub async fn ready() -> Self {
        let mut desk = Self::new(1).await;
        desk.phone(0, |_| {}).await;
        desk.daemon(|_| {}).await;
        desk.usable(0, 1).await;
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Starts a phone that remembers whom it trusts.
    pub async fn phone(&mut self, number: usize, change: impl FnOnce(&mut PhoneConfig)) {
        let station = self.lab.station(Place::Phone(number));
        let mut config = PhoneConfig {
            udid: Some(udid(number)),
            untrusted_catalogue: Some(catalogue(UNTRUSTED)),
            pairing: PairingConfig {
                state_dir: Some(self.path(&format!("phone{number}"))),
                ..PairingConfig::default()
            },
            ..PhoneConfig::new(station.interface, catalogue(TRUSTED))
        };
        change(&mut config);
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, gone) = oneshot::channel::<()>();
        let start = move || async move {
            let phone = Phone::start(config).await.unwrap();
            let visits = phone.visits();
            tokio::task::spawn_local(async move {
                let asked = async {
                    // A sender that is dropped means: vanish.
                    if stopped.await.is_err() {
                        std::future::pending::<()>().await;
                    }
                };
                let _tell = tell;
                phone.run(asked).await.unwrap();
            });
            visits
        };
        let visits = self.lab.station(Place::Phone(number)).namespace.run(start).await.unwrap();
        self.phones[number] = Some(Plugged { stop: Some(stop), gone, visits });
    }

    /// How often the daemon came to a phone.
    pub fn visits(&self, number: usize) -> Visits {
        *self.phones[number].as_ref().unwrap().visits.borrow()
    }

    /// A phone that reboots: it says goodbye, closes everything, and is back with other ports.
    pub async fn stop_phone(&mut self, number: usize) {
        let mut phone = self.phones[number].take().unwrap();
        let _ = phone.stop.take().unwrap().send(());
        let _ = phone.gone.await;
    }

    /// Pulls the plug and puts it in again: new address, new ports.
    pub async fn replug(&mut self, number: usize) {
        let place = Place::Phone(number);
        self.lab.unplug(place).await.unwrap();
        self.lab.plug(place).await.unwrap();
        self.lab.station(place).bring_up_at_once().await.unwrap();
    }

    /// Starts the daemon in the VM, with records in this desk's folder.
    pub async fn daemon(&mut self, change: impl FnOnce(&mut Settings)) {
        let mut settings = Settings::new(self.path("records"), "iosmux-test");
        settings.listen = vec!["127.0.0.1:0".parse().unwrap()];
        settings.agent = None;
        change(&mut settings);
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, ended) = oneshot::channel();
        let start = move || async move {
            let daemon = Daemon::start(&settings).await.unwrap();
            let (fleet, registry) = (daemon.fleet(), daemon.addresses()[0]);
            tokio::task::spawn_local(async move {
                daemon.run(async { drop(stopped.await) }).await;
                let _ = tell.send(());
            });
            (fleet, registry)
        };
        let (fleet, registry) = self.lab.vm.namespace.run(start).await.unwrap();
        self.daemon = Some(Running { fleet, registry, stop: Some(stop), ended });
    }

    pub async fn stop_daemon(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        drop(daemon.stop.take());
        daemon.ended.await.unwrap();
    }

    pub fn fleet(&self) -> &Fleet {
        &self.daemon.as_ref().unwrap().fleet
    }

    pub fn device(&self, number: usize) -> Option<Device> {
        self.fleet().snapshot().device(&udid(number)).cloned()
    }

    /// Waits until a phone is as wanted, and says how long that took.
    pub async fn until(
        &self,
        number: usize,
        patience: Duration,
        what: &str,
        is: impl Fn(&Device) -> bool,
    ) -> Duration {
        let (start, wanted) = (Instant::now(), udid(number));
        let mut watch = self.fleet().watch();
        let found = watch.wait_for(|snapshot| snapshot.device(&wanted).is_some_and(&is));
        if timeout(patience, found).await.is_err() {
            panic!("not {what} within {patience:?}: {:#?}", self.fleet().snapshot());
        }
        start.elapsed()
    }

    /// Waits until a phone's services are known, in this attachment or a later one.
    pub async fn usable(&self, number: usize, generation: u64) -> Duration {
        let ready =
            |device: &Device| device.state == State::CatalogueKnown && device.generation >= generation;
        self.until(number, Duration::from_secs(20), "usable", ready).await
    }

    /// Waits for a state.
    pub async fn reaches(&self, number: usize, state: State, patience: Duration) -> Duration {
        self.until(number, patience, state.name(), |device| device.state == state).await
    }

    /// How often TCP has asked whether a silent peer lives. Each end does, but who was asked need not ask: it takes both.
    pub async fn probes(&self) -> u64 {
        let mut count = 0;
        for station in self.lab.phones.iter().chain([&self.lab.vm]) {
            count += station.namespace.run(|| async { keepalives() }).await.unwrap();
        }
        count
    }

    /// Runs something in the VM's namespace.
    pub async fn in_vm<F, Fut>(&self, job: F) -> Fut::Output
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future + 'static,
        Fut::Output: Send + 'static,
    {
        self.lab.vm.namespace.run(job).await.unwrap()
    }
}

/// The calling thread's namespace counts them. Source: Linux, Documentation/networking/snmp_counter.rst.
fn keepalives() -> u64 {
    let table = std::fs::read_to_string("/proc/thread-self/net/netstat").unwrap();
    let mut lines = table.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let mut columns = names.split(' ').zip(values.split(' '));
    columns.find(|(name, _)| *name == "TCPKeepAlive").unwrap().1.parse().unwrap()
}

/// A change that gives a phone one fault.
pub fn fault(fault: Fault) -> impl FnOnce(&mut PhoneConfig) {
    move |config| config.faults.push(fault)
}

/// A copy of a folder, as it is now.
pub fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir(to).unwrap();
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
