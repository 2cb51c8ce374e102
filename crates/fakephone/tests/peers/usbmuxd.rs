//! A usbmuxd of this test's own, because go-ios looks a device up there before it does anything else.
//!
//! It lists one device. Where it is told of a lockdown service it also connects to lockdown: what it plays then is the USB cable and the
//! session, without TLS; every value comes from that service. Any other request is remembered and the connection closed.

use std::io::{self, Read, Write};
use std::net::{SocketAddrV6, TcpStream};
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
    #[allow(dead_code, reason = "each test binary uses its part")]
    asked: Arc<Mutex<Vec<String>>>,
}

impl FakeUsbmuxd {
    /// Listens at a path and lists one device with this UDID, in the calling thread's namespace. `lockdown` is the phone's
    /// lockdown service over RSD.
    pub(crate) fn start(path: &Path, udid: &str, lockdown: Option<SocketAddrV6>) -> FakeUsbmuxd {
        let listener = UnixListener::bind(path).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, udid) = (Arc::clone(&asked), udid.to_owned());
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A client that goes away in the middle of a request is no concern of this helper.
                let _ = serve(stream, &udid, lockdown, &log);
            }
        });
        FakeUsbmuxd { address: format!("unix://{}", path.display()), asked }
    }

    /// What go-ios takes from its environment.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The requests so far, by their MessageType.
    #[allow(dead_code, reason = "each test binary uses its part")]
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: UnixStream,
    udid: &str,
    lockdown: Option<SocketAddrV6>,
    log: &Mutex<Vec<String>>,
) -> io::Result<()> {
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
        match (kind.as_str(), lockdown) {
            ("ListDevices", _) => stream.write_all(&message(word(12), &device_list(udid)))?,
            ("ReadPairRecord", Some(_)) => stream.write_all(&message(word(12), &pair_record()))?,
            ("Connect", Some(at)) => {
                let done = dictionary([("MessageType", "Result".into()), ("Number", 0_u64.into())]);
                stream.write_all(&message(word(12), &done))?;
                return session(stream, at);
            }
            _ => return Ok(()),
        }
    }
}

/// Plays lockdown's session for one client; what it asks is asked of the phone. Source: protocol.md §4.2.
fn session(mut client: UnixStream, at: SocketAddrV6) -> io::Result<()> {
    let mut phone = TcpStream::connect(at)?;
    let checkin = [("Label", "test"), ("ProtocolVersion", "2"), ("Request", "RSDCheckin")];
    send(&mut phone, &dictionary(checkin.map(|(key, value)| (key, value.into()))))?;
    // Its answer, and StartService.
    for _ in 0..2 {
        receive(&mut phone)?;
    }
    loop {
        let request = receive(&mut client)?;
        let name =
            request.as_dictionary().and_then(|keys| keys.get("Request")?.as_string()).unwrap_or_default();
        let answer = match name {
            "StartSession" => dictionary([
                ("Request", name.into()),
                ("SessionID", "1".into()),
                ("EnableSessionSSL", false.into()),
            ]),
            "StopSession" => dictionary([("Request", name.into())]),
            _ => {
                send(&mut phone, &request)?;
                receive(&mut phone)?
            }
        };
        send(&mut client, &answer)?;
    }
}

fn send(stream: &mut impl Write, body: &Value) -> io::Result<()> {
    let mut payload = Vec::new();
    body.to_writer_xml(&mut payload).map_err(io::Error::other)?;
    stream.write_all(&u32::try_from(payload.len()).unwrap().to_be_bytes())?;
    stream.write_all(&payload)
}

fn receive(stream: &mut impl Read) -> io::Result<Value> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = (u32::from_be_bytes(length) as usize).min(LONGEST);
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload)?;
    plist::from_bytes(&payload).map_err(io::Error::other)
}

/// A record that nobody checks, because no TLS follows. Source: go-ios ios/pairrecord.go.
fn pair_record() -> Value {
    let mut record = Vec::new();
    let keys = dictionary([("HostID", "HOST".into()), ("SystemBUID", "BUID".into())]);
    keys.to_writer_xml(&mut record).unwrap();
    dictionary([("PairRecordData", Value::Data(record))])
}

fn dictionary<const N: usize>(entries: [(&str, Value); N]) -> Value {
    entries.into_iter().collect::<Dictionary>().into()
}

/// Source: go-ios ios/listdevices.go, DeviceList and DeviceProperties.
fn device_list(udid: &str) -> Value {
    let properties = dictionary([
        ("ConnectionSpeed", 480_000_000_u64.into()),
        ("ConnectionType", "USB".into()),
        ("DeviceID", 1_u64.into()),
        ("LocationID", 1_u64.into()),
        ("ProductID", 0x12a8_u64.into()),
        ("SerialNumber", udid.into()),
    ]);
    let device = dictionary([
        ("DeviceID", 1_u64.into()),
        ("MessageType", "Attached".into()),
        ("Properties", properties),
    ]);
    dictionary([("DeviceList", Value::Array(vec![device]))])
}

fn message(tag: u32, body: &Value) -> Vec<u8> {
    let mut payload = Vec::new();
    body.to_writer_xml(&mut payload).unwrap();
    let length = u32::try_from(HEADER + payload.len()).unwrap();
    let header = [length, VERSION, PLIST, tag];
    header.into_iter().flat_map(u32::to_le_bytes).chain(payload).collect()
}
