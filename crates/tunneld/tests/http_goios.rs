//! go-ios' agent, good and bad input.

mod registry;

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
