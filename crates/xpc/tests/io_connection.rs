//! The tokio driver between two honest ends.

use std::time::Duration;

use bytes::Bytes;
use iosmux_xpc::{
    Dictionary, Limits, Object,
    io::{Connection, Error, Event, Events},
    rsd::{
        Catalogue, Handshake, host_uuid,
        io::{HandshakeError, handshake},
    },
    session::{SessionConfig, SessionError},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use uuid::Uuid;

const DEVICE: Uuid = Uuid::from_u128(0x687a_4cfc_3e83_4ccd_b7e2_c922_3a37_82dd);

fn catalogue() -> Catalogue {
    let json = include_str!("fixtures/rsd/iphone11,6_ios17.0.3_trusted.json");
    Catalogue::from_json(&serde_json::from_str(json).unwrap()).unwrap()
}

fn config() -> SessionConfig {
    SessionConfig::default()
}

fn pair(buffer: usize) -> ((Connection, Events), (Connection, Events)) {
    let (a, b) = duplex(buffer);
    (Connection::client(a, config()), Connection::server(b, config()))
}

async fn opened(events: &mut Events) {
    assert!(matches!(events.next().await, Some(Ok(Event::Opened))));
}

fn announcement(size: usize) -> Object {
    let info = Dictionary::new().with("s", size as u64);
    Dictionary::new().with("file", Object::FileTransfer { id: 1, info }).into()
}

/// Answers as a device does: its Handshake, once the session opened.
async fn device(stream: DuplexStream) -> Vec<Object> {
    let (connection, mut events) = Connection::server(stream, config());
    let mut heard = vec![];
    while let Some(Ok(event)) = events.next().await {
        match event {
            Event::Opened => {
                connection.send(catalogue().handshake(DEVICE).to_object()).await.unwrap();
            }
            Event::Message { body, .. } => heard.push(body.object()),
            _ => {}
        }
    }
    heard
}

#[tokio::test]
async fn a_host_reads_the_catalogue_of_a_device_and_introduces_itself() {
    let (ours, theirs) = duplex(4096);
    let device = tokio::spawn(device(theirs));
    let host = Handshake::host(host_uuid("lab.example"));
    let remote = handshake(ours, Some(&host), config()).await.unwrap();
    assert_eq!(remote.handshake, catalogue().handshake(DEVICE));
    remote.connection.close().await;
    assert_eq!(device.await.unwrap(), [host.to_object()]);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_opens_and_says_nothing_is_given_up() {
    let (ours, theirs) = duplex(4096);
    let (_connection, _events) = Connection::server(theirs, config());
    let error = handshake(ours, None, config()).await.unwrap_err();
    insta::assert_snapshot!(error, @"the device answered the opening and sent no Handshake within 20s");
}

#[tokio::test]
async fn a_device_that_hangs_up_is_told_apart_from_one_that_is_slow() {
    let (ours, theirs) = duplex(4096);
    drop(theirs);
    let error = handshake(ours, None, config()).await.unwrap_err();
    assert!(matches!(error, HandshakeError::Connection(_)), "{error}");
}

#[tokio::test]
async fn requests_are_answered_out_of_order() {
    let ((client, _e), (server, mut asked)) = pair(1 << 16);
    let (one, two) = tokio::join!(client.request(Object::Uint64(1)), async {
        let second = tokio::spawn({
            let client = client.clone();
            async move { client.request(Object::Uint64(2)).await }
        });
        opened(&mut asked).await;
        let mut ids = vec![];
        while ids.len() < 2 {
            if let Some(Ok(Event::Message { id, body, .. })) = asked.next().await {
                ids.push((id, body.object()));
            }
        }
        for (id, object) in ids.into_iter().rev() {
            server.reply(id, object).await.unwrap();
        }
        second.await.unwrap()
    });
    assert_eq!(one.unwrap().object(), Object::Uint64(1));
    assert_eq!(two.unwrap().object(), Object::Uint64(2));
}

#[tokio::test]
async fn an_unread_event_queue_makes_the_peer_wait_and_loses_nothing() {
    let ((client, _e), (_server, mut heard)) = pair(1 << 12);
    let sender = tokio::spawn(async move {
        for number in 0..5_000_u64 {
            client.send(Object::Uint64(number)).await.unwrap();
        }
        client.close().await;
    });
    opened(&mut heard).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    for number in 0..5_000 {
        assert_eq!(heard.next_message().await.unwrap().object(), Object::Uint64(number));
    }
    assert!(heard.next().await.is_none());
    sender.await.unwrap();
}

#[tokio::test]
async fn files_travel_both_ways_with_their_reader_in_charge() {
    let ((client, mut client_events), (server, mut server_events)) = pair(1 << 14);
    opened(&mut client_events).await;
    opened(&mut server_events).await;
    let file: Vec<u8> = (0..2_500_000_u32).map(|index| (index % 253) as u8).collect();

    let mut upload = client.send_file(77).await.unwrap();
    let writer = tokio::spawn({
        let file = Bytes::from(file.clone());
        async move {
            for start in (0..file.len()).step_by(100_000) {
                upload.write(file.slice(start..file.len().min(start + 100_000))).await.unwrap();
            }
            upload.finish().await.unwrap();
        }
    });
    let Some(Ok(Event::FileIncoming { transfer: 77, file: mut incoming })) = server_events.next().await
    else {
        panic!("no file came")
    };
    let mut got = vec![];
    while let Some(bytes) = incoming.next().await.unwrap() {
        got.extend_from_slice(&bytes);
    }
    assert!(got == file, "{} bytes came", got.len());
    writer.await.unwrap();

    server.send(announcement(file.len())).await.unwrap();
    client_events.next_message().await.unwrap();
    let mut download = client.receive_file(0, file.len() as u64).await.unwrap();
    let Some(Ok(Event::FileWanted { index: 0, file: mut wanted })) = server_events.next().await else {
        panic!("the file was not asked for")
    };
    let writer = tokio::spawn(async move {
        wanted.write(Bytes::from(file)).await.unwrap();
        wanted.finish().await.unwrap();
    });
    let mut down = vec![];
    while let Some(bytes) = download.next().await.unwrap() {
        down.extend_from_slice(&bytes);
    }
    assert!(down == got, "{} bytes came", down.len());
    writer.await.unwrap();
}

#[tokio::test]
async fn the_driver_ends_when_both_handles_are_gone() {
    let (ours, mut theirs) = duplex(1 << 16);
    let (connection, events) = Connection::client(ours, config());
    drop(connection);
    drop(events);
    let mut said = vec![];
    tokio::time::timeout(Duration::from_secs(5), theirs.read_to_end(&mut said)).await.unwrap().unwrap();
    assert!(
        said.ends_with(&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        "GOAWAY was not the last frame"
    );
}

#[tokio::test(start_paused = true)]
async fn the_driver_ends_also_when_the_peer_never_reads() {
    let (ours, mut theirs) = duplex(1 << 10);
    let (connection, events) = Connection::client(ours, config());
    connection.send(Object::Data(vec![0; 2 << 20])).await.unwrap();
    drop((connection, events));
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut said = vec![];
    theirs.read_to_end(&mut said).await.unwrap();
    assert!(said.len() < 2 << 20, "{} bytes were written to a peer that does not read", said.len());
}

#[tokio::test]
async fn calls_on_a_closed_connection_say_so() {
    let ((client, mut events), server) = pair(1 << 12);
    drop(server);
    while events.next().await.is_some() {}
    assert!(matches!(client.request(Object::Null).await, Err(Error::Closed)));
}

#[tokio::test]
async fn a_request_in_flight_fails_with_the_reason_of_the_connection() {
    let (ours, mut theirs) = duplex(1 << 16);
    let (client, _events) = Connection::client(ours, config());
    let (answer, ()) = tokio::join!(client.request(Object::Null), async {
        let mut opening = vec![0; 195];
        theirs.read_exact(&mut opening).await.unwrap();
        theirs.write_all(b"\0\0\0\x04\0\0\0\0\0HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    });
    assert!(matches!(answer, Err(Error::Session(SessionError::Frame(_)))), "{answer:?}");
}

#[tokio::test]
async fn a_refused_object_leaves_the_connection_usable() {
    let small = SessionConfig { limits: Limits { message: 100, ..Limits::default() }, ..config() };
    let (a, b) = duplex(1 << 12);
    let ((client, _e), (_server, mut heard)) =
        (Connection::client(a, small), Connection::server(b, config()));
    assert!(matches!(
        client.send(Object::Data(vec![0; 200])).await,
        Err(Error::Session(SessionError::Encode(_)))
    ));
    assert_eq!(client.send(Object::Null).await.unwrap(), 1);
    opened(&mut heard).await;
    assert_eq!(heard.next_message().await.unwrap().object(), Object::Null);
}
