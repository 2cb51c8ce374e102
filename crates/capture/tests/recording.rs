//! What a recorded connection leaves in the file, read back by an independent parser.
mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use iosmux_capture::pcapng::{self, Direction, Packet};
use iosmux_capture::{Error, Recorder};
use support::{list, read};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const LOCAL: &str = "[fe80::1%3]:50000";
const PEER: &str = "[fe80::2%3]:58783";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn recorder() -> (tempfile::TempDir, std::path::PathBuf, Recorder) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.pcapng");
    let recorder = Recorder::create(&path).unwrap();
    (folder, path, recorder)
}

#[tokio::test]
async fn a_connection_and_a_datagram_read_back_as_they_were() {
    let (_folder, path, recorder) = recorder();
    let before = SystemTime::now();
    let question = address("[fe80::1%3]:5353");
    recorder.datagram(Direction::Outbound, question, address("[ff02::fb%3]:5353"), b"question");
    let (near, mut far) = tokio::io::duplex(1 << 20);
    let mut stream = recorder.connection(address(LOCAL), address(PEER), near);
    stream.write_all(b"hello").await.unwrap();
    far.write_all(&vec![9; 40_000]).await.unwrap();
    let mut answer = vec![0; 40_000];
    stream.read_exact(&mut answer).await.unwrap();
    stream.shutdown().await.unwrap();
    drop(far);
    assert_eq!(stream.read(&mut answer).await.unwrap(), 0);
    assert_eq!(stream.read(&mut answer).await.unwrap(), 0);
    drop(stream);
    let other = recorder.accepted(address("127.0.0.1:80"), address("127.0.0.2:1024"), tokio::io::empty());
    drop(other);
    let summary = recorder.finish().unwrap();

    let bytes = std::fs::read(path).unwrap();
    let capture = read(&bytes);
    assert_eq!(summary.bytes, bytes.len() as u64);
    assert_eq!(summary.packets, capture.packets.len() as u64);
    assert_eq!(summary.dropped, 0);
    assert!(capture.applications[0].starts_with("iosmux "));
    assert_eq!(capture.interfaces, ["iosmux%3", "iosmux"]);
    insta::assert_snapshot!(list(&capture.packets));
    let times: Vec<_> = capture
        .packets
        .iter()
        .map(|p| SystemTime::UNIX_EPOCH + Duration::from_nanos(p.nanoseconds))
        .collect();
    assert!(times.is_sorted());
    assert!(before <= times[0] && *times.last().unwrap() <= SystemTime::now());
    assert!(matches!(recorder.finish(), Err(Error::Finished { .. })));
}

#[tokio::test]
async fn written_slices_are_one_segment_and_only_what_was_written() {
    let (_folder, path, recorder) = recorder();
    // Two bytes fit into the pipe: the third isn't written.
    let (near, _far) = tokio::io::duplex(2);
    let mut stream = recorder.connection(address(LOCAL), address(PEER), near);
    let slices = [std::io::IoSlice::new(b"a"), std::io::IoSlice::new(b""), std::io::IoSlice::new(b"bc")];
    assert_eq!(stream.write_vectored(&slices).await.unwrap(), 2);
    drop(stream);
    recorder.finish().unwrap();
    let capture = read(&std::fs::read(path).unwrap());
    assert_eq!(support::segment(&capture.packets[3].bytes).payload, b"ab");
}

#[tokio::test]
async fn a_reset_by_the_peer_is_recorded_as_one() {
    use std::io::{Error as IoError, ErrorKind};
    use std::pin::Pin;
    use std::task::{Context, Poll};
    struct Reset;
    impl tokio::io::AsyncRead for Reset {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut tokio::io::ReadBuf<'_>,
        ) -> Poll<std::io::Result<()>> {
            Poll::Ready(Err(IoError::from(ErrorKind::ConnectionReset)))
        }
    }
    let (_folder, path, recorder) = recorder();
    let mut stream = recorder.connection(address(LOCAL), address(PEER), Reset);
    assert_eq!(stream.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    drop(stream);
    recorder.finish().unwrap();
    let capture = read(&std::fs::read(path).unwrap());
    let flags: Vec<_> = capture.packets.iter().map(|p| support::segment(&p.bytes).flags).collect();
    assert_eq!(flags, ["SYN", "SYN ACK", "ACK", "RST ACK"]);
}

#[tokio::test]
async fn a_file_that_was_never_finished_opens() {
    let (_folder, path, recorder) = recorder();
    let mut stream = recorder.connection(address(LOCAL), address(PEER), tokio::io::sink());
    for _ in 0..100 {
        stream.write_all(&[1; 999]).await.unwrap();
    }
    // As after a SIGKILL: whatever the length is now, it ends with a whole block.
    let start = Instant::now();
    loop {
        let capture = read(&std::fs::read(&path).unwrap());
        if capture.packets.len() == 103 {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "only {} packets", capture.packets.len());
        tokio::task::yield_now().await;
    }
}

#[test]
fn dropped_packets_are_named_beside_the_next() {
    let mut file = pcapng::section_header("test");
    file.extend(pcapng::interface_description("if", "text"));
    file.extend(pcapng::enhanced_packet(&Packet {
        interface: 0,
        time: SystemTime::UNIX_EPOCH + Duration::new(1, 5),
        direction: Direction::Inbound,
        bytes: &[0x60],
        dropped: 7,
    }));
    let capture = read(&file);
    let packet = &capture.packets[0];
    assert_eq!(packet.nanoseconds, 1_000_000_005);
    assert_eq!(packet.bytes, [0x60]);
    assert!(packet.options.contains(&(2, vec![1, 0, 0, 0])), "inbound");
    assert!(packet.options.contains(&(4, 7_u64.to_le_bytes().to_vec())), "the drop count");
    let comment = packet.options.iter().find(|(code, _)| *code == 1).unwrap();
    assert!(String::from_utf8_lossy(&comment.1).contains("dropped 7 packets"));
}

#[test]
fn a_folder_that_is_not_there_is_an_error_that_names_the_file() {
    let error = Recorder::create("/nonexistent/x.pcapng").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the capture file /nonexistent/x.pcapng can't be created: No such file or directory (os error 2)"
    );
}

#[test]
fn a_full_disk_is_an_error_at_once() {
    let error = Recorder::create("/dev/full").unwrap_err();
    assert!(error.to_string().contains("No space left"));
}
