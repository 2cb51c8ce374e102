//! Input that nobody would send by mistake: never a 5xx of an accident, never the end of the daemon, bounded time and number.

mod registry;

use std::time::Duration;

use proptest::prelude::*;
use registry::{Answer, Registry, UP};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Sends bytes, ends its own side, and reads whatever comes.
async fn throw(registry: &Registry, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(registry.address).await.unwrap();
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    // Some end only when they are refused by their time, which is not waited for here.
    let _ = timeout(Duration::from_millis(500), stream.read_to_end(&mut answer)).await;
    answer
}

/// What was answered is in order: no accident inside.
fn in_order(answer: &[u8]) -> bool {
    answer.is_empty() || ![500, 502, 503].contains(&Answer::parse(answer).status)
}

fn path() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "/",
        "/hello",
        "/cancel",
        "/start-tunnel",
        "/upstream",
        "/connect",
        "/metrics",
        "/v1/devices",
        "/v1/devices/",
        "/v1/devices/x/tunnel",
        "/v1/devices/x/lease",
        "/v1/version",
        "/v1/searches",
        "/v1/",
    ]);
    let query = "[!-~]{0,40}|udid=[!-~]{0,20}&port=[0-9+._-]{0,8}&ip=[!-~]{0,9}|udid=(%[0-9a-fg]{2}){0,9}";
    (known, "[!-\"$-~]{0,12}", query).prop_map(|(path, more, query)| format!("{path}{more}?{query}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_bytes(requests in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 8)) {
        runtime().block_on(async {
            let registry = Registry::start().await;
            for request in requests {
                let answer = throw(&registry, &request).await;
                assert!(in_order(&answer), "{}", String::from_utf8_lossy(&answer));
            }
            assert_eq!(registry.get("/hello").await.status, 200);
        });
    }

    #[test]
    fn any_path_query_header_and_body(
        requests in proptest::collection::vec((
            prop::sample::select(vec!["GET", "POST", "DELETE", "PUT", "HEAD", "X"]),
            path(),
            "[ -~\\x80-\\xff]{0,60}",
            prop::sample::select(vec!["x-tunneld-hops-remaining", "x-iosmux-lease", "content-type", "accept", "upgrade", "cookie"]),
            "[ -~]{0,80}|\\{\"url\":[ -~]{0,30}|\\{\"owner\":\"[a-z]{0,9}\",\"seconds\":-?[0-9]{0,30}\\}",
        ), 12)
    ) {
        runtime().block_on(async {
            let registry = Registry::start().await;
            for (method, path, value, name, body) in requests {
                let head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n");
                let length = body.len();
                let mut request = format!("{head}{name}: ").into_bytes();
                request.extend(value.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap()));
                request.extend(format!("\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}").bytes());
                let answer = throw(&registry, &request).await;
                assert!(in_order(&answer), "{request:?}\n{}", String::from_utf8_lossy(&answer));
            }
            assert_eq!(registry.get("/hello").await.status, 200);
        });
    }
}

#[tokio::test]
async fn a_long_head_and_too_many_headers_are_refused() {
    let registry = Registry::start().await;
    let long = registry.request("GET", "/hello", &format!("x: {}\r\n", "y".repeat(20_000)), "").await;
    assert_eq!(long.status, 431);
    let many: String = (0..100).map(|number| format!("x{number}: y\r\n")).collect();
    assert_eq!(registry.request("GET", "/hello", &many, "").await.status, 431);
    let path = format!("/cancel?udid={}", "x".repeat(20_000));
    assert!([414, 431].contains(&registry.get(&path).await.status));
}

#[tokio::test]
async fn smuggled_requests_are_not_taken_apart_in_two_ways() {
    let registry = Registry::start().await;
    let both = "POST /upstream HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /shutdown HTTP/1.1\r\nhost: evil\r\n\r\n";
    let _ = throw(&registry, both.as_bytes()).await;
    let lengths =
        "POST /upstream HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nabcde";
    let answer = throw(&registry, lengths.as_bytes()).await;
    assert_eq!(Answer::parse(&answer).status, 400);
    assert!(registry.is_running());
}

#[tokio::test]
async fn connections_are_bounded_and_one_more_is_closed_at_once() {
    let registry = Registry::start().await;
    let mut held = Vec::new();
    for _ in 0..512 {
        held.push(TcpStream::connect(registry.address).await.unwrap());
    }
    // All are accepted once the last one's request is answered.
    let last = held.last_mut().unwrap();
    last.write_all(b"GET /hello HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert!(last.read(&mut [0; 64]).await.unwrap() > 0);
    let mut more = TcpStream::connect(registry.address).await.unwrap();
    let closed = timeout(Duration::from_secs(10), more.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    drop(held);
    let served = async || {
        let mut stream = TcpStream::connect(registry.address).await.unwrap();
        let _ =
            stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        answer.contains("iosmux_http_turned_away_total 1\n")
            || answer.contains("iosmux_http_turned_away_total 2\n")
    };
    let end = tokio::time::Instant::now() + registry::DEADLINE;
    while !served().await {
        assert!(tokio::time::Instant::now() < end, "connections are not given back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_go_on_is_cut_off() {
    let registry = Registry::start().await;
    // Half a head, and a head without its body.
    for request in [
        "GET /hello HTTP/1.1\r\nhost: loc".to_owned(),
        format!(
            "POST /v1/devices/{UP}/lease HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\nconnection: close\r\n\r\n{{"
        ),
    ] {
        let mut stream = TcpStream::connect(registry.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = timeout(Duration::from_secs(60), stream.read_to_string(&mut answer)).await;
        read.expect("it is not cut off").unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
}
