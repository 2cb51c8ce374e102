//! Our ends of a connection against pymobiledevice3's: its codec, its flow control, its file transfers.
#![cfg(feature = "peer-tests")]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use iosmux_xpc::io::{Connection, Event, Events, FileReceiver, FileSender};
use iosmux_xpc::rsd::io::{Remote, handshake};
use iosmux_xpc::rsd::{Catalogue, Handshake, host_uuid};
use iosmux_xpc::session::SessionConfig;
use iosmux_xpc::{Dictionary, Object};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;
use uuid::{Uuid, uuid};

const DEADLINE: Duration = Duration::from_secs(40);
const CAPTURED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/rsd/iphone11,6_ios17.0.3_trusted.json");
const DEVICE: Uuid = uuid!("0b4d2e8c-6f2a-4f0e-9a57-5d1c3f6b7a90");
/// Three times the window that we announce: whoever sends this to us must wait for our WINDOW_UPDATEs.
const BIG: usize = 3 << 20;

/// A Python script of ours with pymobiledevice3's classes; it ends with this value.
struct Script {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Script {
    fn start(name: &str, arguments: &[&str]) -> Script {
        let Some(python) = std::env::var_os("IOSMUX_PEER_PYTHON") else {
            panic!(
                "IOSMUX_PEER_PYTHON is not set: run `cargo xtask test peers`, which provides the peers and sets it"
            )
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(name);
        let mut command = Command::new(python);
        command.arg(script).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Script { child, lines }
    }

    /// The next line that it prints, which is JSON.
    async fn line(&mut self) -> Value {
        let line = timeout(DEADLINE, self.lines.next_line()).await.expect("the script says nothing").unwrap();
        let line = line.expect("the script ended");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}"))
    }

    /// Its good end.
    async fn end(mut self) {
        let ending = timeout(DEADLINE, self.child.wait()).await.expect("the script does not end").unwrap();
        assert!(ending.success(), "{ending}");
    }
}

fn captured() -> Catalogue {
    Catalogue::from_json(&serde_json::from_slice(&std::fs::read(CAPTURED).unwrap()).unwrap()).unwrap()
}

/// The RSD endpoint, and our connection to it after the Handshakes.
async fn device() -> (Script, Remote) {
    let mut script = Script::start("device.py", &[CAPTURED, &DEVICE.to_string()]);
    let port = u16::try_from(script.line().await["port"].as_u64().unwrap()).unwrap();
    let stream = TcpStream::connect(("::1", port)).await.unwrap();
    let ours = Handshake::host(host_uuid("iosmux.test"));
    let remote =
        timeout(DEADLINE, handshake(stream, Some(&ours), SessionConfig::default())).await.unwrap().unwrap();
    (script, remote)
}

#[tokio::test]
async fn we_read_the_catalogue_of_an_endpoint_made_of_its_classes() {
    let (mut script, remote) = device().await;
    assert_eq!(remote.handshake.uuid, DEVICE);
    let read = Catalogue { uuid: None, ..Catalogue::from(remote.handshake) };
    assert_eq!(read, Catalogue { uuid: None, ..captured() });
    // And it reads ours; 0x0101: a message with a payload; ids of the side that connected are odd.
    let host = json!({
        "MessageType": "Handshake",
        "MessagingProtocolVersion": 7,
        "UUID": host_uuid("iosmux.test").to_string(),
        "Properties": {"RemoteXPCVersionFlags": 0x0100_0000_0000_0006_u64, "SensitivePropertiesVisible": true},
        "Services": {},
    });
    assert_eq!(script.line().await, json!({"flags": 0x0101, "id": 1, "host": host}));
}

#[tokio::test]
async fn every_type_comes_back_the_same_through_its_codec() {
    let (_script, remote) = device().await;
    let sent = every_type();
    let body = timeout(DEADLINE, remote.connection.request(sent.clone())).await.unwrap().unwrap();
    assert_eq!(body.object(), sent);
    assert_eq!(body.bytes()[..], sent.encode().unwrap());
}

fn every_type() -> Object {
    let lengths: Vec<Object> = (0..9).map(|length| Object::Data(vec![0xa5; length])).collect();
    let texts: Vec<Object> = ["", "a", "ab", "abc", "abcd", "Zoë's iPhone"].map(Object::from).to_vec();
    let inner = Dictionary::new().with("", Object::Null).with("key", Object::Array(Vec::new()));
    Dictionary::new()
        .with("null", Object::Null)
        .with("false", false)
        .with("true", true)
        .with("int64", Object::Int64(i64::MIN))
        .with("uint64", u64::MAX)
        .with("double", Object::Double(-0.5e-300))
        .with("date", Object::Date(-1_234_567_890_123_456_789))
        .with("data", Object::Array(lengths))
        .with("string", Object::Array(texts))
        .with("uuid", DEVICE)
        .with("fd", Object::Fd(7))
        // Its codec keeps only the first word.
        .with("shmem", Object::Shmem { length: 4096, token: 0 })
        .with("dictionary", inner)
        .with("file", Object::FileTransfer { id: 9, info: Dictionary::new().with("s", 1_u64 << 40) })
        .into()
}

#[tokio::test]
async fn messages_larger_than_our_window_come_back_whole() {
    let (_script, remote) = device().await;
    for round in 0..2_u8 {
        let sent: Object = Dictionary::new().with("bytes", Object::Data(noise(BIG, round))).into();
        let body = timeout(DEADLINE, remote.connection.request(sent.clone())).await.unwrap().unwrap();
        assert!(body.object() == sent, "round {round}: {} bytes came back", body.bytes().len());
    }
}

/// Bytes that do not repeat within a frame.
fn noise(length: usize, seed: u8) -> Vec<u8> {
    let mut state = u32::from(seed) + 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

#[tokio::test]
async fn files_travel_both_ways_with_its_client() {
    let listener = TcpListener::bind(("::1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut script = Script::start("files.py", &["::1", &port]);
    let (stream, _) = timeout(DEADLINE, listener.accept()).await.expect("nobody connects").unwrap();
    let (connection, events) = Connection::server(stream, SessionConfig::default());
    let content = noise(BIG, 7);
    let returned = timeout(DEADLINE, serve_files(&connection, events, content.clone()))
        .await
        .expect("no file came back");
    assert!(returned == content, "{} bytes came back", returned.len());
    let said = script.line().await;
    assert_eq!((said["size"].as_u64(), &said["answer"]), (Some(BIG as u64), &json!({"Size": BIG})));
    script.end().await;
}

/// Serves `content` as a file and answers with the file that comes back.
async fn serve_files(connection: &Connection, mut events: Events, content: Vec<u8>) -> Vec<u8> {
    let info = Dictionary::new().with("s", content.len() as u64);
    let (mut content, mut put) = (Some(Bytes::from(content)), None);
    while let Some(event) = events.next().await {
        match event.unwrap() {
            Event::Message { id, body, .. } => match body.object().get("Wish").and_then(Object::as_str) {
                Some("get") => {
                    let file = Object::FileTransfer { id: 1, info: info.clone() };
                    connection.reply(id, Dictionary::new().with("File", file).into()).await.unwrap();
                }
                Some("put") => put = Some(id),
                other => panic!("{other:?}"),
            },
            Event::FileWanted { index: 0, file } => send(file, content.take().unwrap()).await,
            Event::FileIncoming { transfer: 42, file } => {
                let bytes = receive(file).await;
                let answer = Dictionary::new().with("Size", bytes.len() as u64);
                connection.reply(put.unwrap(), answer.into()).await.unwrap();
                return bytes;
            }
            Event::Opened => {}
            other => panic!("{other:?}"),
        }
    }
    panic!("the client ended before its file was here")
}

async fn send(mut file: FileSender, content: Bytes) {
    file.write(content).await.unwrap();
    file.finish().await.unwrap();
}

async fn receive(mut file: FileReceiver) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(more) = file.next().await.unwrap() {
        bytes.extend_from_slice(&more);
    }
    bytes
}
