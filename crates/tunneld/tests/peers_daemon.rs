//! Existing tools, unchanged, reach a phone through our daemon: from its registry, by its tunnel, to its services.
#![cfg(feature = "peer-tests")]

mod support;
#[path = "../../fakephone/tests/peers/usbmuxd.rs"]
mod usbmuxd;

use std::ffi::OsString;
use std::net::SocketAddrV6;
use std::path::PathBuf;
use std::time::Duration;

use iosmux_fakephone::net::PhoneConfig;
use iosmux_tunneld::model::Tunnel;
use serde_json::Value;
use support::{Desk, udid};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;
use usbmuxd::FakeUsbmuxd;

/// The longest that one run of a client may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where these clients look for a registry. Source: protocol.md §6.
const REGISTRY: &str = "127.0.0.1:49151";
const AGENT: &str = "127.0.0.1:60105";
const LOCKDOWN: &str = "com.apple.mobile.lockdown.remote.trusted";

fn peer(name: &str) -> PathBuf {
    let Some(path) = std::env::var_os(name) else {
        panic!("{name} is not set: run `cargo xtask test peers`, which provides the peers and sets it")
    };
    PathBuf::from(path)
}

/// Phones with tunnels and a daemon where everybody looks for one. Its host name is the machine's, as it is for users: so
/// its UUID is that of pymobiledevice3 on the same machine.
async fn desk(phones: usize, change: impl Fn(&mut PhoneConfig)) -> Desk {
    let mut desk = Desk::new(u16::try_from(phones).unwrap()).await;
    for number in 0..phones {
        desk.phone(number, &change).await;
    }
    desk.daemon(|settings| {
        settings.listen = vec![REGISTRY.parse().unwrap()];
        settings.agent = Some(AGENT.parse().unwrap());
        settings.host_name = nix::unistd::gethostname().unwrap().into_string().unwrap();
    })
    .await;
    for number in 0..phones {
        desk.usable(number, 1).await;
    }
    desk
}

/// Runs a client in the VM to its end; what it printed.
async fn run(
    desk: &Desk,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(&'static str, OsString)>,
) -> String {
    let name = format!("{} {arguments:?}", program.display());
    let mut command = Command::new(program);
    command.args(arguments).envs(environment).kill_on_drop(true);
    command.current_dir(desk.files.path()).stdin(std::process::Stdio::null());
    let ended = desk.in_vm(move || async move { timeout(PATIENCE, command.output()).await }).await;
    let output = ended.unwrap_or_else(|_| panic!("{name} took longer than {PATIENCE:?}")).unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{name}: {}\n{stdout}\n{stderr}", output.status);
    stdout
}

async fn pymobiledevice3(desk: &Desk, words: &[&str], tunnel: Option<&str>) -> String {
    let home = |name| (name, desk.files.path().as_os_str().to_owned());
    let mut environment = vec![home("HOME"), home("XDG_DATA_HOME"), ("NO_COLOR", "1".into())];
    environment.extend(tunnel.map(|udid| ("PYMOBILEDEVICE3_TUNNEL", udid.into())));
    let arguments = ["-m", "pymobiledevice3"].iter().chain(words).map(|word| (*word).to_owned()).collect();
    run(desk, peer("IOSMUX_PEER_PYTHON"), arguments, environment).await
}

async fn go_ios(desk: &Desk, words: &[&str], usbmuxd: &FakeUsbmuxd) -> Value {
    let home = ("HOME", desk.files.path().as_os_str().to_owned());
    let environment = vec![home, ("USBMUXD_SOCKET_ADDRESS", usbmuxd.address().into())];
    let arguments = words.iter().map(|word| (*word).to_owned()).collect();
    let text = run(desk, peer("IOSMUX_PEER_GOIOS"), arguments, environment).await;
    json(&text)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// go-ios asks usbmuxd for its devices first, and lockdown there; the values that this one gives come from the phone, through the
/// tunnel.
async fn usbmuxd(desk: &Desk) -> FakeUsbmuxd {
    let shown = pymobiledevice3(desk, &["remote", "rsd-info", "--tunnel", &udid(0)], None).await;
    let lockdown = SocketAddrV6::new(tunnel(desk).address, port(&json(&shown), LOCKDOWN), 0, 0);
    let (path, udid) = (desk.path("usbmuxd"), udid(0));
    desk.in_vm(move || async move { FakeUsbmuxd::start(&path, &udid, Some(lockdown)) }).await
}

fn tunnel(desk: &Desk) -> Tunnel {
    desk.device(0).unwrap().tunnel.unwrap()
}

/// The port of a service, as pymobiledevice3 shows it.
fn port(shown: &Value, service: &str) -> u16 {
    shown["Services"][service]["Port"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn pymobiledevice3_takes_its_tunnel_by_udid_and_from_the_environment() {
    let desk = desk(2, |_| {}).await;
    for number in [0, 1] {
        let wanted = udid(number);
        let shown = pymobiledevice3(&desk, &["lockdown", "info", "--tunnel", &wanted], None).await;
        assert_eq!(json(&shown)["UniqueDeviceID"], wanted.as_str());
        let shown = pymobiledevice3(&desk, &["lockdown", "info"], Some(&wanted)).await;
        assert_eq!(json(&shown)["UniqueDeviceID"], wanted.as_str());
    }
}

#[tokio::test]
async fn go_ios_lists_tunnels_and_services_through_the_agents_port_and_reads_the_phone() {
    let desk = desk(1, |_| {}).await;
    let usbmuxd = usbmuxd(&desk).await;
    let tunnel = tunnel(&desk);
    let listed = go_ios(&desk, &["tunnel", "ls"], &usbmuxd).await;
    assert_eq!(listed[0]["udid"], udid(0).as_str());
    assert_eq!(listed[0]["address"], tunnel.address.to_string());
    assert_eq!(listed[0]["rsdPort"], tunnel.rsd_port);
    let info = go_ios(&desk, &["info", "--udid", &udid(0)], &usbmuxd).await;
    assert_eq!(info["UniqueDeviceID"], udid(0).as_str());
    let services = go_ios(&desk, &["rsd", "ls", "--udid", &udid(0)], &usbmuxd).await;
    assert_eq!(services.as_object().unwrap().len(), 67, "those inside of the tunnel");
}

#[tokio::test]
async fn idevice_finds_the_tunnel_and_reads_the_phone_through_it() {
    let desk = desk(2, |_| {}).await;
    let devices = desk
        .in_vm(|| async {
            let registry = REGISTRY.parse().unwrap();
            idevice::tunneld::get_tunneld_devices(registry).await.unwrap()
        })
        .await;
    assert_eq!(devices.len(), 2);
    for number in [0, 1] {
        let Tunnel { address, rsd_port, .. } = desk.device(number).unwrap().tunnel.unwrap();
        let found = &devices[&udid(number)];
        assert_eq!(
            (found.tunnel_address.as_str(), found.tunnel_port),
            (address.to_string().as_str(), rsd_port)
        );
        let connected =
            desk.in_vm(move || async move { TcpStream::connect((address, rsd_port)).await.is_ok() });
        assert!(connected.await);
    }
}

/// From iOS 27.2 a second RSD connection replaces the first, and another host UUID closes every service's listener and
/// connection: the daemon keeps none open, and shares its UUID with pymobiledevice3.
#[tokio::test]
async fn a_stream_to_a_service_of_ios_27_2_survives_five_commands() {
    let desk = desk(1, |config| config.ios = Some("27.2".parse().unwrap())).await;
    // The ports are those of this host: it reads them as any client does, and keeps the service's stream open.
    let shown = pymobiledevice3(&desk, &["remote", "rsd-info", "--tunnel", &udid(0)], None).await;
    let (address, port) = (tunnel(&desk).address, port(&json(&shown), LOCKDOWN));
    let mut stream = desk
        .in_vm(move || async move {
            let mut stream = TcpStream::connect((address, port)).await.unwrap();
            let answer = request(&mut stream, CHECKIN).await;
            assert!(answer.contains("RSDCheckin"), "{answer}");
            let started = answer_of(&mut stream).await;
            assert!(started.contains("StartService"), "{started}");
            stream
        })
        .await;
    for _ in 0..5 {
        let shown = pymobiledevice3(&desk, &["lockdown", "info", "--tunnel", &udid(0)], None).await;
        assert_eq!(json(&shown)["ProductVersion"], "27.2");
    }
    let answer = desk.in_vm(move || async move { request(&mut stream, QUERY_TYPE).await }).await;
    assert!(answer.contains("QueryType"), "the stream is alive: {answer}");
}

/// Source: protocol.md §4.2.
const CHECKIN: &str = "<plist version=\"1.0\"><dict><key>Label</key><string>test</string>\
    <key>ProtocolVersion</key><string>2</string><key>Request</key><string>RSDCheckin</string></dict></plist>";
/// Source: protocol.md §4.2.
const QUERY_TYPE: &str = "<plist version=\"1.0\"><dict><key>Label</key><string>test</string>\
    <key>Request</key><string>QueryType</string></dict></plist>";

async fn request(stream: &mut TcpStream, plist: &str) -> String {
    stream.write_u32(plist.len().try_into().unwrap()).await.unwrap();
    stream.write_all(plist.as_bytes()).await.unwrap();
    answer_of(stream).await
}

async fn answer_of(stream: &mut TcpStream) -> String {
    let read = async {
        let length = stream.read_u32().await.unwrap();
        let mut bytes = vec![0; length.try_into().unwrap()];
        stream.read_exact(&mut bytes).await.unwrap();
        String::from_utf8(bytes).unwrap()
    };
    timeout(PATIENCE, read).await.expect("an answer")
}
