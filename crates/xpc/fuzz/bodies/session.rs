//! Drives a session with arbitrary bytes: the body of the fuzz target and of its short deterministic run.
#![allow(dead_code, unreachable_pub, reason = "the fuzz target includes this file alone")]

use std::time::Duration;

use bytes::Bytes;
use iosmux_xpc::{
    Dictionary, Limits, Object,
    session::{Event, Role, Session, SessionConfig, SessionError},
};

/// Small limits, so that short inputs reach them.
fn config() -> SessionConfig {
    let limits = Limits { message: 1 << 16, nodes: 512, pending_requests: 8, ..Limits::default() };
    SessionConfig { window: 70_000, limits, ..SessionConfig::default() }
}

/// Takes a script: one byte of role, then commands of one byte, one of length and that many bytes.
///
/// # Panics
/// When a session breaks what it promises.
pub fn session(script: &[u8]) {
    let Some((role, mut script)) = script.split_first() else { return };
    let role = if role.is_multiple_of(2) { Role::Server } else { Role::Client };
    let mut session = Session::new(role, config(), Duration::ZERO);
    let (mut now, mut failed) = (Duration::ZERO, false);
    while let [command, length, rest @ ..] = script {
        let (bytes, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        script = rest;
        let result = step(&mut session, *command, bytes, &mut now);
        assert!(!failed || result.is_err() || !fails(*command), "a session went on after its error");
        failed |= result.is_err() && ends(*command);
        drain(&mut session);
    }
}

/// Commands that must fail once the session has.
fn fails(command: u8) -> bool {
    matches!(command % 8, 0..=3)
}

/// Commands whose error ends the session.
fn ends(command: u8) -> bool {
    matches!(command % 8, 0..=2)
}

fn step(session: &mut Session, command: u8, bytes: &[u8], now: &mut Duration) -> Result<(), SessionError> {
    let number = bytes.iter().fold(0_u32, |sum, byte| sum.wrapping_mul(256).wrapping_add((*byte).into()));
    match command % 8 {
        0..=2 => session.receive(*now, bytes),
        3 => session.send(&announcement(bytes), command >= 128).map(drop),
        4 => session.reply(number.into(), &Object::Null),
        5 => match session.send_file(number.into()) {
            Ok(stream) => session
                .file_data(stream, Bytes::copy_from_slice(bytes))
                .and_then(|()| session.file_end(stream)),
            Err(error) => Err(error),
        },
        6 => session.receive_file(number % 16, u64::from(number)).map(drop),
        _ => {
            *now = now.saturating_add(Duration::from_millis(number.into()));
            session.tick(*now)
        }
    }
}

fn announcement(bytes: &[u8]) -> Object {
    let file = Object::FileTransfer { id: 1, info: Dictionary::new().with("s", 3_u64) };
    Object::Array(vec![Object::Data(bytes.to_vec()), file])
}

fn drain(session: &mut Session) {
    while let Some(event) = session.poll_event() {
        if let Event::Message { body, .. } | Event::Reply { body, .. } = event {
            // A body that was announced as checked decodes, and means what it says.
            let object = body.object();
            let again = object.encode().expect("what was decoded encodes");
            assert_eq!(Object::decode(&again, &Limits::default()).expect("and decodes"), object);
        }
    }
    let mut output = session.take_output();
    while !output.is_empty() {
        output = session.take_output();
    }
}
