//! Hostile peers over real sockets: each its own typed error, in bounded memory and time, while an honest peer is served.

mod support;

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use iosmux_xpc::{
    DecodeError, Limits, Object,
    io::{Connection, Error, Event},
    message::MessageError,
    session::{FrameError, SessionConfig, SessionError},
};
use support::{APPLE_OPENING, PREFACE, data, frame, headers, message, wrapper};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// How long a hostile connection may live; the opening's deadline in these tests is 2 s.
const DEADLINE: Duration = Duration::from_secs(4);
/// How much the process may grow while it is attacked.
const GROWTH: u64 = 24 << 20;

fn limits() -> Limits {
    Limits {
        handshake_deadline: Duration::from_secs(2),
        message_deadline: Duration::from_secs(2),
        ..Limits::default()
    }
}

/// Bytes that a hostile peer sends, and how fast.
struct Attack {
    bytes: Vec<u8>,
    pace: Option<Duration>,
}

fn at_once(parts: &[&[u8]]) -> Attack {
    Attack { bytes: parts.concat(), pace: None }
}

fn after_opening(bytes: &[u8]) -> Attack {
    at_once(&[APPLE_OPENING, bytes])
}

/// A body that begins like one and is hostile from the object on.
fn body(object: &[u8]) -> Vec<u8> {
    [&0x4213_3742_u32.to_le_bytes()[..], &5_u32.to_le_bytes(), object].concat()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A message of many DATA frames, for bodies larger than a frame.
fn in_frames(message: &[u8]) -> Vec<u8> {
    message.chunks(16_384).flat_map(|chunk| data(1, chunk)).collect()
}

fn nested(depth: u32) -> Vec<u8> {
    let levels = (0..depth).rev().flat_map(|inside| words(&[0xe000, 4 + inside * 12, u32::from(inside > 0)]));
    body(&levels.collect::<Vec<u8>>())
}

fn repeated(count: usize, one: &[u8]) -> Vec<u8> {
    one.repeat(count)
}

/// Attacks are run one by one, because peak memory is counted for the whole process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn forget_peak_rss() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

fn peak_rss() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Serves every connection: answers each request with its own body, and reports how hostile ones ended.
async fn serve(listener: TcpListener, ended: tokio::sync::mpsc::UnboundedSender<(u16, Error)>) {
    loop {
        let (stream, peer) = listener.accept().await.unwrap();
        let config = SessionConfig { limits: limits(), ..SessionConfig::default() };
        let (connection, mut events) = Connection::server(stream, config);
        let ended = ended.clone();
        tokio::spawn(async move {
            // Files are kept and never read.
            let mut files = vec![];
            while let Some(event) = events.next().await {
                match event {
                    Ok(Event::FileIncoming { file, .. }) => files.push(file),
                    Ok(Event::Message { id, wants_reply: true, body }) => {
                        connection.reply(id, body.object()).await.unwrap();
                    }
                    Ok(_) => {}
                    Err(error) => ended.send((peer.port(), error)).unwrap(),
                }
            }
        });
    }
}

/// Runs an attack and answers the error it ended with on the server.
async fn attack(attack: Attack) -> SessionError {
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (report, mut reports) = tokio::sync::mpsc::unbounded_channel();
    let server = tokio::spawn(serve(listener, report));
    forget_peak_rss();
    let before = peak_rss();
    let mut hostile = TcpStream::connect(address).await.unwrap();
    let port = hostile.local_addr().unwrap().port();
    let size = attack.bytes.len() as u64;
    let started = Instant::now();
    let sender = tokio::spawn(async move {
        // The server may hang up at any time.
        match attack.pace {
            None => _ = hostile.write_all(&attack.bytes).await,
            Some(pace) => {
                for byte in attack.bytes {
                    if hostile.write_all(&[byte]).await.is_err() {
                        break;
                    }
                    tokio::time::sleep(pace).await;
                }
            }
        }
        let mut rest = vec![];
        _ = hostile.read_to_end(&mut rest).await;
    });
    let honest = honest_peer(address);
    let ended = async {
        loop {
            let (from, error) = reports.recv().await.unwrap();
            if from == port {
                return error;
            }
        }
    };
    let (error, honest) = tokio::join!(tokio::time::timeout(DEADLINE, ended), honest);
    assert!(started.elapsed() < DEADLINE, "the server took {:?}", started.elapsed());
    assert!(honest < Duration::from_secs(1), "an honest peer waited {honest:?} meanwhile");
    // The attacker's own bytes are in this process too.
    let grown = peak_rss().saturating_sub(before);
    assert!(grown < GROWTH + size, "memory grew by {grown} bytes for {size} hostile ones");
    sender.abort();
    server.abort();
    match error.expect("the server did not end the hostile connection in time") {
        Error::Session(error) => error,
        other => panic!("expected a session error, found {other}"),
    }
}

/// A second peer that asks and is answered; returns the time it took.
async fn honest_peer(address: std::net::SocketAddr) -> Duration {
    let started = Instant::now();
    let stream = TcpStream::connect(address).await.unwrap();
    let (connection, _events) = Connection::client(stream, SessionConfig::default());
    let reply = connection.request(Object::Uint64(4711)).await.unwrap();
    assert_eq!(reply.object(), Object::Uint64(4711));
    started.elapsed()
}

fn run(what: Attack) -> SessionError {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(attack(what))
}

fn body_error(error: SessionError) -> DecodeError {
    match error {
        SessionError::Message { stream: 1, source: MessageError::Body { source, .. } } => source,
        other => panic!("expected an unreadable body on stream 1, found {other}"),
    }
}

#[test]
fn nesting_100_000_deep() {
    let error = run(after_opening(&in_frames(&message(0x101, 1, &nested(100_000)))));
    assert!(matches!(body_error(error), DecodeError::TooDeep { .. }));
}

#[test]
fn a_count_of_2_to_the_32_less_one() {
    let hostile = body(&words(&[0xe000, 4, u32::MAX]));
    let error = run(after_opening(&data(1, &message(0x101, 1, &hostile))));
    assert!(matches!(body_error(error), DecodeError::CountBeyondBytes { .. }));
}

#[test]
fn a_string_without_nul() {
    let hostile = body(&[words(&[0x9000, 4]), b"abcd".to_vec()].concat());
    let error = run(after_opening(&data(1, &message(0x101, 1, &hostile))));
    assert!(matches!(body_error(error), DecodeError::MissingNul { .. }));
}

#[test]
fn a_length_past_the_end() {
    let hostile = body(&words(&[0x8000, u32::MAX, 0]));
    let error = run(after_opening(&data(1, &message(0x101, 1, &hostile))));
    assert!(matches!(body_error(error), DecodeError::LengthBeyondEnd { .. }));
}

#[test]
fn a_message_announced_with_2_to_the_63_bytes() {
    let error = run(after_opening(&data(1, &wrapper(0x101, 1 << 63, 1))));
    assert!(
        matches!(error, SessionError::Message { source: MessageError::TooLong { found, .. }, .. } if found == 1 << 63)
    );
}

#[test]
fn bytes_that_are_no_wrapper() {
    let error = run(after_opening(&data(1, &[0xff; 24])));
    assert!(matches!(
        error,
        SessionError::Message { source: MessageError::BadMagic { found: u32::MAX }, .. }
    ));
}

#[test]
fn flood_of_200_000_resets() {
    let error = run(after_opening(&repeated(200_000, &frame(3, 0, 5, &[0, 0, 0, 8]))));
    assert!(matches!(error, SessionError::Flood { what: "RST_STREAM frames", limit: 20, .. }), "{error}");
}

#[test]
fn flood_of_200_000_settings() {
    let error = run(after_opening(&repeated(200_000, &frame(4, 0, 0, &[]))));
    assert!(matches!(error, SessionError::Flood { limit: 32, .. }), "{error}");
}

#[test]
fn flood_of_200_000_empty_data() {
    let error = run(after_opening(&repeated(200_000, &data(1, b""))));
    assert!(matches!(error, SessionError::Flood { what: "empty DATA frames", limit: 32, .. }), "{error}");
}

#[test]
fn flood_of_200_000_pings() {
    let error = run(after_opening(&repeated(200_000, &frame(6, 0, 0, b"12345678"))));
    assert!(matches!(error, SessionError::Flood { limit: 32, .. }), "{error}");
}

#[test]
fn an_even_stream_from_a_client() {
    let error = run(after_opening(&headers(2)));
    assert!(matches!(error, SessionError::InvalidStream { stream: 2, .. }), "{error}");
}

#[test]
fn data_on_a_stream_that_was_never_opened() {
    let error = run(after_opening(&data(9, b"x")));
    assert!(matches!(error, SessionError::InvalidStream { stream: 9, .. }), "{error}");
}

#[test]
fn data_beyond_the_window() {
    // A file that nobody reads is never given more window than the first.
    let flood =
        [headers(5), data(5, &wrapper(0x0010_0001, 0, 1)), repeated(80, &data(5, &[0; 16_384]))].concat();
    let error = run(after_opening(&flood));
    assert!(matches!(error, SessionError::FlowControl { stream: 5, .. }), "{error}");
}

#[test]
fn a_window_enlarged_past_its_maximum() {
    let error = run(after_opening(&frame(8, 0, 0, &0x7fff_ffff_u32.to_be_bytes())));
    assert_eq!(error, SessionError::WindowOverflow { stream: 0 });
}

#[test]
fn a_frame_larger_than_was_allowed() {
    let error = run(after_opening(&data(1, &vec![0; 16_385])));
    assert!(matches!(error, SessionError::Frame(FrameError::Refused { .. })), "{error}");
}

#[test]
fn headers_before_settings() {
    let error = run(at_once(&[PREFACE, &headers(1)]));
    assert_eq!(error, SessionError::Unexpected { expected: "SETTINGS", found: "HEADERS" });
}

#[test]
fn one_byte_a_second() {
    let error = run(Attack { bytes: APPLE_OPENING.to_vec(), pace: Some(Duration::from_secs(1)) });
    assert!(matches!(error, SessionError::HandshakeTimeout { missing: "SETTINGS", .. }), "{error}");
}

#[test]
fn one_byte_of_a_message_a_second_after_the_opening() {
    // The opening at once, then a message that never gets on.
    let attack = Attack { bytes: [APPLE_OPENING, &data(1, &wrapper(0x101, 1000, 1))].concat(), pace: None };
    let error = run(attack);
    assert!(matches!(error, SessionError::MessageTimeout { stream: 1, .. }), "{error}");
}

#[test]
fn ten_thousand_requests_that_nobody_answers() {
    let null = body(&words(&[0x1000]));
    let one = |id: u64| data(3, &message(0x1_0101, id, &null));
    let flood: Vec<u8> = (0..10_000).flat_map(one).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(async {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        let (_connection, mut events) = Connection::server(ours, SessionConfig::default());
        let writer = tokio::spawn(async move {
            theirs.write_all(APPLE_OPENING).await.unwrap();
            _ = theirs.write_all(&flood).await;
            theirs
        });
        let error = loop {
            match events.next().await.unwrap() {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        writer.abort();
        error
    });
    assert!(matches!(error, Error::Session(SessionError::TooManyRequests { limit: 1024 })), "{error}");
}
