//! USB of this computer: phones by sysfs, requests by usbfs.
//!
//! | file | what |
//! |---|---|
//! | `sysfs` | what there is, without opening anything |
//! | `readers` | reading it side by side |
//! | `nusb` | open phones: control requests, configurations, bulk transfers |
//! | `aside` | what may block at its end |
//! | `holders` | who else has a phone |
//! | `hotplug` | when looking again is worth it |
//! | `uevent` | messages of the kernel and of udev, read |

mod aside;
mod holders;
mod hotplug;
mod nusb;
mod readers;
mod sysfs;
mod uevent;

use std::io;
use std::sync::Arc;

use tokio::time::timeout;

use crate::ports::{Address, Holder, LONGEST, Phones, UsbError, UsbHost};
use crate::privileges::Access;
use holders::Processes;
use readers::Readers;
use sysfs::Sysfs;

pub use hotplug::Watch;
pub use nusb::Device;
pub(crate) use nusb::bulk;

/// The USB of this computer.
#[derive(Debug, Clone)]
pub struct Host {
    system: Arc<System>,
}

/// What an open phone asks as well.
#[derive(Debug)]
struct System {
    access: Access,
    sysfs: Sysfs,
    readers: Readers,
    processes: Processes,
}

impl Host {
    /// Opens nodes by `access`.
    ///
    /// # Errors
    /// None today: a computer without USB has no phones until it gets some.
    pub fn new(access: Access) -> io::Result<Self> {
        let (sysfs, readers, processes) = (Sysfs::default(), Readers::default(), Processes::default());
        let system = System { access, sysfs, readers, processes };
        Ok(Self { system: Arc::new(system) })
    }
}

impl UsbHost for Host {
    type Device = Device;
    type Changes = Watch;

    fn changes(&self) -> io::Result<Watch> {
        Ok(Watch::open())
    }

    async fn list(&self) -> io::Result<Phones> {
        let system = Arc::clone(&self.system);
        let addresses = in_time(move || system.sysfs.addresses()).await??;
        let system = Arc::clone(&self.system);
        Ok(self.system.readers.read(addresses, move |address| system.sysfs.phone(address)).await)
    }

    async fn open(&self, address: &Address) -> Result<Device, UsbError> {
        Device::open(Arc::clone(&self.system), address.clone()).await
    }

    async fn meddlers(&self, address: &Address) -> Vec<Holder> {
        let (system, address) = (Arc::clone(&self.system), address.clone());
        let look = move || system.processes.meddlers(&address, &system.access.processes());
        in_time(look).await.unwrap_or_default()
    }
}

/// Runs what may block, for [`LONGEST`] at most. What takes longer goes on by itself and is forgotten.
async fn in_time<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    match timeout(LONGEST, tokio::task::spawn_blocking(job)).await {
        Ok(done) => done.map_err(io::Error::other),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}
