//! What a guest promises to the tests in it.
#![cfg(feature = "vm-tests")]

use std::path::Path;
use std::process::Command;

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_kernel_is_the_one_that_was_asked_for() {
    let release = read("/proc/sys/kernel/osrelease");
    assert_eq!(release.trim(), variable("IOSMUX_VM_RELEASE"));
    let guest = variable("IOSMUX_VM_GUEST");
    assert!(guest == "systemd" || release.starts_with(&format!("{guest}.")), "{release} in guest {guest}");
}

#[test]
fn a_phone_can_be_plugged_into_it() {
    let status = read("/sys/devices/platform/vhci_hcd.0/status");
    assert!(status.lines().filter(|line| line.starts_with("hs ")).count() >= 4, "{status}");
    // With udev, drivers of phones are loaded when there is one.
    let loaded = variable("IOSMUX_VM_GUEST") != "systemd";
    for driver in ["usbfs", "cdc_ncm", "ipheth"].into_iter().filter(|name| loaded || *name == "usbfs") {
        assert!(Path::new("/sys/bus/usb/drivers").join(driver).exists(), "{driver}");
    }
    assert!(Path::new("/dev/net/tun").exists() && Path::new("/dev/bus/usb/001/001").exists());
}

#[test]
fn it_is_root_s_with_namespaces_and_bridges() {
    assert_eq!(read("/proc/self/loginuid").trim(), u32::MAX.to_string(), "nobody logged in");
    let words = [
        "-c",
        "ip link add br9 type bridge && ip link add v9 type veth peer name w9 && ip link set v9 master br9",
    ];
    let output = Command::new("unshare").args(["-n", "sh"]).args(words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!Path::new("/sys/class/net/br9").exists(), "the namespace's bridge is not ours");
}

#[test]
fn the_package_s_tests_are_where_they_were() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert_eq!(std::env::current_dir().unwrap(), here);
    assert!(read(here.join("tests/vm_guest.rs").to_str().unwrap()).contains("where_they_were"));
    assert!(Path::new(&variable("IOSMUX_VM_BIN")).join("vm_guest").exists());
}
