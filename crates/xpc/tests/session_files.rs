//! Files beside the messages, both ways. Source: protocol.md §3.4.

mod support;

use std::time::Duration;

use bytes::Bytes;
use iosmux_xpc::{
    Dictionary, Object,
    session::{Event, Session, SessionConfig, SessionError},
};
use support::{data, describe, events, frame, headers, open_pair, output, settle, wrapper};

const NOW: Duration = Duration::ZERO;

fn pair() -> (Session, Session) {
    open_pair(SessionConfig::default(), SessionConfig::default())
}

fn announcement(id: u64, size: u64) -> Object {
    let info = Dictionary::new().with("s", size);
    Dictionary::new().with("file", Object::FileTransfer { id, info }).into()
}

/// What came of a file, and whether it ended well.
fn collect(session: &mut Session, list: Vec<Event>) -> (Vec<u8>, bool) {
    let (mut bytes, mut ended) = (vec![], false);
    for event in list {
        match event {
            Event::FileData { stream, bytes: more } => {
                session.file_consumed(stream, more.len());
                bytes.extend_from_slice(&more);
            }
            Event::FileEnd { .. } => ended = true,
            _ => {}
        }
    }
    (bytes, ended)
}

#[test]
fn a_client_sends_a_file_and_the_reset_is_no_error() {
    let (mut client, mut server) = pair();
    client.send(&announcement(42, 5), false).unwrap();
    let stream = client.send_file(42).unwrap();
    client.file_data(stream, Bytes::from_static(b"hello")).unwrap();
    client.file_end(stream).unwrap();
    let sent = output(&mut client);
    server.receive(NOW, &sent).unwrap();
    let list = events(&mut server);
    assert!(list.contains(&Event::FileBegin { stream: 5, transfer: 42 }), "{list:?}");
    assert_eq!(collect(&mut server, list), (b"hello".to_vec(), true));
    let answered = output(&mut server);
    insta::assert_snapshot!(format!("client\n{}\nserver\n{}", describe(&sent), describe(&answered)));
    client.receive(NOW, &answered).unwrap();
    assert_eq!(events(&mut client), []);
    // The connection goes on, and the next file has the next odd stream.
    assert_eq!(client.send_file(43), Ok(7));
}

#[test]
fn a_client_receives_a_file_on_the_even_stream() {
    let (mut client, mut server) = pair();
    server.send(&announcement(1, 9), false).unwrap();
    settle(&mut client, &mut server, NOW);
    events(&mut client);
    let stream = client.receive_file(0, 9).unwrap();
    assert_eq!(stream, 2);
    let asked = output(&mut client);
    server.receive(NOW, &asked).unwrap();
    assert_eq!(events(&mut server), [Event::FileWanted { stream: 2, index: 0 }]);
    server.file_data(2, Bytes::from_static(b"nine ")).unwrap();
    server.file_data(2, Bytes::from_static(b"byte")).unwrap();
    server.file_end(2).unwrap();
    let answered = output(&mut server);
    insta::assert_snapshot!(format!("client\n{}\nserver\n{}", describe(&asked), describe(&answered)));
    client.receive(NOW, &answered).unwrap();
    let list = events(&mut client);
    assert_eq!(collect(&mut client, list), (b"nine byte".to_vec(), true));
}

#[test]
fn files_larger_than_the_windows_arrive_and_wait_for_their_reader() {
    let (mut client, mut server) = pair();
    let file: Vec<u8> = (0..3_000_000_u32).map(|index| index as u8).collect();
    let stream = client.send_file(1).unwrap();
    client.file_data(stream, Bytes::from(file.clone())).unwrap();
    client.file_end(stream).unwrap();
    // Nobody reads yet: no more than the stream's window comes.
    settle(&mut client, &mut server, NOW);
    let (mut got, mut ended) = (vec![], false);
    let first: Vec<Event> = events(&mut server);
    let waiting: usize = first
        .iter()
        .map(|event| if let Event::FileData { bytes, .. } = event { bytes.len() } else { 0 })
        .sum();
    assert_eq!(waiting, 1_048_576 - 24, "the stream's window, less the preamble");
    let mut list = first;
    while !ended {
        let (bytes, end) = collect(&mut server, list);
        got.extend(bytes);
        ended = end;
        settle(&mut client, &mut server, NOW);
        list = events(&mut server);
    }
    assert_eq!(got, file);
}

#[test]
fn messages_pass_a_file_that_waits() {
    let (mut client, mut server) = pair();
    let stream = client.send_file(1).unwrap();
    client.file_data(stream, Bytes::from(vec![0; 900_000])).unwrap();
    client.send(&Object::Bool(true), false).unwrap();
    settle(&mut client, &mut server, NOW);
    assert!(events(&mut server).iter().any(|event| matches!(event, Event::Message { .. })));
}

#[test]
fn a_phone_may_open_the_stream_before_it_is_asked_for() {
    let (mut client, _) = pair();
    let preamble = wrapper(0x0010_0001, 0, 99);
    client.receive(NOW, &[headers(2), data(2, &preamble), data(2, b"abc")].concat()).unwrap();
    assert_eq!(events(&mut client), []);
    client.receive_file(0, 5).unwrap();
    client.receive(NOW, &data(2, b"de")).unwrap();
    let list = events(&mut client);
    assert_eq!(list[0], Event::FileBegin { stream: 2, transfer: 99 });
    assert_eq!(collect(&mut client, list), (b"abcde".to_vec(), true));
}

#[test]
fn raw_bytes_that_begin_like_a_wrapper_are_not_lost() {
    let (mut client, _) = pair();
    client.receive_file(0, 3).unwrap();
    client.receive(NOW, &data(2, &[0x92, 0x0b, 0xb0])).unwrap();
    let list = events(&mut client);
    assert_eq!(collect(&mut client, list), (vec![0x92, 0x0b, 0xb0], true));
}

#[test]
fn more_bytes_than_announced_are_an_error() {
    let (mut client, _) = pair();
    client.receive_file(0, 3).unwrap();
    let error = client.receive(NOW, &data(2, b"four")).unwrap_err();
    assert!(matches!(error, SessionError::InvalidStream { stream: 2, .. }), "{error}");
}

#[test]
fn a_file_that_ends_early_is_aborted_not_ended() {
    let (mut client, _) = pair();
    client.receive_file(0, 3).unwrap();
    client.receive(NOW, &frame(0, 1, 2, b"ab")).unwrap();
    let list = events(&mut client);
    assert!(matches!(list[..], [Event::FileData { .. }, Event::FileAborted { stream: 2, .. }]), "{list:?}");
}

#[test]
fn a_file_stream_without_its_preamble_is_an_error() {
    let (_, mut server) = pair();
    let error = server.receive(NOW, &[headers(5), data(5, b"raw bytes, no wrapper")].concat()).unwrap_err();
    assert!(matches!(error, SessionError::InvalidStream { stream: 5, .. }), "{error}");
}

#[test]
fn sixteen_files_at_once_are_too_many() {
    let (_, mut server) = pair();
    let mut opened = 0;
    let error = loop {
        match server.receive(NOW, &headers(5 + 2 * opened)) {
            Ok(()) => opened += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((opened, error), (8, SessionError::TooManyStreams { limit: 10 }));
}
