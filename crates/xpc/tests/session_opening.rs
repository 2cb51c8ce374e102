//! The opening of a session, against captured bytes.

mod support;

use std::time::Duration;

use iosmux_xpc::{
    Limits, Object,
    rsd::{Catalogue, Handshake},
    session::{Event, Role, Session, SessionConfig, SessionError},
};
use support::{
    APPLE_OPENING, COREDEVICE_OPENING, EMPTY_DICTIONARY, OLD_OPENING, PREFACE, data, describe, events, frame,
    frames, headers, output, server, wrapper,
};

/// The Handshake of a captured iPhone (fixtures/rsd, iOS 17.0.3), as our server would send it.
fn handshake() -> Handshake {
    let json = include_str!("fixtures/rsd/iphone11,6_ios17.0.3_trusted.json");
    let catalogue = Catalogue::from_json(&serde_json::from_str(json).unwrap()).unwrap();
    catalogue.handshake(uuid::Uuid::from_u128(0x1d70_1c76_cf8e_45c7_a6c9_d794_ee85_411c))
}

/// Feeds `opening` in pieces and answers all the server said, its Handshake sent when the session opened.
fn answers(opening: &[u8], piece: usize) -> Vec<u8> {
    let mut session = server();
    let mut said = vec![];
    for bytes in opening.chunks(piece) {
        session.receive(Duration::ZERO, bytes).unwrap();
        for event in events(&mut session) {
            assert_eq!(event, Event::Opened);
            session.send(&handshake().to_object(), false).unwrap();
        }
        said.extend(output(&mut session));
    }
    said
}

/// The same opening with the SETTINGS ACK at another place among its frames.
fn with_ack_at(position: usize) -> Vec<u8> {
    let mut list = frames(COREDEVICE_OPENING);
    let ack = list.iter().position(|(kind, flags, ..)| (*kind, *flags) == (4, 1)).unwrap();
    let ack = list.remove(ack);
    list.insert(position, ack);
    let encode =
        |(kind, flags, stream, payload): &(u8, u8, u32, Vec<u8>)| frame(*kind, *flags, *stream, payload);
    PREFACE.iter().copied().chain(list.iter().flat_map(encode)).collect()
}

#[test]
fn coredevice_opening_is_answered_frame_by_frame() {
    insta::assert_snapshot!(describe(&answers(COREDEVICE_OPENING, 4096)));
}

#[test]
fn coredevice_opening_in_pieces_gets_the_same_answers() {
    let whole = answers(COREDEVICE_OPENING, 4096);
    for piece in [1, 7] {
        assert_eq!(describe(&answers(COREDEVICE_OPENING, piece)), describe(&whole), "pieces of {piece}");
    }
}

#[test]
fn the_settings_ack_may_come_anywhere() {
    let whole = answers(COREDEVICE_OPENING, 4096);
    for position in 1..=7 {
        for piece in [1, 7, 4096] {
            assert_eq!(
                answers(&with_ack_at(position), piece),
                whole,
                "ACK as frame {position}, pieces of {piece}"
            );
        }
    }
}

#[test]
fn the_answers_up_to_the_handshake_have_the_captured_sizes() {
    // coredevice.md §2: 21 + 13 + 9 + 9 + 53 + 33 + 9 + 33, then the Handshake.
    let said = answers(COREDEVICE_OPENING, 4096);
    let sizes: Vec<usize> = frames(&said).iter().map(|(.., payload)| payload.len() + 9).take(8).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 21 + 13 + 9 + 9 + 53 + 33 + 9 + 33);
    assert_eq!(sizes.iter().filter(|size| **size == 53).count(), 1);
}

#[test]
fn the_client_opens_in_apples_order() {
    let mut client = Session::new(Role::Client, SessionConfig::default(), Duration::ZERO);
    assert_eq!(output(&mut client), APPLE_OPENING);
}

#[test]
fn the_server_opens_for_every_known_order() {
    let (term, init) = (wrapper(0x201, 0, 0), wrapper(0x0040_0001, 0, 0));
    let start =
        [PREFACE, &frame(4, 0, 0, &[0, 4, 0, 16, 0, 0]), &headers(1), &data(1, EMPTY_DICTIONARY)].concat();
    let orders = [
        ("Apple, pymobiledevice3, appium", APPLE_OPENING.to_vec()),
        ("frida, older pymobiledevice3", OLD_OPENING.to_vec()),
        (
            "idevice; go-ios, which also waits at each step",
            [start, headers(3), data(3, &init), data(1, &term)].concat(),
        ),
    ];
    for (name, opening) in orders {
        for piece in [1, 7, 4096] {
            let mut session = server();
            let last = opening.chunks(piece).last().unwrap().len();
            let (before, after) = opening.split_at(opening.len() - last);
            for bytes in before.chunks(piece) {
                session.receive(Duration::ZERO, bytes).unwrap();
                assert_eq!(events(&mut session), [], "{name}: opened too early");
            }
            session.receive(Duration::ZERO, after).unwrap();
            assert_eq!(events(&mut session), [Event::Opened], "{name}, pieces of {piece}");
        }
    }
}

#[test]
fn go_ios_waits_for_an_answer_to_each_step() {
    let mut session = server();
    let steps = [
        [PREFACE, &frame(4, 0, 0, &[])].concat(),
        [headers(1), data(1, EMPTY_DICTIONARY)].concat(),
        [headers(3), data(3, &wrapper(0x0040_0001, 0, 0))].concat(),
        data(1, &wrapper(0x201, 0, 0)),
    ];
    let mut said = String::new();
    for step in steps {
        session.receive(Duration::ZERO, &step).unwrap();
        said.push_str(&format!("-- step\n{}\n", describe(&output(&mut session))));
    }
    insta::assert_snapshot!(said);
}

#[test]
fn nothing_can_be_sent_before_init_handshake() {
    let mut session = server();
    let until_init = COREDEVICE_OPENING.len() - 33;
    session.receive(Duration::ZERO, &COREDEVICE_OPENING[..until_init]).unwrap();
    assert_eq!(session.send(&Object::Null, false), Err(SessionError::NotOpen));
    session.receive(Duration::ZERO, &COREDEVICE_OPENING[until_init..]).unwrap();
    assert_eq!(session.send(&Object::Null, false), Ok(2));
}

#[test]
fn an_opening_that_stops_is_named_with_what_is_missing() {
    let steps: Vec<(usize, &str)> = vec![
        (10, "SETTINGS"),
        (24 + 21, "INIT_HANDSHAKE (0x00400001) on stream 3"),
        (COREDEVICE_OPENING.len() - 1, "INIT_HANDSHAKE (0x00400001) on stream 3"),
    ];
    for (bytes, missing) in steps {
        let mut session = server();
        session.receive(Duration::ZERO, &COREDEVICE_OPENING[..bytes]).unwrap();
        assert_eq!(session.deadline(), Some(Duration::from_secs(10)));
        session.tick(Duration::from_millis(9_999)).unwrap();
        let after = Limits::default().handshake_deadline;
        assert_eq!(session.tick(after), Err(SessionError::HandshakeTimeout { after, missing }));
    }
}

#[test]
fn a_peer_that_is_not_http2_is_told_apart_at_its_first_byte() {
    let mut session = server();
    let error = session.receive(Duration::ZERO, b"GET / HTTP/1.1\r\n\r\n").unwrap_err();
    insta::assert_snapshot!(error, @"expected the HTTP/2 preface, found byte 0x47 at offset 0: the peer speaks another protocol");
}
