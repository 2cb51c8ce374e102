//! Helpers of the session tests: frames as text, and a peer that sends raw frames.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::time::Duration;

use iosmux_xpc::session::{Event, Role, Session, SessionConfig};

/// The HTTP/2 preface.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// CoreDeviceService's opening: fixtures/handshake/coredevice_client_open_204B.bin (captured values, re-assembled).
pub const COREDEVICE_OPENING: &[u8] = include_bytes!("../fixtures/handshake/coredevice_client_open_204B.bin");
/// Apple's order without SETTINGS ACK.
pub const APPLE_OPENING: &[u8] = include_bytes!("../fixtures/handshake/client_open_apple_order.bin");
/// An older order that devices accept.
pub const OLD_OPENING: &[u8] = include_bytes!("../fixtures/handshake/client_open_old_order.bin");
/// The first message, both ways (captured).
pub const EMPTY_DICTIONARY: &[u8] = include_bytes!("../fixtures/xpc/empty_dictionary.bin");

/// A frame as raw bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut out = vec![length[1], length[2], length[3], kind, flags];
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// DATA.
pub fn data(stream: u32, payload: &[u8]) -> Vec<u8> {
    frame(0, 0, stream, payload)
}

/// HEADERS with nothing in them.
pub fn headers(stream: u32) -> Vec<u8> {
    frame(1, 4, stream, b"")
}

/// A wrapper with a body length that is free to lie.
pub fn wrapper(flags: u32, length: u64, id: u64) -> Vec<u8> {
    let mut out = 0x29b0_0b92_u32.to_le_bytes().to_vec();
    out.extend_from_slice(&flags.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&id.to_le_bytes());
    out
}

/// A message around an encoded body.
pub fn message(flags: u32, id: u64, body: &[u8]) -> Vec<u8> {
    let mut out = wrapper(flags, body.len() as u64, id);
    out.extend_from_slice(body);
    out
}

/// Cuts bytes into frames: type, flags, stream, payload.
pub fn frames(mut bytes: &[u8]) -> Vec<(u8, u8, u32, Vec<u8>)> {
    let mut out = vec![];
    bytes = bytes.strip_prefix(PREFACE).unwrap_or(bytes);
    while let Some((head, rest)) = bytes.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        out.push((head[3], head[4], stream, rest[..length].to_vec()));
        bytes = &rest[length..];
    }
    assert!(bytes.is_empty(), "a frame is cut: {bytes:02x?}");
    out
}

/// Frames as text, one a line, for snapshots.
pub fn describe(bytes: &[u8]) -> String {
    const NAMES: [&str; 10] = [
        "DATA",
        "HEADERS",
        "PRIORITY",
        "RST_STREAM",
        "SETTINGS",
        "PUSH_PROMISE",
        "PING",
        "GOAWAY",
        "WINDOW_UPDATE",
        "CONTINUATION",
    ];
    let line = |(kind, flags, stream, payload): &(u8, u8, u32, Vec<u8>)| {
        let shown = if payload.len() > 48 { "…".to_owned() } else { hex(payload) };
        let name = NAMES[usize::from(*kind)];
        format!("{name} stream {stream} flags {flags:#04x} length {} {shown}", payload.len())
            .trim_end()
            .to_owned()
    };
    frames(bytes).iter().map(line).collect::<Vec<_>>().join("\n")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Everything a session has to say now.
pub fn output(session: &mut Session) -> Vec<u8> {
    let mut out = vec![];
    loop {
        let bytes = session.take_output();
        if bytes.is_empty() {
            return out;
        }
        out.extend_from_slice(&bytes);
    }
}

/// All events so far.
pub fn events(session: &mut Session) -> Vec<Event> {
    std::iter::from_fn(|| session.poll_event()).collect()
}

/// A server session.
pub fn server() -> Session {
    Session::new(Role::Server, SessionConfig::default(), Duration::ZERO)
}

/// A server session after CoreDeviceService's opening, its answers taken.
pub fn open_server() -> Session {
    let mut session = server();
    session.receive(Duration::ZERO, COREDEVICE_OPENING).unwrap();
    output(&mut session);
    assert_eq!(events(&mut session), [Event::Opened]);
    session
}

/// Moves bytes between two sessions until neither has more to say.
pub fn settle(a: &mut Session, b: &mut Session, now: Duration) {
    loop {
        let (from_a, from_b) = (output(a), output(b));
        if from_a.is_empty() && from_b.is_empty() {
            return;
        }
        b.receive(now, &from_a).unwrap();
        a.receive(now, &from_b).unwrap();
    }
}

/// A client and a server that have opened a session.
pub fn open_pair(client: SessionConfig, server: SessionConfig) -> (Session, Session) {
    let mut client = Session::new(Role::Client, client, Duration::ZERO);
    let mut server = Session::new(Role::Server, server, Duration::ZERO);
    settle(&mut client, &mut server, Duration::ZERO);
    assert_eq!(events(&mut client), [Event::Opened]);
    assert_eq!(events(&mut server), [Event::Opened]);
    (client, server)
}
