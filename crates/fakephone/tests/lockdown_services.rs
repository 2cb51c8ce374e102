//! lockdownd and the shim services over a pipe: what is said, byte for byte, and what hostile clients get.

use std::sync::Arc;
use std::time::Duration;

use iosmux_fakephone::lockdown::{
    self, FrameError, LockdownValues, MESSAGE_MAX, Message, Role, encode, read_message,
};
use iosmux_fakephone::not_sourced::Gaps;
use iosmux_xpc::rsd::Catalogue;
use plist::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

const DEADLINE: Duration = Duration::from_secs(10);

struct Served {
    client: DuplexStream,
    server: JoinHandle<Result<(), FrameError>>,
    gaps: Gaps,
}

fn serve(role: Role) -> Served {
    let (client, server) = tokio::io::duplex(64 << 10);
    let gaps = Gaps::default();
    let counted = gaps.clone();
    let server =
        tokio::spawn(async move { lockdown::serve(server, role, "a.service", &counted, DEADLINE).await });
    Served { client, server, gaps }
}

fn lockdownd() -> Served {
    let json = include_str!("fixtures/iphone11,6_ios17.0.3_trusted.json");
    let catalogue = Catalogue::from_json(&serde_json::from_str(json).unwrap()).unwrap();
    serve(Role::Lockdown(Arc::new(LockdownValues::from_properties(&catalogue.properties))))
}

fn request(name: &str, more: &[(&str, &str)]) -> Message {
    let mut message = Message::from_iter([("Label", "test"), ("ProtocolVersion", "2"), ("Request", name)]);
    message.extend(more.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))));
    message
}

impl Served {
    async fn send(&mut self, message: Message) {
        self.client.write_all(&encode(message).unwrap()).await.unwrap();
    }

    async fn ask(&mut self, message: Message) -> Message {
        self.send(message).await;
        read_message(&mut self.client, DEADLINE).await.unwrap().expect("an answer")
    }

    async fn check_in(mut self) -> Served {
        assert_eq!(
            self.ask(request("RSDCheckin", &[])).await,
            Message::from_iter([("Request", "RSDCheckin")])
        );
        let second = read_message(&mut self.client, DEADLINE).await.unwrap();
        assert_eq!(second, Some(Message::from_iter([("Request", "StartService")])));
        self
    }

    /// Waits for the end of the connection and says how it ended.
    async fn end(mut self) -> (Result<(), FrameError>, Vec<(&'static str, u64)>) {
        let mut rest = Vec::new();
        self.client.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"", "nothing is said at the end");
        (self.server.await.unwrap(), self.gaps.counts().into_iter().collect())
    }
}

#[tokio::test]
async fn the_answers_byte_for_byte() {
    let mut served = lockdownd();
    served.send(request("RSDCheckin", &[])).await;
    served.send(request("QueryType", &[])).await;
    served.send(request("GetValue", &[("Key", "ProductVersion")])).await;
    served.send(request("GetValue", &[("Domain", "com.apple.disk_usage"), ("Key", "Free")])).await;
    served.send(request("GetValue", &[])).await;
    served.client.shutdown().await.unwrap();
    let mut bytes = Vec::new();
    served.client.read_to_end(&mut bytes).await.unwrap();
    served.server.await.unwrap().unwrap();
    let mut text = String::new();
    let mut rest = bytes.as_slice();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (message, next) = after.split_at(u32::from_be_bytes(*length) as usize);
        text += &format!("{length:02x?}\n{}\n", std::str::from_utf8(message).unwrap());
        rest = next;
    }
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn lockdownd_keeps_its_connection_for_later() {
    let mut served = lockdownd().check_in().await;
    for key in ["ProductType", "BuildVersion", "UniqueDeviceID"] {
        let answer = served.ask(request("GetValue", &[("Key", key)])).await;
        assert!(answer.contains_key("Value"), "{answer:?}");
    }
    drop(served.client);
    served.server.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_lockdownd_is_not_known_to_answer_ends_the_connection_by_name() {
    let mut served = lockdownd().check_in().await;
    served.send(request("SetValue", &[("Key", "DeviceName"), ("Value", "x")])).await;
    let (result, gaps) = served.end().await;
    result.unwrap();
    assert_eq!(gaps, [("lockdown-request", 1)]);
}

#[tokio::test]
async fn without_a_check_in_nothing_is_answered() {
    let mut served = lockdownd();
    served.send(request("QueryType", &[])).await;
    let (result, gaps) = served.end().await;
    result.unwrap();
    assert_eq!(gaps, [("lockdown-without-checkin", 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_shim_service_checks_in_and_ends_with_the_first_word_of_its_own_protocol() {
    let mut served = serve(Role::Other).check_in().await;
    tokio::time::sleep(DEADLINE * 10).await;
    assert!(!served.server.is_finished(), "a client may take its time");
    served.client.write_all(b"CFA6LPAA").await.unwrap();
    let (result, gaps) = served.end().await;
    result.unwrap();
    assert_eq!(gaps, [("shim-service-payload", 1)]);
    let unused = serve(Role::Other).check_in().await;
    drop(unused.client);
    unused.server.await.unwrap().unwrap();
    assert!(unused.gaps.counts().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_client_of_one_byte_a_second_meets_the_deadline() {
    let served = lockdownd();
    let mut bytes = encode(request("RSDCheckin", &[])).unwrap().into_iter();
    let (mut reader, mut writer) = tokio::io::split(served.client);
    let slow = tokio::spawn(async move {
        while let Some(byte) = bytes.next() {
            if writer.write_all(&[byte]).await.is_err() {
                return bytes.count();
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        0
    });
    let error = served.server.await.unwrap().unwrap_err();
    assert!(matches!(error, FrameError::Deadline(DEADLINE)), "{error}");
    assert_eq!(reader.read(&mut [0]).await.unwrap(), 0);
    assert!(slow.await.unwrap() > 0, "the client was cut off before its end");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_checks_in_meets_the_deadline() {
    let (result, gaps) = lockdownd().end().await;
    let error = result.unwrap_err();
    assert!(matches!(error, FrameError::Deadline(DEADLINE)), "{error}");
    assert!(gaps.is_empty());
}

#[tokio::test]
async fn hostile_frames_are_refused_by_type() {
    type Expected = fn(&FrameError) -> bool;
    let frame = |body: &str| {
        let mut bytes = (body.len() as u32).to_be_bytes().to_vec();
        bytes.extend_from_slice(body.as_bytes());
        bytes
    };
    let cases: [(Vec<u8>, Expected); 5] = [
        ((MESSAGE_MAX + 1).to_be_bytes().to_vec(), |error| matches!(error, FrameError::TooLong(_))),
        (vec![0xff; 4], |error| matches!(error, FrameError::TooLong(u32::MAX))),
        (frame("hello"), |error| matches!(error, FrameError::Plist(_))),
        (frame("<plist><array/></plist>"), |error| matches!(error, FrameError::NotADictionary)),
        (frame(&"<dict><key>a</key>".repeat(50_000)), |error| {
            matches!(error, FrameError::TooManyContainers(50_000))
        }),
    ];
    for (bytes, expected) in cases {
        let served = lockdownd();
        let (mut reader, mut writer) = tokio::io::split(served.client);
        // The phone may close before it has read all of it.
        let _ = writer.write_all(&bytes).await;
        assert_eq!(reader.read(&mut [0]).await.unwrap(), 0, "no answer");
        let error = served.server.await.unwrap().unwrap_err();
        assert!(expected(&error), "{error}");
    }
}
