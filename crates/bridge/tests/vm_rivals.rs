//! Other programs that want the phone: they are named, and there is an end to it.
#![cfg(feature = "vm-tests")]
#![allow(clippy::print_stdout, reason = "figures, which the runner asks for with --show-output")]

mod cable;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use cable::bridge::Daemon;
use cable::{Desk, PATIENCE, configuration, ports};
use iosmux_fakephone::usb::{UsbPhone, UsbPhoneConfig};
use iosmux_usb::Mode;
use nusb::MaybeFuture as _;
use nusb::transfer::{ControlIn, ControlType, Recipient};

const SECOND: Duration = Duration::from_secs(1);

/// The name of this process, which others read; a thread may write it.
const NAME: &str = "/proc/self/comm";

/// What a newer usbmuxd does to a phone that appears, and no more. Source: protocol.md §1.3: it guesses the mode from the number
/// of configurations, and where that is not the one it wants, it asks for that one. This process has its name meanwhile.
struct NewerUsbmuxd {
    stop: Arc<AtomicBool>,
    switched: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
    former: String,
}

impl NewerUsbmuxd {
    /// `wanted` is what USBMUXD_DEFAULT_DEVICE_MODE says; 1 without it.
    fn start(wanted: u16) -> Self {
        let (stop, switched) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (ends, counts) = (Arc::clone(&stop), Arc::clone(&switched));
        let former = fs::read_to_string(NAME).unwrap();
        fs::write(NAME, "usbmuxd").unwrap();
        let thread = std::thread::spawn(move || {
            let mut known = None;
            while !ends.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(20));
                let Some(device) = phone() else { continue };
                let address = device.device_address();
                if known == Some(address) {
                    continue;
                }
                known = Some(address);
                let Ok(handle) = device.open().wait() else { continue };
                let mode = if handle.configurations().count() >= 5 { 3 } else { 1 };
                let answered = ask(&handle, 0x45, 0, 4);
                if mode != wanted && answered && ask(&handle, 0x52, wanted, 1) {
                    counts.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        Self { stop, switched, thread: Some(thread), former }
    }

    fn switched(&self) -> usize {
        self.switched.load(Ordering::SeqCst)
    }
}

impl Drop for NewerUsbmuxd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
        fs::write(NAME, self.former.trim_end()).unwrap();
    }
}

fn phone() -> Option<nusb::DeviceInfo> {
    nusb::list_devices().wait().ok()?.find(|device| device.vendor_id() == iosmux_usb::VENDOR)
}

fn ask(handle: &nusb::Device, request: u8, index: u16, length: u16) -> bool {
    let setup = ControlIn {
        control_type: ControlType::Vendor,
        recipient: Recipient::Device,
        request,
        value: 0,
        index,
        length,
    };
    handle.control_in(setup, SECOND).wait().is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_usbmuxd_that_switches_back_is_told_and_not_fought_for_ever() {
    let desk = Desk::new();
    let daemon = Daemon::start(&desk, "").await;
    let usbmuxd = NewerUsbmuxd::start(1);
    let _phone = desk.phone(0, &[]).await;
    let held = daemon.state(0, "held").await;
    println!("{held:#}");
    assert_eq!(held["reason"]["name"], "switched-back", "{held:#}\n{}", daemon.log());
    let (text, next) =
        (held["reason"]["text"].as_str().unwrap(), held["reason"]["next_step"].as_str().unwrap());
    assert!(text.contains(&format!("usbmuxd (process {})", std::process::id())), "{text}");
    assert!(next.contains("USBMUXD_DEFAULT_DEVICE_MODE=3"), "{next}");
    let before = usbmuxd.switched();
    assert!((1..=4).contains(&before), "{before}");
    tokio::time::sleep(5 * SECOND).await;
    assert_eq!(usbmuxd.switched(), before, "nobody goes on\n{}", daemon.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_usbmuxd_that_is_told_mode_3_is_no_rival() {
    let desk = Desk::new();
    let daemon = Daemon::start(&desk, "").await;
    let usbmuxd = NewerUsbmuxd::start(3);
    let _phone = desk.phone(0, &[]).await;
    daemon.joined(0).await;
    tokio::time::sleep(2 * SECOND).await;
    daemon.joined(0).await;
    println!("it switched {} times itself", usbmuxd.switched());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_has_an_interface_is_told_of_and_waited_for() {
    let desk = Desk::new();
    let config = UsbPhoneConfig { mode: Mode::Ncm, ..desk.phone_config(0, &[]) };
    let _phone = UsbPhone::start(config).await.unwrap();
    cable::until("it is configured", PATIENCE, || configuration(0).filter(|(chosen, _)| chosen == "1")).await;
    let (device, _) = cable::until("it is there", PATIENCE, phone).await;
    let handle = device.open().wait().unwrap();
    let claimed = handle.detach_and_claim_interface(0).wait().unwrap();
    let daemon = Daemon::start(&desk, "").await;
    let held = daemon.state(0, "held").await;
    println!("{held:#}");
    assert_eq!(held["reason"]["name"], "busy", "{held:#}\n{}", daemon.log());
    // This test has more rights than the daemon, which so can't look into it: it says who can.
    assert!(held["reason"]["text"].as_str().unwrap().contains("sudo lsof /dev/bus/usb"), "{held:#}");
    assert!(ports().is_empty());
    drop(claimed);
    drop(handle);
    daemon.joined(0).await;
}
