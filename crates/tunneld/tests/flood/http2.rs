//! RSD that completes the opening and then sends frames without end, of every kind that costs the sender little.

use std::io::{Read as _, Write as _};
use std::net::{Ipv6Addr, SocketAddrV6, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::mdns;

/// What a phone answers first. Source: fixtures/xpc/empty_dictionary.bin, as in crates/xpc/src/session/opening.rs.
const EMPTY_DICTIONARY: &[u8; 44] = b"\x92\x0b\xb0\x29\x01\x00\x00\x00\x14\x00\x00\x00\x00\x00\x00\x00\
    \x00\x00\x00\x00\x00\x00\x00\x00\x42\x37\x13\x42\x05\x00\x00\x00\x00\xf0\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00";
/// The head of a message of 16 MiB less a byte. Source: protocol.md §3.2 (wrapper).
const ENDLESS: &[u8; 24] =
    b"\x92\x0b\xb0\x29\x01\x01\x00\x00\xff\xff\xff\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00";
/// How long the daemon may take to come, to read or to leave.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two announcements while it has not come.
const AGAIN: Duration = Duration::from_secs(1);
/// Frames written before the daemon is asked whether it has read them.
const BATCH: u64 = 10_000;
/// Frames on a connection that is expected to be closed in the midst of them.
const CUT: u64 = 500;

/// Kinds that end the connection when they are too many.
const BOUNDED: [Kind; 6] =
    [Kind::Settings, Kind::Ping, Kind::EmptyData, Kind::Headers, Kind::Priority, Kind::Endless];
/// Kinds that are read for as long as they come.
const FREE: [Kind; 2] = [Kind::WindowUpdate, Kind::Unknown];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Settings,
    Ping,
    EmptyData,
    Headers,
    Priority,
    /// DATA of a message that never ends.
    Endless,
    WindowUpdate,
    Unknown,
}

impl Kind {
    fn frame(self) -> Vec<u8> {
        match self {
            Self::Settings => frame(4, 0, 0, &[0, 4, 0, 1, 0, 0]),
            Self::Ping => frame(6, 0, 0, b"floodfld"),
            Self::EmptyData => frame(0, 0, 1, &[]),
            Self::Headers => frame(1, 4, 1, &[]),
            Self::Priority => frame(2, 0, 1, &[0, 0, 0, 3, 1]),
            Self::Endless => frame(0, 0, 1, &[0x55; 16 << 10]),
            Self::WindowUpdate => frame(8, 0, 1, &[0, 0, 0, 1]),
            Self::Unknown => frame(0x42, 0xff, 1, b"nobody knows this"),
        }
    }
}

/// Source: RFC 9113 §4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Sends `count` frames on as many connections as the daemon makes; gives how many were written, and how many of those
/// the daemon has shown that it read.
pub(crate) fn send(own: Ipv6Addr, interface: u32, count: u64) -> (u64, u64) {
    let (mut sent, mut read) = (0, 0);
    for kind in BOUNDED.into_iter().cycle().take(BOUNDED.len() * 2) {
        sent += cut(&mut visitor(own, interface), kind);
    }
    for kind in FREE.into_iter().cycle() {
        if sent >= count {
            break;
        }
        let mut stream = visitor(own, interface);
        while sent < count {
            let batch = BATCH.min(count - sent);
            let frames = kind.frame().repeat(usize::try_from(batch).unwrap());
            if stream.write_all(&frames).is_err() || !is_read(&mut stream, sent) {
                break;
            }
            (sent, read) = (sent + batch, read + batch);
            if read % (8 * BATCH) == 0 {
                break;
            }
        }
    }
    (sent, read)
}

/// Announces RSD at a new port until the daemon comes there, and completes the opening.
fn visitor(own: Ipv6Addr, interface: u32) -> TcpStream {
    let listener = TcpListener::bind(SocketAddrV6::new(own, 0, 0, interface)).unwrap();
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    let (began, mut announced) = (Instant::now(), None::<Instant>);
    loop {
        if announced.is_none_or(|at| at.elapsed() > AGAIN) {
            mdns::announce(own, interface, port);
            announced = Some(Instant::now());
        }
        if let Ok((mut stream, _)) = listener.accept() {
            stream.set_nonblocking(false).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.set_write_timeout(Some(PATIENCE)).unwrap();
            let opening = [frame(4, 0, 0, &[]), frame(1, 4, 1, &[]), frame(0, 0, 1, EMPTY_DICTIONARY)];
            stream.write_all(&opening.concat()).unwrap();
            return stream;
        }
        assert!(began.elapsed() < PATIENCE, "the daemon does not come to port {port}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Sends frames until the daemon closes the connection, which it must.
fn cut(stream: &mut TcpStream, kind: Kind) -> u64 {
    let (frame, mut sent) = (kind.frame(), 0);
    if kind == Kind::Endless && stream.write_all(&self::frame(0, 0, 1, ENDLESS)).is_ok() {
        sent += 1;
    }
    while sent < CUT && stream.write_all(&frame).is_ok() {
        sent += 1;
    }
    let mut rest = Vec::new();
    let closed = stream.read_to_end(&mut rest);
    let timed_out = |error: &std::io::Error| {
        matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
    };
    assert!(
        !closed.is_err_and(|error| timed_out(&error)),
        "{kind:?}: the daemon goes on after {sent} frames"
    );
    sent
}

/// Whether the daemon answers a PING, and so has read what came before.
fn is_read(stream: &mut TcpStream, number: u64) -> bool {
    let payload = number.wrapping_add(0xf100d << 40).to_be_bytes();
    let pong = frame(6, 1, 0, &payload);
    if stream.write_all(&frame(6, 0, 0, &payload)).is_err() {
        return false;
    }
    let (mut answers, mut buffer) = (Vec::new(), [0; 4096]);
    while !answers.windows(pong.len()).any(|window| window == pong) {
        match stream.read(&mut buffer) {
            Ok(length @ 1..) => answers.extend_from_slice(&buffer[..length]),
            _ => return false,
        }
    }
    true
}
