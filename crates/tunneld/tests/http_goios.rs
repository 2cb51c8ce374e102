//! go-ios' agent, good and bad input.

mod registry;

use std::sync::Arc;

use iosmux_tunneld::http::Ended;
use registry::{Registry, UP, WAITING};

#[tokio::test]
async fn every_endpoint_of_the_agent() {
    let registry = Registry::start().await;
    let agent = registry.agent.unwrap();
    let one = format!("/tunnel/{UP}");
    let mut shown = String::new();
    for (method, path) in [
        ("GET", "/health"),
        ("GET", "/ready"),
        ("GET", "/tunnels"),
        ("GET", &one),
        ("GET", &format!("/tunnel/{}", UP.replace('-', ""))),
        ("GET", &format!("/tunnel/{WAITING}")),
        ("GET", "/tunnel/unknown"),
        ("DELETE", "/tunnel/unknown"),
        ("DELETE", &one),
        ("POST", &one),
        ("GET", "/tunnel/"),
        ("GET", "/tunnel"),
        ("GET", "/nowhere"),
        ("GET", "/v1/devices"),
    ] {
        let answer = registry.request_at(agent, method, path, "", "").await;
        shown.push_str(&format!("# {method} {path}\n{}\n\n", answer.shown()));
    }
    insta::assert_snapshot!(shown);
    assert_eq!(registry.asked(), [format!("stop {UP}")]);
}

#[tokio::test]
async fn its_shutdown_ends_the_daemon() {
    let registry = Registry::start().await;
    let answer = registry.request_at(registry.agent.unwrap(), "GET", "/shutdown", "", "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "shutting down in 1 second..."));
    assert_eq!(registry.ended().await, Ended::Asked);
}

/// As go-ios' own agent does: a stopped tunnel comes back when a client asks for it, once for each stop.
#[tokio::test]
async fn a_tunnel_that_was_stopped_here_comes_back_when_it_is_asked_for() {
    let registry = Registry::start().await;
    let agent = registry.agent.unwrap();
    let one = format!("/tunnel/{UP}");
    assert_eq!(registry.request_at(agent, "DELETE", &one, "", "").await.status, 204);
    registry.picture.send_replace(Arc::default());
    for _ in 0..3 {
        assert_eq!(registry.request_at(agent, "GET", &one, "", "").await.status, 404);
    }
    assert_eq!(registry.asked(), [format!("stop {UP}"), format!("start {UP}")]);
}
