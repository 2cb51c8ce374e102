//! pymobiledevice3's face, good and bad input. tests/peers_registry.rs compares the same with the live server.

mod registry;

use std::sync::Arc;

use iosmux_tunneld::http::{Ended, HttpConfig};
use iosmux_tunneld::model::{Snapshot, State};
use registry::{DOWN, OLD, Registry, UP, WAITING, device, tunnel_to, websocket};

const JSON: &str = "content-type: application/json\r\n";

/// Asks each and shows all answers one after the other.
async fn shown(registry: &Registry, requests: &[(&str, &str, &str, &str)]) -> String {
    let mut shown = String::new();
    for (method, path, headers, body) in requests {
        let answer = registry.request(method, path, headers, body).await;
        shown.push_str(&format!(
            "# {method} {path} {}{body}\n{}\n\n",
            headers.replace("\r\n", " "),
            answer.shown()
        ));
    }
    shown.replace(&registry.address.to_string(), "HOST")
}

#[tokio::test]
async fn good_input() {
    let registry = Registry::start().await;
    let plain = UP.replace('-', "");
    let answers = shown(
        &registry,
        &[
            ("GET", "/", "", ""),
            ("GET", "/", "x-tunneld-hops-remaining: 0\r\n", ""),
            ("GET", "/hello", "", ""),
            ("GET", "/%68ello?x=1", "", ""),
            ("GET", "/clear_tunnels", "", ""),
            ("GET", &format!("/cancel?udid={UP}"), "", ""),
            ("GET", "/cancel?udid=unknown", "", ""),
            ("GET", "/cancel?udid=caf%C3%A9%22+%F0%9F%98%80%ff", "", ""),
            ("GET", &format!("/start-tunnel?udid={UP}"), "", ""),
            ("GET", &format!("/start-tunnel?udid={plain}&connection_type=wifi&ip=anything"), "", ""),
            ("GET", "/upstream", "", ""),
        ],
    )
    .await;
    insta::assert_snapshot!(answers);
    assert_eq!(
        registry.asked(),
        ["cancel all", &format!("cancel {UP}"), "cancel unknown", "cancel caf\u{e9}\" \u{1f600}\u{fffd}"]
    );
}

#[tokio::test]
async fn bad_input() {
    let registry = Registry::start().await;
    let hops = "x-tunneld-hops-remaining: abc\r\n";
    let answers = shown(
        &registry,
        &[
            ("GET", "/", hops, ""),
            ("GET", "/cancel", "", ""),
            ("GET", "/start-tunnel", "", ""),
            ("GET", "/start-tunnel?udid=unknown", "", ""),
            ("GET", "/start-tunnel?udid=unknown&connection_type=usbmux", "", ""),
            ("GET", &format!("/start-tunnel?udid={WAITING}"), "", ""),
            ("GET", &format!("/start-tunnel?udid={WAITING}&ip=fe80::2%25eth4"), "", ""),
            ("GET", &format!("/start-tunnel?udid={WAITING}&connection_type=wifi"), "", ""),
            ("GET", &format!("/start-tunnel?udid={DOWN}&connection_type=usb"), "", ""),
            ("GET", &format!("/start-tunnel?udid={OLD}"), "", ""),
            ("GET", "/nowhere", "", ""),
            ("GET", "//hello", "", ""),
            ("GET", "/hello/?a=b", "", ""),
            ("POST", "/hello/", "", ""),
            ("POST", "/hello", "", ""),
            ("HEAD", "/hello", "", ""),
            ("OPTIONS", "/", "", ""),
            ("PUT", "/upstream", "", ""),
            ("GET", &format!("/connect?udid={UP}"), "", ""),
            ("GET", "/connect", &websocket(), ""),
            ("GET", "/connect?udid=x&port=0", &websocket(), ""),
            ("GET", "/hello", &websocket(), ""),
        ],
    )
    .await;
    insta::assert_snapshot!(answers);
}

#[tokio::test]
async fn upstreams_are_added_and_removed() {
    let registry = Registry::start().await;
    let answers = shown(
        &registry,
        &[
            ("POST", "/upstream", JSON, r#"{"url":"lab"}"#),
            ("POST", "/upstream", JSON, r#"{"url":"http://[FE80::1]:7/"}"#),
            (
                "POST",
                "/upstream",
                "content-type: application/x+json; charset=utf-8\r\n",
                r#"{"url":"caf\u00e9:80"}"#,
            ),
            ("GET", "/upstream", "", ""),
            ("DELETE", "/upstream", JSON, r#"{"url":"lab"}"#),
            ("DELETE", "/upstream", JSON, r#"{"url":"https://was never there"}"#),
            ("GET", "/upstream", "", ""),
            ("POST", "/upstream", JSON, r#"{"url":"https://lab"}"#),
            ("POST", "/upstream", JSON, r#"{"url":"lab:99999"}"#),
            ("POST", "/upstream", JSON, ""),
            ("POST", "/upstream", JSON, "{"),
            ("POST", "/upstream", JSON, r#"{"url":"#),
            ("POST", "/upstream", JSON, "[]"),
            ("POST", "/upstream", JSON, r#"{"url":[1,"é"]}"#),
            ("POST", "/upstream", "", r#"{"url":"lab"}"#),
            ("DELETE", "/upstream", "", ""),
        ],
    )
    .await;
    insta::assert_snapshot!(answers);
}

#[tokio::test]
async fn upstreams_are_bounded() {
    let registry = Registry::start().await;
    let add = async |name: String| {
        registry.request("POST", "/upstream", JSON, &format!(r#"{{"url":"{name}"}}"#)).await
    };
    for number in 0..32 {
        assert_eq!(add(format!("lab-{number}")).await.status, 200);
    }
    assert_eq!(add("one-more".to_owned()).await.status, 400);
    assert_eq!(add("lab-3".to_owned()).await.status, 200);
    let long = add("x".repeat(20_000)).await;
    assert_eq!(long.status, 413);
    let wrong = HttpConfig { upstreams: vec!["https://lab".to_owned()], ..HttpConfig::default() };
    let fleet = iosmux_tunneld::fleet::channel().0;
    let refused = iosmux_tunneld::http::Server::bind(wrong, fleet).await.unwrap_err();
    assert!(refused.to_string().contains("unsupported upstream scheme 'https'"), "{refused}");
}

#[tokio::test]
async fn only_phones_with_a_usable_tunnel_are_listed() {
    let registry = Registry::start().await;
    let listed = async |state| {
        let tunnel = Some(tunnel_to("fd00::7".parse().unwrap(), 7));
        let device = iosmux_tunneld::model::Device { tunnel, ..device(UP, state) };
        registry.picture.send_replace(Arc::new(Snapshot { devices: vec![device], ..Snapshot::default() }));
        registry.get("/").await.body != "{}"
    };
    let usable = [State::CatalogueKnown, State::Suspect];
    for state in [State::TunnelUp, State::Listening, State::Down, State::Stopped, State::Gone, State::Held] {
        assert!(!listed(state).await, "{state:?}");
    }
    for state in usable {
        assert!(listed(state).await, "{state:?}");
    }
}

#[tokio::test]
async fn shutdown_is_answered_and_ends_the_registry() {
    let registry = Registry::start().await;
    let answer = registry.get("/shutdown").await;
    let expected = r#"{"operation": "shutdown", "data": true, "message": "Server shutting down..."}"#;
    assert_eq!((answer.status, answer.body.as_str()), (200, expected));
    assert_eq!(registry.ended().await, Ended::Asked);
    assert_eq!(Registry::start().await.end().await, Ended::Told);
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let registry = Registry::start().await;
    let mut stream = tokio::net::TcpStream::connect(registry.address).await.unwrap();
    let request = format!("GET /hello HTTP/1.1\r\nhost: {}\r\n\r\n", registry.address);
    for _ in 0..3 {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 512];
        let length = stream.read(&mut answer).await.unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
}
