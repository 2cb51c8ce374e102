//! Messages through windows smaller than themselves, ids and replies.

mod support;

use std::time::Duration;

use iosmux_xpc::{
    Dictionary, Object,
    session::{Event, SessionConfig, SessionError},
};
use proptest::prelude::*;
use support::{data, describe, events, frame, frames, message, open_pair, open_server, output, settle};

const NOW: Duration = Duration::ZERO;

fn blob(size: usize) -> Object {
    let bytes: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
    Dictionary::new().with("blob", bytes).into()
}

fn bodies(list: Vec<Event>) -> Vec<Object> {
    let body = |event| match event {
        Event::Message { body, .. } => body.object(),
        other => panic!("expected a message, found {other:?}"),
    };
    list.into_iter().map(body).collect()
}

#[test]
fn messages_larger_than_every_window_arrive_both_ways() {
    let (mut client, mut server) = open_pair(SessionConfig::default(), SessionConfig::default());
    let (up, down) = (blob(5 << 20), blob(7 << 20));
    client.send(&up, false).unwrap();
    server.send(&down, false).unwrap();
    settle(&mut client, &mut server, NOW);
    assert_eq!(bodies(events(&mut server)), [up]);
    assert_eq!(bodies(events(&mut client)), [down]);
    assert_eq!((client.queued(), server.queued()), (0, 0));
}

#[test]
fn no_frame_is_larger_than_a_phone_accepts_and_no_window_is_overrun() {
    let (mut client, _) = open_pair(SessionConfig::default(), SessionConfig::default());
    client.send(&blob(3 << 20), false).unwrap();
    let sent: Vec<usize> = frames(&output(&mut client)).iter().map(|(.., payload)| payload.len()).collect();
    assert!(sent.iter().all(|length| *length <= 16_384));
    // 1048576 is the server's window; 92 bytes of it went to the opening, 68 of those on the root stream.
    assert_eq!(sent.iter().sum::<usize>(), 1_048_576 - 92);
}

#[test]
fn a_small_window_of_the_peer_is_respected_from_its_settings_on() {
    let small = SessionConfig { window: 70_000, ..SessionConfig::default() };
    let (mut client, mut server) = open_pair(SessionConfig::default(), small);
    let object = blob(300_000);
    client.send(&object, false).unwrap();
    settle(&mut client, &mut server, NOW);
    assert_eq!(bodies(events(&mut server)), [object]);
}

#[test]
fn two_messages_in_one_data_frame_are_two_messages() {
    let mut server = open_server();
    let (one, two) = (blob(3), blob(5));
    let both =
        [message(0x101, 1, &one.encode().unwrap()), message(0x101, 3, &two.encode().unwrap())].concat();
    server.receive(NOW, &data(1, &both)).unwrap();
    assert_eq!(bodies(events(&mut server)), [one, two]);
}

#[test]
fn ids_count_by_two_and_replies_carry_the_id_of_the_request() {
    let (mut client, mut server) = open_pair(SessionConfig::default(), SessionConfig::default());
    assert_eq!(client.send(&Object::Null, false), Ok(1));
    assert_eq!(client.send(&Object::Bool(true), true), Ok(3));
    settle(&mut client, &mut server, NOW);
    let asked: Vec<(u64, bool)> = events(&mut server)
        .into_iter()
        .map(|event| match event {
            Event::Message { id, wants_reply, .. } => (id, wants_reply),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(asked, [(1, false), (3, true)]);
    assert_eq!(server.reply(1, &Object::Null), Err(SessionError::NotAsked { id: 1 }));
    server.reply(3, &Object::Bool(false)).unwrap();
    assert_eq!(server.reply(3, &Object::Null), Err(SessionError::NotAsked { id: 3 }));
    assert_eq!(server.send(&Object::Null, false), Ok(2));
    insta::assert_snapshot!(describe(&output(&mut server)));
}

#[test]
fn replies_are_matched_by_id_and_flags_on_either_stream() {
    for stream in [1, 3] {
        let (mut client, _) = open_pair(SessionConfig::default(), SessionConfig::default());
        let id = client.send(&Object::Null, true).unwrap();
        let body = Object::Uint64(7).encode().unwrap();
        let same_id_no_reply = data(stream, &message(0x101, id, &body));
        let reply = data(stream, &message(0x2_0101, id, &body));
        client.receive(NOW, &[same_id_no_reply, reply.clone()].concat()).unwrap();
        let list = events(&mut client);
        assert!(
            matches!(list[..], [Event::Message { .. }, Event::Reply { .. }]),
            "stream {stream}: {list:?}"
        );
        client.receive(NOW, &reply).unwrap();
        assert_eq!(events(&mut client), []);
        assert_eq!(client.counters().unmatched_replies, 1);
    }
}

#[test]
fn unknown_flag_bits_are_no_error() {
    let mut server = open_server();
    let body = Object::Null.encode().unwrap();
    server.receive(NOW, &data(1, &message(0x8000_0101, 1, &body))).unwrap();
    assert_eq!(bodies(events(&mut server)), [Object::Null]);
}

#[test]
fn a_ping_is_answered_and_settings_are_acknowledged() {
    let mut server = open_server();
    server.receive(NOW, &[frame(6, 0, 0, b"12345678"), frame(4, 0, 0, &[])].concat()).unwrap();
    insta::assert_snapshot!(describe(&output(&mut server)), @"
    PING stream 0 flags 0x01 length 8 3132333435363738
    SETTINGS stream 0 flags 0x01 length 0
    ");
}

#[test]
fn a_goaway_without_error_is_the_end_and_with_one_is_an_error() {
    let mut server = open_server();
    server.receive(NOW, &frame(7, 0, 0, &[0; 8])).unwrap();
    assert_eq!(events(&mut server), [Event::Closed]);
    let mut server = open_server();
    let words = b"\0\0\0\0\0\0\0\x01request HEADERS: invalid stream_id";
    let error = server.receive(NOW, &frame(7, 0, 0, words)).unwrap_err();
    insta::assert_snapshot!(error, @r#"the peer ended the session: GOAWAY 1 "request HEADERS: invalid stream_id""#);
    assert_eq!(server.send(&Object::Null, false), Err(SessionError::Ended));
}

#[test]
fn a_reset_of_the_root_stream_names_a_likely_cause() {
    let mut server = open_server();
    let error = server.receive(NOW, &frame(3, 0, 1, &[0, 0, 0, 5])).unwrap_err();
    insta::assert_snapshot!(error, @"the peer reset stream 1 (error 5): another client may have taken its place");
}

proptest! {
    #[test]
    fn messages_survive_any_cut_and_any_window(
        sizes in prop::collection::vec(0_usize..60_000, 1..6),
        pieces in prop::collection::vec(1_usize..5_000, 1..40),
        window in 65_535_u32..200_000,
    ) {
        let config = SessionConfig { window, ..SessionConfig::default() };
        let (mut client, mut server) = open_pair(SessionConfig::default(), config);
        let sent: Vec<Object> = sizes.into_iter().map(blob).collect();
        for object in &sent {
            client.send(object, false).unwrap();
        }
        let mut pieces = pieces.into_iter().cycle();
        loop {
            let bytes = output(&mut client);
            if bytes.is_empty() {
                break;
            }
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let (now, later) = rest.split_at(pieces.next().unwrap().min(rest.len()));
                server.receive(NOW, now).unwrap();
                rest = later;
            }
            client.receive(NOW, &output(&mut server)).unwrap();
        }
        prop_assert_eq!(bodies(events(&mut server)), sent);
    }
}
