//! Streams of events: live, replayed, filtered, bounded.

mod registry;

use std::time::Duration;

use iosmux_tunneld::model::{Happening, Reason, State};
use registry::{DEADLINE, Registry, UP};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

struct Stream(BufReader<TcpStream>);

impl Stream {
    async fn open(registry: &Registry, query: &str, headers: &str) -> Stream {
        let mut stream = TcpStream::connect(registry.address).await.unwrap();
        let host = registry.address;
        let request = format!("GET /v1/events{query} HTTP/1.1\r\nhost: {host}\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut stream = Stream(BufReader::new(stream));
        assert_eq!(stream.line().await, "HTTP/1.1 200 OK");
        let mut typed = false;
        loop {
            let line = stream.line().await;
            typed |= line == "content-type: text/event-stream";
            if line.is_empty() {
                break;
            }
        }
        assert!(typed);
        stream
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        timeout(DEADLINE, self.0.read_line(&mut line)).await.expect("nothing comes").unwrap();
        line.trim_end().to_owned()
    }

    /// The next event: its name, id and data.
    async fn event(&mut self) -> (String, String, Value) {
        let (mut name, mut id) = (String::new(), String::new());
        loop {
            let line = self.line().await;
            match line.split_once(": ") {
                Some(("event", value)) => name = value.to_owned(),
                Some(("id", value)) => id = value.to_owned(),
                Some(("data", value)) => return (name, id, serde_json::from_str(value).unwrap()),
                _ => {}
            }
        }
    }
}

fn happens(registry: &Registry, number: u64, device: &str) {
    let reason = Some(Reason::new("asked", Some("tap Trust")));
    let device = device.to_owned();
    registry
        .happenings
        .send(Happening { number, device, generation: 2, state: State::AwaitingTrust, reason })
        .unwrap();
}

#[tokio::test]
async fn events_come_as_they_happen_and_again_for_who_was_away() {
    let registry = Registry::start().await;
    let mut stream = Stream::open(&registry, "", "").await;
    happens(&registry, 1, UP);
    let (name, first, data) = stream.event().await;
    assert_eq!(name, "state");
    insta::assert_json_snapshot!(data);
    happens(&registry, 2, "fe80::1%eth5");
    happens(&registry, 3, UP);
    for number in [2, 3] {
        assert_eq!(stream.event().await.2["number"], number);
    }
    drop(stream);

    let mut again = Stream::open(&registry, "", &format!("last-event-id: {first}\r\n")).await;
    for number in [2, 3] {
        assert_eq!(again.event().await.2["number"], number);
    }
    // Only one phone's; the UDID without its dash.
    let plain = UP.replace('-', "");
    let mut only =
        Stream::open(&registry, &format!("?udid={plain}"), &format!("last-event-id: {first}\r\n")).await;
    let (_, last, data) = only.event().await;
    assert_eq!(data["number"], 3);
    // An id of a daemon that ran before: everything is new.
    let mut other = Stream::open(&registry, "", "last-event-id: 5f5e100-2\r\n").await;
    assert_eq!(other.event().await.2["number"], 1);
    // Nothing is repeated for who has seen the last.
    let mut seen = Stream::open(&registry, "", &format!("last-event-id: {last}\r\n")).await;
    happens(&registry, 4, UP);
    assert_eq!(seen.event().await.2["number"], 4);
}

#[tokio::test]
async fn who_does_not_read_costs_nothing_and_learns_what_is_missing() {
    let registry = Registry::start().await;
    let mut stream = Stream::open(&registry, "", "last-event-id: other-0\r\n").await;
    happens(&registry, 1, UP);
    assert_eq!(stream.event().await.2["number"], 1);
    // A gap, as a slow keeper of the ring leaves it.
    happens(&registry, 10, UP);
    let (name, _, data) = stream.event().await;
    assert_eq!((name.as_str(), &data["missed"]), ("missed", &8.into()));
    assert_eq!(stream.event().await.2["number"], 10);
}

#[tokio::test]
async fn streams_are_bounded_and_given_back() {
    let registry = Registry::start().await;
    let mut streams = Vec::new();
    for _ in 0..64 {
        streams.push(Stream::open(&registry, "", "").await);
    }
    let refused = registry.get("/v1/events").await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (503, &"too-many-streams".into()));
    drop(streams);
    let open =
        async || registry.get("/metrics").await.body.contains("iosmux_http_open{what=\"event-stream\"} 0\n");
    let end = tokio::time::Instant::now() + DEADLINE;
    while !open().await {
        assert!(tokio::time::Instant::now() < end, "streams are not given back");
        sleep(Duration::from_millis(20)).await;
    }
    Stream::open(&registry, "", "").await;
}

#[tokio::test]
async fn the_end_of_the_daemon_ends_streams() {
    let registry = Registry::start().await;
    let mut stream = Stream::open(&registry, "", "").await;
    let began = tokio::time::Instant::now();
    registry.end().await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    while !stream.line().await.is_empty() {}
}
