//! A phone plugged into the guest's kernel, seen from the kernel's side.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use iosmux_fakephone::net::PhoneConfig;
use iosmux_fakephone::usb::{UsbFault, UsbPhone, UsbPhoneConfig};
use iosmux_usb::Setup;
use nusb::MaybeFuture as _;
use nusb::transfer::{ControlIn, ControlType, Recipient, TransferError};
use tracing_subscriber::EnvFilter;

use super::{TRUSTED, catalogue};

/// Everything that a kernel under TCG does, it does in this time.
pub const SOON: Duration = Duration::from_secs(20);

/// A phone and the port that it is in.
pub struct Cable {
    pub phone: UsbPhone,
}

impl Cable {
    /// A phone that is enumerated, in mode 1.
    pub async fn plug(udid: &str, faults: &[&str]) -> Cable {
        let _ = tracing_subscriber::fmt()
            .with_test_writer()
            .with_env_filter(EnvFilter::from_default_env())
            .try_init();
        let mut net = PhoneConfig::new("", catalogue(TRUSTED));
        net.udid = Some(udid.to_owned());
        let mut config = UsbPhoneConfig::new(net);
        config.faults = faults.iter().map(|name| UsbFault::from_name(name).unwrap()).collect();
        let cable = Cable { phone: UsbPhone::start(config).await.unwrap() };
        cable.enumerated(4);
        cable
    }

    /// Its folder in sysfs, whether it is there or not.
    pub fn sysfs(&self) -> PathBuf {
        let port = self.phone.state().borrow().port.expect("it was plugged in") + 1;
        let buses = fs::read_dir("/sys/devices/platform/vhci_hcd.0").unwrap();
        let buses = buses.map(|entry| entry.unwrap().path());
        let high_speed =
            |bus: &PathBuf| fs::read_to_string(bus.join("speed")).is_ok_and(|speed| speed.trim() == "480");
        let bus = buses.into_iter().find(high_speed).expect("a high-speed bus");
        let number = bus.file_name().unwrap().to_str().unwrap().trim_start_matches("usb").to_owned();
        bus.join(format!("{number}-{port}"))
    }

    /// One of its files.
    pub fn file(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.sysfs().join(name)).ok().map(|text| text.trim_end_matches('\n').to_owned())
    }

    /// Waits until it has so many configurations, and one is chosen; gives its device number.
    pub fn enumerated(&self, configurations: u8) -> u32 {
        self.enumerated_in(configurations, SOON)
    }

    pub fn enumerated_in(&self, configurations: u8, time: Duration) -> u32 {
        until(time, "it is enumerated", || {
            let there = self.file("bNumConfigurations")? == format!("{configurations}");
            // Interfaces come last.
            let chosen = self.file("bConfigurationValue").is_some_and(|value| !value.is_empty());
            if there && chosen { self.file("devnum")?.parse().ok() } else { None }
        })
    }

    /// Waits until it is off the bus.
    pub fn gone(&self) {
        until(SOON, "it is gone", || (!self.sysfs().exists()).then_some(()));
    }

    /// A vendor request, through usbfs.
    pub fn vendor(&self, setup: Setup) -> Result<Vec<u8>, TransferError> {
        self.vendor_within(setup, SOON)
    }

    /// The same, given up after a while.
    pub fn vendor_within(&self, setup: Setup, patience: Duration) -> Result<Vec<u8>, TransferError> {
        assert!(setup.is_in());
        let control = ControlIn {
            control_type: ControlType::Vendor,
            recipient: Recipient::Device,
            request: setup.request,
            value: setup.value,
            index: setup.index,
            length: setup.length,
        };
        self.open().control_in(control, patience).wait()
    }

    /// It, open.
    pub fn open(&self) -> nusb::Device {
        let sysfs = self.sysfs();
        let mut devices = nusb::list_devices().wait().unwrap();
        let info =
            devices.find(|info| fs::canonicalize(info.sysfs_path()).unwrap() == sysfs).expect("it is listed");
        info.open().wait().unwrap()
    }

    /// Chooses a configuration, as udev rules do.
    pub fn configure(&self, value: u8) -> std::io::Result<()> {
        fs::write(self.sysfs().join("bConfigurationValue"), value.to_string())
    }

    /// Its network interfaces: the control interface's number and the name, in order.
    pub fn netdevs(&self) -> Vec<(u8, String)> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.sysfs()).unwrap().flatten() {
            let number = fs::read_to_string(entry.path().join("bInterfaceNumber"));
            let Ok(number) = number.map(|number| u8::from_str_radix(number.trim(), 16).unwrap()) else {
                continue;
            };
            for netdev in fs::read_dir(entry.path().join("net")).into_iter().flatten().flatten() {
                found.push((number, netdev.file_name().into_string().unwrap()));
            }
        }
        found.sort();
        found
    }

    /// Switches to mode 3 and chooses its configuration; gives the network interfaces.
    pub fn switch(&self, value: u8) -> Vec<(u8, String)> {
        let before = self.enumerated(4);
        assert_eq!(self.vendor(iosmux_usb::Mode::Ncm.set()).unwrap(), [0]);
        until(SOON, "another device number", || (self.file("devnum")? != before.to_string()).then_some(()));
        self.enumerated(value);
        self.configure(value).unwrap();
        assert_eq!(self.file("bConfigurationValue"), Some(value.to_string()));
        let expected = if has_private_driver() { 2 } else { 1 };
        until(SOON, "netdevs", || {
            let netdevs = self.netdevs();
            (netdevs.len() == expected).then_some(netdevs)
        })
    }
}

/// Whether this kernel's cdc_ncm takes a function without a status endpoint.
pub fn has_private_driver() -> bool {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap().starts_with("6.12.")
}

/// Waits for something.
pub fn until<T>(time: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < time, "within {time:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether the kernel has said something.
pub fn kernel_said(text: &str) -> bool {
    use std::io::Read as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    // O_NONBLOCK: one record for each read, and an error at the end.
    let mut log =
        fs::OpenOptions::new().read(true).custom_flags(0o4000).open(Path::new("/dev/kmsg")).unwrap();
    let mut record = [0; 8192];
    while let Ok(length) = log.read(&mut record) {
        if length == 0 {
            return false;
        }
        if String::from_utf8_lossy(&record[..length]).contains(text) {
            return true;
        }
    }
    false
}
