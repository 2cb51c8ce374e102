//! go-ios lists the phone's services.

use serde_json::Value;

use crate::idevice_crate;
use crate::process::{command, output, peer};
use crate::stage::{Ports, Stage, assert_ports, property};
use crate::usbmuxd::FakeUsbmuxd;

#[test]
fn rsd_ls_lists_every_service_with_its_port() {
    let stage = Stage::shared();
    let folder = tempfile::tempdir().unwrap();
    let usbmuxd = FakeUsbmuxd::start(&folder.path().join("usbmuxd"), &property("UniqueDeviceID"), None);
    let mut command = command(peer("IOSMUX_PEER_GOIOS"));
    command.args(["rsd", "ls", "--address", &stage.scoped(), "--rsd-port", &stage.rsd_port().to_string()]);
    command.env("HOME", folder.path()).env("USBMUXD_SOCKET_ADDRESS", usbmuxd.address());
    // It would look for its agent otherwise, outside of this test.
    command.env("ENABLE_GO_IOS_AGENT", "no").current_dir(folder.path());
    let text = stage.host().run(move || output(command));
    let ports = ports(&text);
    assert_ports(&ports);
    assert_eq!(ports, idevice_crate::ports(stage));
    let asked = usbmuxd.asked();
    assert_eq!(asked, ["ListDevices", "ListDevices"]);
}

fn ports(text: &str) -> Ports {
    let shown: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"));
    let port = |entry: &Value| entry["Port"].as_u64().and_then(|port| port.try_into().ok()).unwrap();
    shown.as_object().unwrap().iter().map(|(name, entry)| (name.clone(), port(entry))).collect()
}
