//! A usbmuxd of this test's own, because go-ios looks a device up there before it does anything else.
//!
//! It lists one device and can do nothing more: another request is remembered and the connection closed.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use plist::{Dictionary, Value};

/// Length, version, request and tag, each a little-endian u32. Source: go-ios ios/usbmuxconnection.go, UsbMuxHeader.
const HEADER: usize = 16;
/// Version 1 carries property lists, in requests of kind 8. Source: the same.
const VERSION: u32 = 1;
const PLIST: u32 = 8;
/// The longest request that is read.
const LONGEST: usize = 1 << 16;

/// Listens until the test ends.
pub(crate) struct FakeUsbmuxd {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl FakeUsbmuxd {
    /// Listens at a path and lists one device with this UDID.
    pub(crate) fn start(path: &Path, udid: &str) -> FakeUsbmuxd {
        let listener = UnixListener::bind(path).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, udid) = (Arc::clone(&asked), udid.to_owned());
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A client that goes away in the middle of a request is no concern of this helper.
                let _ = serve(stream, &udid, &log);
            }
        });
        FakeUsbmuxd { address: format!("unix://{}", path.display()), asked }
    }

    /// What go-ios takes from its environment.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The requests so far, by their MessageType.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(mut stream: UnixStream, udid: &str, log: &Mutex<Vec<String>>) -> io::Result<()> {
    loop {
        let mut header = [0; HEADER];
        stream.read_exact(&mut header)?;
        let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
        let length = (word(0) as usize).checked_sub(HEADER).filter(|length| *length <= LONGEST);
        let mut payload = vec![0; length.ok_or(io::ErrorKind::InvalidData)?];
        stream.read_exact(&mut payload)?;
        let request: Value = plist::from_bytes(&payload).map_err(io::Error::other)?;
        let kind = request.as_dictionary().and_then(|keys| keys.get("MessageType")?.as_string());
        let kind = kind.unwrap_or("no MessageType").to_owned();
        log.lock().unwrap().push(kind.clone());
        if kind != "ListDevices" {
            return Ok(());
        }
        stream.write_all(&message(word(12), &device_list(udid)))?;
    }
}

/// Source: go-ios ios/listdevices.go, DeviceList and DeviceProperties.
fn device_list(udid: &str) -> Value {
    let properties: Dictionary = [
        ("ConnectionSpeed", Value::from(480_000_000_u64)),
        ("ConnectionType", "USB".into()),
        ("DeviceID", 1_u64.into()),
        ("LocationID", 1_u64.into()),
        ("ProductID", 0x12a8_u64.into()),
        ("SerialNumber", udid.into()),
    ]
    .into_iter()
    .collect();
    let device: Dictionary = [
        ("DeviceID", Value::from(1_u64)),
        ("MessageType", "Attached".into()),
        ("Properties", properties.into()),
    ]
    .into_iter()
    .collect();
    let list: Dictionary = [("DeviceList", Value::Array(vec![device.into()]))].into_iter().collect();
    list.into()
}

fn message(tag: u32, body: &Value) -> Vec<u8> {
    let mut payload = Vec::new();
    body.to_writer_xml(&mut payload).unwrap();
    let length = u32::try_from(HEADER + payload.len()).unwrap();
    let header = [length, VERSION, PLIST, tag];
    header.into_iter().flat_map(u32::to_le_bytes).chain(payload).collect()
}
