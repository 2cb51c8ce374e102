//! A desk in a guest: phones that the kernel believes in, a host with iosmux-bridge, and a VM behind the bridge.
//!
//! ```text
//!  phone (vhci_hcd)         the guest                     namespace vm
//!      private NCM ══ USB ══ cdc_ncm ─┐
//!                                     ├─ virbr9 ─ vmtap ────── eth0   iosmux-tunneld
//!      private NCM ══ USB ══ cdc_ncm ─┘
//! ```
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

pub mod bridge;
pub mod vm;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use iosmux_fakephone::accessory::PairingConfig;
use iosmux_fakephone::net::PhoneConfig;
use iosmux_fakephone::usb::{UsbFault, UsbPhone, UsbPhoneConfig};
use iosmux_xpc::rsd::Catalogue;
use tempfile::TempDir;
use tokio::time::sleep;

/// The bridge that phones join.
pub const BRIDGE: &str = "virbr9";
/// Between two looks at anything.
pub const LOOK: Duration = Duration::from_millis(5);
/// How long anything may take without KVM, on a machine that does other things as well.
pub const PATIENCE: Duration = Duration::from_secs(40);
/// What a request costs that the virtual host controller loses, as it does now and then when a phone is plugged in.
pub const LOST: Duration = Duration::from_secs(5);

const TRUSTED: &str = include_str!("../../../fakephone/tests/fixtures/iphone11,6_ios17.0.3_trusted.json");
const UNTRUSTED: &str = include_str!("../../../fakephone/tests/fixtures/iphone15,3_ios17.0_untrusted.json");

/// What may take so long on a computer; without KVM a guest is ten times slower, and other guests run beside it.
pub fn allowed(on_a_computer: Duration) -> Duration {
    let kvm = std::env::var("IOSMUX_VM_ACCEL").is_ok_and(|accel| accel.starts_with("kvm"));
    if kvm { on_a_computer } else { on_a_computer * 10 }
}

/// The UDID of the phone with this number.
pub fn udid(number: usize) -> String {
    format!("00008020-{:016X}", 0x1000 + number)
}

fn catalogue(text: &str) -> Catalogue {
    Catalogue::from_json(&serde_json::from_str(text).unwrap()).unwrap()
}

/// What a test has on the desk. Dropped, its links are gone.
pub struct Desk {
    pub files: TempDir,
}

impl Desk {
    /// A host without anything yet.
    pub fn bare() -> Self {
        // Shown when a test fails. One test of the program is the first.
        let _ = tracing_subscriber::fmt().with_test_writer().with_ansi(false).try_init();
        Self { files: tempfile::tempdir().unwrap() }
    }

    /// A host with a bridge.
    pub fn new() -> Self {
        let desk = Self::bare();
        make_bridge();
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// What the phone with this number is: its cable is not in.
    pub fn phone_config(&self, number: usize, faults: &[&str]) -> UsbPhoneConfig {
        let state = self.path(&format!("phone{number}"));
        let net = PhoneConfig {
            udid: Some(udid(number)),
            untrusted_catalogue: Some(catalogue(UNTRUSTED)),
            pairing: PairingConfig { state_dir: Some(state), ..PairingConfig::default() },
            ..PhoneConfig::new("ncm0", catalogue(TRUSTED))
        };
        let faults = faults.iter().map(|name| UsbFault::from_name(name).unwrap()).collect();
        UsbPhoneConfig { faults, ..UsbPhoneConfig::new(net) }
    }

    /// Plugs a phone in.
    pub async fn phone(&self, number: usize, faults: &[&str]) -> UsbPhone {
        UsbPhone::start(self.phone_config(number, faults)).await.unwrap()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        delete_bridge();
    }
}

/// `virbr9`, up, as libvirt makes it: with a tap that keeps it running.
pub fn make_bridge() {
    delete_bridge();
    ip("link add virbr9 type bridge");
    ip("link set virbr9 up");
}

pub fn delete_bridge() {
    if exists(BRIDGE) {
        ip("link del virbr9");
    }
}

/// Whether there is an interface of this name.
pub fn exists(name: &str) -> bool {
    fs::exists(format!("/sys/class/net/{name}")).unwrap()
}

/// The ports of the bridge, without the VM's.
pub fn ports() -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(format!("/sys/class/net/{BRIDGE}/brif")) else { return BTreeSet::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != vm::TAP).collect()
}

/// Runs `ip`, which must be content.
pub fn ip(words: &str) {
    let output = Command::new("ip").args(words.split(' ')).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "ip {words}: {said}");
}

/// The MAC address of an interface.
pub fn mac(name: &str) -> String {
    fs::read_to_string(format!("/sys/class/net/{name}/address")).unwrap().trim().to_owned()
}

/// Waits until `is` gives something; gives that and how long it took.
pub async fn until<T>(what: &str, patience: Duration, mut is: impl FnMut() -> Option<T>) -> (T, Duration) {
    let began = Instant::now();
    loop {
        if let Some(found) = is() {
            return (found, began.elapsed());
        }
        assert!(began.elapsed() < patience, "{what}: not within {patience:?}\n{}", kernel());
        sleep(LOOK).await;
    }
}

/// The end of the kernel's log.
pub fn kernel() -> String {
    let output = Command::new("dmesg").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(25)..).unwrap_or_default().join("\n")
}

/// Folders of phones in /sys/bus/usb/devices, by serial.
pub fn on_usb(number: usize) -> Option<PathBuf> {
    let serial = udid(number).replace('-', "");
    let entries = fs::read_dir("/sys/bus/usb/devices").unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    paths.find(|path| fs::read_to_string(path.join("serial")).is_ok_and(|text| text.trim() == serial))
}

/// bConfigurationValue and bNumConfigurations of the phone with this number.
pub fn configuration(number: usize) -> Option<(String, String)> {
    let path = on_usb(number)?;
    let read = |name: &str| Some(fs::read_to_string(path.join(name)).ok()?.trim().to_owned());
    Some((read("bConfigurationValue")?, read("bNumConfigurations")?))
}
