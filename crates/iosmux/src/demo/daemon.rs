//! The real daemon, in the VM's namespace.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use iosmux_capture::Recorder;
use iosmux_lab::Lab;
use iosmux_link::Selection;
use iosmux_tunneld::config::Settings;
use iosmux_tunneld::daemon::{Daemon, StartError};
use iosmux_tunneld::fleet::Fleet;
use serde_json::{Map, Value};
use tempfile::TempDir;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::registry::Registry;
use crate::registry::wire::Device;

/// What the phones know the VM by.
const HOST_NAME: &str = "iosmux-demo";

/// What the daemon is told.
pub(super) struct Options<'a> {
    /// The demo's directory; without it pairings end with the demo.
    pub(super) state_dir: Option<&'a Path>,
    /// What is typed when a phone shows its PIN.
    pub(super) pin: Option<Zeroizing<String>>,
    pub(super) recorder: Option<Recorder>,
}

/// A daemon that runs.
pub(super) struct Running {
    /// What it knows, for who lives in the same process.
    pub(super) fleet: Fleet,
    /// Where it serves its registry, in the VM.
    pub(super) url: String,
    stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
    /// Pairings that end with the demo.
    _records: Option<TempDir>,
}

impl Running {
    /// Starts the daemon in the VM. Its registry answers when this returns.
    pub(super) async fn start(lab: &Lab, options: Options<'_>) -> Result<Self> {
        let Options { state_dir, pin, recorder } = options;
        let temporary = match state_dir {
            Some(_) => None,
            None => Some(TempDir::with_prefix("iosmux-demo-").context("make a folder for pair records")?),
        };
        let base = state_dir.or(temporary.as_ref().map(TempDir::path)).unwrap_or(Path::new("."));
        let settings = Settings {
            interfaces: Selection::parse([lab.vm.interface])?,
            ..Settings::new(base.join("vm"), HOST_NAME)
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let (end, ended) = oneshot::channel::<()>();
        let start = move || async move {
            let mut daemon = Daemon::start(&settings).await?;
            if let Some(recorder) = recorder {
                daemon = daemon.recorded(recorder);
            }
            if let Some(pin) = pin {
                daemon = daemon.typing(pin);
            }
            let (fleet, addresses) = (daemon.fleet(), daemon.addresses());
            tokio::task::spawn_local(async move {
                daemon.run(async { drop(stopped.await) }).await;
                drop(end);
            });
            Ok::<_, StartError>((fleet, addresses))
        };
        let (fleet, addresses) = lab.vm.namespace.run(start).await?.context("start the daemon")?;
        let address = addresses.first().context("the daemon's registry has no address")?;
        Ok(Self { fleet, url: format!("http://{address}"), stop, ended, _records: temporary })
    }

    /// What tools see: the phones of our own face, all of which pymobiledevice3's clients must see as well.
    pub(super) async fn registry(&self, lab: &Lab) -> Result<Vec<Device>> {
        let registry = Registry::at(&self.url)?;
        let ask = move || async move {
            let devices = registry.devices().await?.devices;
            let tunnels: Map<String, Value> = registry.get("/").await?;
            anyhow::Ok((devices, tunnels))
        };
        let (devices, tunnels) = lab.vm.namespace.run(ask).await?.context("ask the daemon's registry")?;
        for device in &devices {
            let entry = tunnels.get(&device.udid).and_then(|entries| entries.get(0));
            let address = entry.and_then(|entry| entry.get("tunnel-address")).and_then(Value::as_str);
            let wanted = device.tunnel.as_ref().map(|tunnel| tunnel.address.to_string());
            ensure!(
                address == wanted.as_deref(),
                "the registry's list gives {} the tunnel {address:?} and its own face {wanted:?}",
                device.udid
            );
        }
        Ok(devices)
    }

    /// Stops it, and waits until every tunnel is down.
    pub(super) async fn end(self) {
        // Either may have ended by itself: a client of the registry can ask for it.
        let _ = self.stop.send(());
        let _ = self.ended.await;
    }
}
