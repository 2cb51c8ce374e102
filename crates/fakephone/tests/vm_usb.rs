//! The phone on a cable, for real kernels: what they enumerate, which drivers they bind, what goes through.
#![cfg(feature = "vm-tests")]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddrV6;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use iosmux_fakephone::net::RSD_PORT;
use iosmux_fakephone::usb::{Hand, played};
use iosmux_usb::mode::{GET_MODE, ModeReading};
use iosmux_usb::ntb::{Decoder, Encoder, Layout};
use iosmux_usb::{Descriptors, Mac, Mode, ModeReply, Udid, ncm};
use iosmux_xpc::rsd::{self, Handshake};
use iosmux_xpc::session::SessionConfig;
use nusb::MaybeFuture as _;
use nusb::io::EndpointWrite;
use nusb::transfer::{Buffer, Bulk, ControlIn, ControlOut, ControlType, In, Out, Recipient, TransferError};
use support::cable::{Cable, SOON, has_private_driver, kernel_said, until};
use tokio::net::TcpStream;
use uuid::Uuid;

/// Connects to the phone's RSD port through `interface`, and reads who answers.
async fn who_answers(interface: &str, cable: &Cable) -> Option<String> {
    up(interface);
    let address = cable.phone.state().borrow().address;
    let index =
        fs::read_to_string(format!("/sys/class/net/{interface}/ifindex")).unwrap().trim().parse().unwrap();
    let phone = SocketAddrV6::new(address, RSD_PORT, 0, index);
    let start = Instant::now();
    // The address of this end is being detected.
    while start.elapsed() < SOON {
        let connected = tokio::time::timeout(Duration::from_secs(2), TcpStream::connect(phone)).await;
        if let Ok(Ok(stream)) = connected {
            let ours = Handshake::host(Uuid::new_v4());
            let remote = rsd::io::handshake(stream, Some(&ours), SessionConfig::default()).await.unwrap();
            return remote.handshake.properties.get("UniqueDeviceID")?.as_str().map(str::to_owned);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    None
}

fn up(interface: &str) {
    assert!(Command::new("ip").args(["link", "set", interface, "up"]).status().unwrap().success());
}

fn mode(cable: &Cable) -> ModeReply {
    ModeReply::from_bytes(&cable.vendor(GET_MODE).unwrap()).unwrap()
}

#[tokio::test]
async fn the_kernel_enumerates_the_captured_phone() {
    let cable = Cable::plug("00008020-0000000000000001", &[]).await;
    let file = |name| cable.file(name).unwrap();
    assert_eq!(
        (file("idVendor"), file("idProduct"), file("bcdDevice")),
        ("05ac".into(), "12a8".into(), "1404".into())
    );
    assert_eq!((file("manufacturer"), file("product")), ("Apple Inc.".into(), "iPhone".into()));
    assert_eq!((file("serial"), file("speed")), ("000080200000000000000001".into(), "480".into()));
    let bytes = fs::read(cable.sysfs().join("descriptors")).unwrap();
    let captured: Vec<u8> = [
        include_bytes!("../src/usb/data/mode1_device.bin").as_slice(),
        include_bytes!("../src/usb/data/mode1_config1.bin"),
        include_bytes!("../src/usb/data/mode1_config2.bin"),
        include_bytes!("../src/usb/data/mode1_config3.bin"),
        include_bytes!("../src/usb/data/mode1_config4.bin"),
    ]
    .concat();
    assert_eq!(bytes, captured);
    assert_eq!(Mode::guess(&Descriptors::parse(&bytes).unwrap()), Some(Mode::Initial));
    assert_eq!(mode(&cable), ModeReply::INITIAL);
    cable.configure(4).unwrap();
    let driver =
        cable.sysfs().join(format!("{}:4.2/driver", cable.sysfs().file_name().unwrap().to_str().unwrap()));
    until(SOON, "ipheth takes its interface", || {
        fs::read_link(&driver).ok().filter(|to| to.ends_with("ipheth"))
    });
    let busy = cable.open().set_configuration(3).wait().unwrap_err();
    assert_eq!(busy.kind(), nusb::ErrorKind::Busy, "not while a driver has an interface");
    cable.configure(3).expect("sysfs takes drivers away first");
}

#[tokio::test]
async fn a_mode_switch_brings_the_ncm_configuration_and_its_netdevs() {
    let cable = Cable::plug("00008020-0000000000000002", &[]).await;
    let before = cable.sysfs();
    let netdevs = cable.switch(5);
    assert_eq!(cable.sysfs(), before, "it comes back at its port");
    assert_eq!(mode(&cable).reading(), ModeReading::Ncm { tethering: false });
    let numbers: Vec<u8> = netdevs.iter().map(|(number, _)| *number).collect();
    let mac =
        |name: &str| fs::read_to_string(format!("/sys/class/net/{name}/address")).unwrap().trim().to_owned();
    let [tethering, private] =
        iosmux_fakephone::usb::strings::derived_macs(&"00008020-0000000000000002".parse().unwrap());
    assert_eq!(mac(&netdevs[0].1), tethering.to_string());
    if has_private_driver() {
        assert_eq!(numbers, [2, 4]);
        assert_eq!(mac(&netdevs[1].1), private.to_string());
    } else {
        assert_eq!(numbers, [2]);
        assert!(kernel_said("bind() failure"), "the kernel says that it can't bind the private function");
    }
    up(&netdevs[0].1);
    let carrier = format!("/sys/class/net/{}/carrier", netdevs[0].1);
    until(SOON, "tethering says that it is connected", || {
        fs::read_to_string(&carrier).ok().filter(|text| text.trim() == "1")
    });
}

#[tokio::test]
async fn frames_of_a_kernel_s_netdev_reach_the_phone_and_come_back() {
    let cable = Cable::plug("00008020-0000000000000003", &[]).await;
    let netdevs = cable.switch(5);
    if has_private_driver() {
        let udid = who_answers(&netdevs[1].1, &cable).await;
        assert_eq!(udid.as_deref(), Some("00008020-0000000000000003"), "one phone is behind both faces");
        assert!(cable.phone.state().borrow().open);
    } else {
        let (_, tethering) = &netdevs[0];
        up(tethering);
        assert!(!cable.phone.state().borrow().open, "nobody opened the private function");
    }
}

/// A neighbour solicitation for the phone, as the host's end sends it. Source: RFC 4861 §4.3.
fn solicitation(host: Mac, phone: std::net::Ipv6Addr) -> Vec<u8> {
    let target = phone.octets();
    let mut group = "ff02::1:ff00:0".parse::<std::net::Ipv6Addr>().unwrap().octets();
    group[13..].copy_from_slice(&target[13..]);
    let mut icmp = vec![135, 0, 0, 0, 0, 0, 0, 0];
    icmp.extend(target);
    icmp.extend([1, 1]);
    icmp.extend(host.0);
    let source = host.link_local().octets();
    let pseudo = [&source[..], &group, &[0, 0, 0, 32, 0, 0, 0, 58], &icmp].concat();
    let sum: u32 = pseudo.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let sum = !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap();
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut frame = vec![0x33, 0x33, 0xff, target[13], target[14], target[15]];
    frame.extend(host.0);
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255]);
    frame.extend(source);
    frame.extend(group);
    frame.extend(icmp);
    frame
}

#[tokio::test]
async fn a_program_carries_frames_through_the_private_function_on_any_kernel() {
    let cable = Cable::plug("00008020-0000000000000004", &[]).await;
    cable.switch(5);
    let bytes = fs::read(cable.sysfs().join("descriptors")).unwrap();
    let descriptors = Descriptors::parse(&bytes).unwrap();
    let (_, private) = descriptors.ncm_configuration().unwrap();
    let device = cable.open();
    let control = device.detach_and_claim_interface(private.control).wait().unwrap();
    let data = device.detach_and_claim_interface(private.data).wait().unwrap();
    let setup = ncm::get_ntb_parameters(private.control);
    let request = ControlIn {
        control_type: ControlType::Class,
        recipient: Recipient::Interface,
        request: setup.request,
        value: setup.value,
        index: setup.index,
        length: setup.length,
    };
    let parameters = control.control_in(request, SOON).wait().unwrap();
    let parameters = ncm::NtbParameters::parse(&parameters).unwrap();
    let (setup, size) = ncm::set_ntb_input_size(private.control, ncm::INPUT_SIZE);
    let request = ControlOut {
        control_type: ControlType::Class,
        recipient: Recipient::Interface,
        request: setup.request,
        value: setup.value,
        index: setup.index,
        data: &size,
    };
    control.control_out(request, SOON).wait().unwrap();
    data.set_alt_setting(private.alternate).wait().unwrap();
    until(SOON, "the phone's interface is up", || cable.phone.state().borrow().open.then_some(()));
    let host = cable.phone.state().borrow().host_mac.replace(':', "");
    let host = Mac::from_string_descriptor(&host).unwrap();
    let phone = cable.phone.state().borrow().address;
    let mut encoder = Encoder::new(Layout::to_device(&parameters, private.bulk_out.max_packet));
    let mut output: EndpointWrite<Bulk> =
        EndpointWrite::new(data.endpoint::<Bulk, Out>(private.bulk_out.address).unwrap(), 16_384);
    let mut input = data.endpoint::<Bulk, In>(private.bulk_in.address).unwrap();
    let mut decoder = Decoder::new(16_384);
    // Other frames of the phone come as well: its announcements, its reports of groups.
    until(SOON, "the phone's advertisement", || {
        // Again and again: it answers nobody before it knows that its address is its own.
        encoder.push(&solicitation(host, phone)).unwrap();
        output.write_all(encoder.finish().unwrap().bytes).unwrap();
        output.flush_end().unwrap();
        let transfer =
            input.transfer_blocking(Buffer::new(16_384), Duration::from_secs(2)).into_result().ok()?;
        let mut frames = decoder.decode(&transfer).unwrap();
        frames
            .find(|frame| {
                frame[54] == 136 && frame[62..78] == phone.octets() && frame[6..12] == host.of_phone().0
            })
            .map(|_| ())
    });
}

#[tokio::test]
async fn replugs_leave_nothing_behind() {
    let cable = Cable::plug("00008020-0000000000000005", &[]).await;
    let open_files = || fs::read_dir("/proc/self/fd").unwrap().count();
    let mut files = Vec::new();
    for _ in 0..4 {
        let netdevs = cable.switch(5);
        let before = cable.sysfs();
        cable.phone.unplug().await.unwrap();
        cable.gone();
        for (_, netdev) in &netdevs {
            assert!(!std::path::Path::new("/sys/class/net").join(netdev).exists());
        }
        assert!(!cable.phone.state().borrow().plugged);
        cable.phone.plug().await.unwrap();
        cable.enumerated(4);
        assert_eq!((cable.sysfs(), mode(&cable)), (before, ModeReply::INITIAL));
        files.push(open_files());
    }
    // Handles are closed by threads of their own, some after the phone is back.
    let least = files.iter().copied().min().unwrap();
    until(SOON, "as few open files as ever", || (open_files() <= least).then_some(()));
    assert!(files.iter().all(|count| *count <= least + 4), "open files after each: {files:?}");
    for hand in [Hand::Suspend, Hand::Reboot] {
        cable.switch(5);
        cable.phone.order(hand).await.unwrap();
        cable.gone();
        cable.enumerated(4);
    }
}

#[tokio::test]
async fn two_phones_are_two_devices() {
    let one = Cable::plug("00008020-0000000000000006", &[]).await;
    let two = Cable::plug("00008020-0000000000000007", &["stall"]).await;
    assert_ne!(one.sysfs(), two.sysfs());
    assert_eq!(two.vendor(GET_MODE), Err(TransferError::Stall));
    let netdevs = one.switch(5);
    drop(two);
    if has_private_driver() {
        assert_eq!(who_answers(&netdevs[1].1, &one).await.as_deref(), Some("00008020-0000000000000006"));
    }
}

#[tokio::test]
async fn modes_that_are_refused_forgotten_slow_or_odd() {
    let refuses = Cable::plug("00008020-0000000000000010", &["refuse-mode"]).await;
    assert_eq!(refuses.vendor(Mode::Ncm.set()), Ok(vec![1]));
    let stalls = Cable::plug("00008020-0000000000000011", &["refuse-mode:stall"]).await;
    assert_eq!(stalls.vendor(Mode::Ncm.set()), Err(TransferError::Stall));
    let stays = Cable::plug("00008020-0000000000000017", &["stay"]).await;
    assert_eq!(stays.vendor(Mode::Ncm.set()), Ok(vec![0]));
    assert_eq!((refuses.enumerated(4), mode(&stalls)), (refuses.enumerated(4), ModeReply::INITIAL));
    stays.enumerated(4);
    drop((refuses, stalls, stays));

    let slow = Cable::plug("00008020-0000000000000012", &["slow-reenumeration:3"]).await;
    slow.vendor(Mode::Ncm.set()).unwrap();
    slow.gone();
    let start = Instant::now();
    slow.enumerated(5);
    assert!(start.elapsed() > Duration::from_millis(2500), "{:?}", start.elapsed());

    let forgets = Cable::plug("00008020-0000000000000013", &["forget-mode"]).await;
    forgets.vendor(Mode::Ncm.set()).unwrap();
    forgets.gone();
    forgets.enumerated(4);

    for (udid, fault) in
        [("00008020-0000000000000014", "forget-mode:configured"), ("00008020-0000000000000015", "suspend:1")]
    {
        let later = Cable::plug(udid, &[fault]).await;
        later.vendor(Mode::Ncm.set()).unwrap();
        later.gone();
        later.enumerated(5);
        // The answer may be lost with the phone.
        let _ = later.configure(5);
        later.gone();
        later.enumerated(4);
    }

    let drifts = Cable::plug("00008020-0000000000000016", &["mode-drift"]).await;
    drifts.switch(6);
    assert_eq!(mode(&drifts).reading(), ModeReading::Unknown);
}

#[tokio::test]
async fn a_mute_phone_keeps_its_host_waiting() {
    for (udid, fault) in
        [("00008020-0000000000000018", "mute"), ("00008020-0000000000000019", "mute:configured")]
    {
        let cable = Cable::plug(udid, &[fault]).await;
        if fault == "mute:configured" {
            cable.vendor(Mode::Ncm.set()).unwrap();
            cable.gone();
            cable.enumerated(5);
            // The kernel's drivers are not answered either: it goes on when they have given up, or fails.
            let _ = cable.configure(5);
        }
        assert_eq!(
            cable.vendor_within(GET_MODE, Duration::from_secs(1)),
            Err(TransferError::Cancelled),
            "{fault}"
        );
        assert!(cable.phone.state().borrow().mute, "{fault}");
    }
}

#[tokio::test]
async fn a_phone_that_vanishes_takes_its_netdevs_along() {
    let cable = Cable::plug("00008020-0000000000000020", &["vanish:3"]).await;
    let netdevs = cable.switch(5);
    if has_private_driver() {
        // The kernel's own reports and solicitations are enough.
        up(&netdevs[1].1);
        cable.gone();
        assert!(!std::path::Path::new("/sys/class/net").join(&netdevs[1].1).exists());
        std::thread::sleep(Duration::from_secs(1));
        cable.gone();
        cable.phone.plug().await.unwrap();
        cable.enumerated(4);
    } else {
        assert_eq!(netdevs.len(), 1);
    }
}

#[tokio::test]
async fn wrong_descriptors_and_long_strings_are_as_wrong_and_long_for_the_kernel() {
    let wrong = Cable::plug("00008020-0000000000000021", &["wrong-descriptors"]).await;
    wrong.vendor(Mode::Ncm.set()).unwrap();
    wrong.gone();
    wrong.enumerated(5);
    let bytes = fs::read(wrong.sysfs().join("descriptors")).unwrap();
    assert!(Descriptors::parse(&bytes).is_err(), "{bytes:02x?}");

    let plain = Cable::plug("00008020-0000000000000022", &["wrong-descriptors:no-private"]).await;
    plain.vendor(Mode::Ncm.set()).unwrap();
    plain.gone();
    plain.enumerated(5);
    plain.configure(5).unwrap();
    until(SOON, "one netdev", || (plain.netdevs().len() == 1).then_some(()));

    let long = Cable::plug("00008020-0000000000000023", &["long-strings"]).await;
    let serial = String::from_utf8_lossy(&fs::read(long.sysfs().join("serial")).unwrap()).into_owned();
    assert!(serial.starts_with("../../") && serial.chars().count() > 100, "{serial:?}");
    let error = Udid::from_serial(&serial).unwrap_err().to_string();
    assert!(error.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{error}");
}

#[tokio::test]
async fn fastcharge_unconfigures_a_phone_that_was_configured() {
    let cable = Cable::plug("00008020-0000000000000024", &[]).await;
    let netdevs = cable.switch(5);
    played::fastcharge(&cable.sysfs()).unwrap();
    assert_eq!(cable.file("bConfigurationValue").as_deref(), Some("1"));
    assert!(!std::path::Path::new("/sys/class/net").join(&netdevs[0].1).exists());
    assert_eq!(mode(&cable).reading(), ModeReading::Ncm { tethering: false }, "the mode stays");
}

#[tokio::test]
async fn the_program_tells_where_it_is_and_obeys_its_input() {
    let program = format!("{}/iosmux-fakephone", std::env::var("IOSMUX_VM_BIN").unwrap());
    let mut child = Command::new(program)
        .args([
            "usb",
            "--vhci",
            "--catalogue",
            support::TRUSTED,
            "--udid",
            "00008020-0000000000000025",
            "--mode",
            "3",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut until_plugged = |plugged: bool| loop {
        let state: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(state["schema"], "fakephone/usb/1");
        if state["plugged"] == plugged {
            return state;
        }
    };
    let state = until_plugged(true);
    assert_eq!((&state["udid"], &state["mode"]), (&"00008020-0000000000000025".into(), &3.into()));
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"nonsense\nunplug\n").unwrap();
    until_plugged(false);
    input.write_all(b"plug\n").unwrap();
    until_plugged(true);
    let killed = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(killed.success() && child.wait().unwrap().success());
}
