//! Phones as sysfs shows them: read without opening a node, in bounded pieces.
//!
//! What a phone chooses (its strings, its descriptors) is read as bytes and never becomes part of a path. Paths are made of
//! names that the kernel chose, and those are checked all the same.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::ports::{Address, Attached, Bound, MAX_DESCRIPTORS, Netdev};

/// Attributes that are numbers, names or addresses.
const SHORT: usize = 64;
/// The serial string: sysfs gives one page at most.
const SERIAL: usize = 4096;
/// An entry of udev's database is some hundred bytes.
const UDEV_ENTRY: usize = 64 * 1024;

/// The folders that are read; tests have their own.
#[derive(Debug, Clone)]
pub(crate) struct Sysfs {
    devices: PathBuf,
    udev: PathBuf,
}

impl Default for Sysfs {
    fn default() -> Self {
        Self { devices: "/sys/bus/usb/devices".into(), udev: "/run/udev".into() }
    }
}

impl Sysfs {
    /// Where phones are, which waits for none of them. A computer without USB has none.
    pub(crate) fn addresses(&self) -> io::Result<Vec<Address>> {
        let entries = match fs::read_dir(&self.devices) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter_map(|id| self.address(&id)).collect())
    }

    /// The phone at this address; none when it goes while it is read. Some attributes are locked while a request to it is
    /// under way.
    pub(crate) fn phone(&self, address: Address) -> Option<Attached> {
        let id = &address.id;
        let folder = self.devices.join(id);
        let descriptors = read(&folder.join("descriptors"), MAX_DESCRIPTORS).ok()?;
        let interfaces = interfaces(&folder, id);
        let phone = Attached {
            configuration: self.configuration(id),
            serial: read(&folder.join("serial"), SERIAL).ok().map(without_newline),
            drivers: interfaces.iter().filter_map(|(number, path)| bound(*number, path)).collect(),
            netdevs: interfaces.iter().flat_map(|(number, path)| self.netdevs(*number, path)).collect(),
            descriptors,
            address,
        };
        // Another one may have come to the port meanwhile.
        self.is_at(&phone.address).then_some(phone)
    }

    /// Where a phone of this name is; none when the device is another one.
    fn address(&self, id: &str) -> Option<Address> {
        if !is_device(id) {
            return None;
        }
        let folder = self.devices.join(id);
        let (vendor, product) = (hex(&folder, "idVendor")?, hex(&folder, "idProduct")?);
        let (bus, device) = (number(&folder, "busnum")?, number(&folder, "devnum")?);
        iosmux_usb::is_phone(vendor, product).then(|| Address { id: id.to_owned(), bus, device })
    }

    /// Whether a phone is at this address now.
    pub(crate) fn is_at(&self, address: &Address) -> bool {
        self.address(&address.id).as_ref() == Some(address)
    }

    /// bConfigurationValue; an unconfigured device has an empty one.
    pub(crate) fn configuration(&self, id: &str) -> Option<u8> {
        if is_device(id) { number(&self.devices.join(id), "bConfigurationValue") } else { None }
    }

    /// The drivers that are bound to a device's interfaces.
    pub(crate) fn drivers(&self, id: &str) -> Vec<Bound> {
        if !is_device(id) {
            return Vec::new();
        }
        let interfaces = interfaces(&self.devices.join(id), id);
        interfaces.iter().filter_map(|(number, path)| bound(*number, path)).collect()
    }

    fn netdevs(&self, interface: u8, path: &Path) -> Vec<Netdev> {
        let Ok(entries) = fs::read_dir(path.join("net")) else { return Vec::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter_map(|name| self.netdev(interface, &path.join("net").join(&name), name)).collect()
    }

    fn netdev(&self, interface: u8, folder: &Path, name: String) -> Option<Netdev> {
        let mac = mac(&text(folder, "address")?)?;
        let index = text(folder, "ifindex")?.parse().ok()?;
        Some(Netdev { interface, index, name, mac, named: self.named(index) })
    }

    /// Whether udev has finished with an interface: it is in the database, and not marked as being renamed or worked on.
    ///
    /// systemd's sd-device writes `I:` with the time of initialisation; udevd keeps `ID_RENAMING` from before it asks the
    /// kernel until it has seen the move, and `ID_PROCESSING` (since v255) while rules run.
    fn named(&self, index: u32) -> bool {
        if !self.udev.join("control").exists() {
            return true;
        }
        let Ok(entry) = read(&self.udev.join("data").join(format!("n{index}")), UDEV_ENTRY) else {
            return false;
        };
        let lines = || entry.split(|byte| *byte == b'\n');
        let busy = |line: &[u8]| matches!(line, b"E:ID_RENAMING=1" | b"E:ID_PROCESSING=1");
        lines().any(|line| line.starts_with(b"I:")) && !lines().any(busy)
    }
}

/// A device's name, as the kernel makes it: `1-2`, `3-1.4`. Root hubs (`usb1`) and interfaces (`1-2:1.0`) are none.
fn is_device(name: &str) -> bool {
    let whole = |byte: u8| byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    name.len() < SHORT && name.starts_with(|first: char| first.is_ascii_digit()) && name.bytes().all(whole)
}

/// The interfaces of the active configuration, by bInterfaceNumber.
fn interfaces(folder: &Path, id: &str) -> Vec<(u8, PathBuf)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut interfaces: Vec<_> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            // `1-2:5.4`: configuration 5, interface 4.
            let (_, number) = name.strip_prefix(id)?.strip_prefix(':')?.split_once('.')?;
            Some((number.parse().ok()?, entry.path()))
        })
        .collect();
    interfaces.sort();
    interfaces
}

fn bound(interface: u8, path: &Path) -> Option<Bound> {
    let driver = fs::read_link(path.join("driver")).ok()?;
    Some(Bound { interface, driver: driver.file_name()?.to_str()?.to_owned() })
}

/// At most `most` bytes of a file.
fn read(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn without_newline(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    bytes
}

fn text(folder: &Path, attribute: &str) -> Option<String> {
    let text = String::from_utf8(read(&folder.join(attribute), SHORT).ok()?).ok()?;
    Some(text.trim().to_owned())
}

fn number(folder: &Path, attribute: &str) -> Option<u8> {
    text(folder, attribute)?.parse().ok()
}

fn hex(folder: &Path, attribute: &str) -> Option<u16> {
    u16::from_str_radix(&text(folder, attribute)?, 16).ok()
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    /// A computer with one phone at `1-2`, in configuration 5 with the private function's netdev.
    pub(crate) struct Computer {
        pub(crate) folder: TempDir,
        pub(crate) sysfs: Sysfs,
    }

    impl Computer {
        pub(crate) fn with_a_phone() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let devices = folder.path().join("devices");
            let sysfs = Sysfs { devices, udev: folder.path().join("udev") };
            let computer = Self { folder, sysfs };
            for (attribute, value) in [
                ("idVendor", "05ac\n"),
                ("idProduct", "12a8\n"),
                ("busnum", "1\n"),
                ("devnum", "7\n"),
                ("bConfigurationValue", "5\n"),
                ("descriptors", "\u{12}\u{1}"),
                ("serial", "0000811000\0\0\n"),
                ("1-2:5.4/net/enx0/address", "be:5a:3e:c4:9b:16\n"),
                ("1-2:5.4/net/enx0/ifindex", "12\n"),
                ("1-2:5.1/bInterfaceNumber", "01\n"),
            ] {
                computer.write(&format!("devices/1-2/{attribute}"), value);
            }
            symlink("../../bus/usb/drivers/cdc_ncm", computer.path("devices/1-2/1-2:5.4/driver")).unwrap();
            computer
        }

        fn phones(&self) -> Vec<Attached> {
            let addresses = self.sysfs.addresses().unwrap();
            addresses.into_iter().filter_map(|address| self.sysfs.phone(address)).collect()
        }

        pub(crate) fn path(&self, path: &str) -> PathBuf {
            self.folder.path().join(path)
        }

        pub(crate) fn write(&self, path: &str, value: &str) {
            let path = self.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, value).unwrap();
        }
    }

    #[test]
    fn a_phone_is_read_with_its_drivers_and_netdevs() {
        let computer = Computer::with_a_phone();
        computer.write("devices/1-3/idVendor", "1d6b\n");
        computer.write("devices/usb1/idVendor", "05ac\n");
        let phones = computer.phones();
        let netdev = Netdev {
            interface: 4,
            index: 12,
            name: "enx0".to_owned(),
            mac: [0xbe, 0x5a, 0x3e, 0xc4, 0x9b, 0x16],
            named: true,
        };
        let phone = Attached {
            address: Address { id: "1-2".to_owned(), bus: 1, device: 7 },
            descriptors: vec![0x12, 1],
            configuration: Some(5),
            serial: Some(b"0000811000\0\0".to_vec()),
            drivers: vec![Bound { interface: 4, driver: "cdc_ncm".to_owned() }],
            netdevs: vec![netdev],
        };
        assert_eq!(phones, [phone]);
    }

    #[test]
    fn a_computer_without_usb_has_no_phones() {
        let sysfs = Sysfs { devices: "/nowhere".into(), udev: "/nowhere".into() };
        assert_eq!(sysfs.addresses().unwrap(), []);
    }

    #[test]
    fn udev_has_named_a_netdev_when_it_is_done_with_it() {
        let computer = Computer::with_a_phone();
        let named = || computer.phones()[0].netdevs[0].named;
        assert!(named(), "there is no udev");
        computer.write("udev/control", "");
        assert!(!named(), "udev has not seen it yet");
        computer.write("udev/data/n12", "E:ID_BUS=usb\n");
        assert!(!named(), "not initialised");
        computer.write("udev/data/n12", "I:12345\nE:ID_RENAMING=1\n");
        assert!(!named(), "being renamed");
        computer.write("udev/data/n12", "I:12345\nE:ID_BUS=usb\n");
        assert!(named());
    }

    #[test]
    fn an_unconfigured_phone_has_no_configuration() {
        let computer = Computer::with_a_phone();
        computer.write("devices/1-2/bConfigurationValue", "\n");
        assert_eq!(computer.phones()[0].configuration, None);
    }

    #[test]
    fn what_a_phone_chooses_is_bounded() {
        let computer = Computer::with_a_phone();
        computer.write("devices/1-2/serial", &"../".repeat(4096));
        computer.write("devices/1-2/descriptors", &"x".repeat(MAX_DESCRIPTORS + 1));
        let phone = &computer.phones()[0];
        assert_eq!(phone.serial.as_ref().unwrap().len(), SERIAL);
        assert_eq!(phone.descriptors.len(), MAX_DESCRIPTORS);
    }

    #[test]
    fn names_that_the_kernel_would_not_make_are_no_devices() {
        for name in ["", "usb1", "1-2:1.0", "../1-2", "1-2/..", "-1", "..", &"1".repeat(64)] {
            assert!(!is_device(name), "{name}");
        }
        for name in ["1-2", "3-1.4.2"] {
            assert!(is_device(name), "{name}");
        }
    }

    #[test]
    fn another_device_at_the_address_is_not_the_phone() {
        let computer = Computer::with_a_phone();
        let address = Address { id: "1-2".to_owned(), bus: 1, device: 7 };
        assert!(computer.sysfs.is_at(&address));
        computer.write("devices/1-2/devnum", "8\n");
        assert!(!computer.sysfs.is_at(&address));
    }
}
