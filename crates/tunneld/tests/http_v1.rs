//! Our own face: every endpoint, good and bad.

mod registry;

use std::collections::BTreeSet;

use iosmux_tunneld::http::Ended;
use registry::{Answer, DOWN, OLD, Registry, UP, WAITING, every_endpoint};
use serde_json::Value;

/// An answer without what differs from run to run.
fn steady(answer: &Answer, registry: &Registry) -> String {
    let mut text = format!("{}", answer.status);
    for name in ["content-type", "allow"] {
        text.push_str(&answer.header(name).map(|value| format!("\n{name}: {value}")).unwrap_or_default());
    }
    let Ok(mut body) = serde_json::from_str::<Value>(&answer.body) else {
        return format!("{text}\n\n{}", answer.body);
    };
    blank(&mut body);
    let body = serde_json::to_string_pretty(&body).unwrap();
    let body = body
        .replace(&registry.address.to_string(), "HOST")
        .replace(&registry.agent.unwrap().to_string(), "AGENT");
    format!("{text}\n\n{body}")
}

fn blank(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match name.as_str() {
                    "since" => {
                        let date = field.as_str().unwrap();
                        assert!(date.len() == 20 && date.starts_with("20") && date.ends_with('Z'), "{date}");
                        *field = "DATE".into();
                    }
                    "for_seconds" | "seconds_left" => {
                        assert!(field.as_f64().unwrap() >= 0.0);
                        *field = "SECONDS".into();
                    }
                    "token" => {
                        assert_eq!(field.as_str().unwrap().len(), 32);
                        *field = "TOKEN".into();
                    }
                    "version" => *field = "VERSION".into(),
                    _ => blank(field),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(blank),
        _ => {}
    }
}

async fn shown(registry: &Registry, requests: &[(&str, &str, &str, &str)]) -> String {
    let mut shown = String::new();
    for (method, path, headers, body) in requests {
        let answer = registry.request(method, path, headers, body).await;
        shown.push_str(&format!("# {method} {path} {body}\n{}\n\n", steady(&answer, registry)));
    }
    shown
}

#[tokio::test]
async fn devices_and_searches() {
    let registry = Registry::start().await;
    let one = format!("/v1/devices/{}", UP.replace('-', "").to_lowercase());
    let paths =
        ["/v1/devices", &one, &format!("{one}/catalogue"), "/v1/unidentified", "/v1/searches", "/v1/version"];
    insta::assert_snapshot!(shown(&registry, &paths.map(|path| ("GET", path, "", ""))).await);
}

#[tokio::test]
async fn commands() {
    let registry = Registry::start().await;
    let of = |udid: &str, what: &str| format!("/v1/devices/{udid}/{what}");
    let (tunnel, pair) = (of(&UP.replace('-', ""), "tunnel"), of(UP, "pair"));
    let answers = shown(
        &registry,
        &[
            ("POST", &tunnel, "", ""),
            ("DELETE", &tunnel, "", ""),
            ("POST", &pair, "", ""),
            ("DELETE", &pair, "", ""),
            ("DELETE", &of("gone", "pair"), "", ""),
            ("POST", "/v1/refresh", "", ""),
        ],
    )
    .await;
    insta::assert_snapshot!(answers);
    let plain = UP.replace('-', "");
    let asked =
        [format!("start {plain}"), format!("stop {plain}"), format!("pair {UP}"), format!("unpair {UP}")];
    assert_eq!(registry.asked()[..4], asked);
    assert_eq!(registry.asked()[4..], ["unpair gone", "refresh"]);
}

#[tokio::test]
async fn what_goes_wrong_has_a_code_and_a_next_step() {
    let registry = Registry::start().await;
    let of = |udid: &str, what: &str| format!("/v1/devices/{udid}{what}");
    let answers = shown(
        &registry,
        &[
            ("GET", &of("unknown", ""), "", ""),
            ("GET", &of("unknown", "/catalogue"), "", ""),
            ("GET", &of(WAITING, "/catalogue"), "", ""),
            ("POST", &of("unknown", "/tunnel"), "", ""),
            ("DELETE", &of("unknown", "/tunnel"), "", ""),
            ("POST", &of(WAITING, "/tunnel"), "", ""),
            ("POST", &of(DOWN, "/tunnel"), "", ""),
            ("POST", &of(OLD, "/pair"), "", ""),
            ("DELETE", &of(DOWN, "/pair"), "", ""),
            ("GET", "/v1", "", ""),
            ("GET", "/v1/nowhere", "", ""),
            ("PUT", "/v1/devices", "", ""),
            ("GET", "/v1/refresh", "", ""),
            ("GET", "/v1/devices/%ff", "", ""),
        ],
    )
    .await;
    insta::assert_snapshot!(answers);
}

#[tokio::test]
async fn a_record_that_no_phone_can_have_is_not_looked_for() {
    let registry = Registry::start().await;
    for udid in ["a%20b", "..%2Fhost", "%00", "%c5%bc", &"x".repeat(129)] {
        let answer = registry.request("DELETE", &format!("/v1/devices/{udid}/pair"), "", "").await;
        let problem = &answer.json()["error"];
        assert_eq!((answer.status, &problem["code"]), (400, &"udid".into()), "{udid}: {problem}");
    }
    assert_eq!(registry.asked(), [""; 0]);
}

#[tokio::test]
async fn leases_keep_others_from_taking_a_tunnel_down() {
    let registry = Registry::start().await;
    let lease = format!("/v1/devices/{UP}/lease");
    let wish = r#"{"owner": "ci job 4711", "seconds": 600}"#;
    let granted = registry.request("POST", &lease, "", wish).await.json();
    let token = format!("x-iosmux-lease: {}\r\n", granted["token"].as_str().unwrap());
    let (tunnel, pair) = (format!("/v1/devices/{UP}/tunnel"), format!("/v1/devices/{UP}/pair"));
    let taking_down = [
        ("DELETE", tunnel.as_str()),
        ("DELETE", &pair),
        ("GET", &format!("/cancel?udid={}", UP.replace('-', ""))),
        ("GET", "/clear_tunnels"),
        ("POST", &lease),
        ("DELETE", &lease),
    ];
    for (method, path) in taking_down {
        let answer = registry
            .request(method, path, "x-iosmux-lease: wrong\r\n", if method == "POST" { wish } else { "" })
            .await;
        let problem = &answer.json()["error"];
        assert_eq!((answer.status, &problem["code"]), (409, &"leased".into()), "{method} {path}");
        assert!(problem["message"].as_str().unwrap().contains("ci job 4711"), "{problem}");
    }
    let agents =
        registry.request_at(registry.agent.unwrap(), "DELETE", &format!("/tunnel/{UP}"), "", "").await;
    assert_eq!(agents.status, 409);
    assert_eq!(registry.asked(), [""; 0]);
    let seen = registry.get(&format!("/v1/devices/{UP}")).await.json();
    assert_eq!(seen["device"]["lease"]["owner"], "ci job 4711");
    assert!(!registry.get("/v1/leases").await.body.contains(granted["token"].as_str().unwrap()));

    // Others may go on with other phones, and everybody with starting.
    assert_eq!(registry.request("DELETE", &format!("/v1/devices/{DOWN}/tunnel"), "", "").await.status, 200);
    assert_eq!(registry.request("POST", &tunnel, "", "").await.status, 200);
    // Its holder may do everything.
    for (method, path) in taking_down {
        let body = if method == "POST" { wish } else { "" };
        assert_eq!(registry.request(method, path, &token, body).await.status, 200, "{method} {path}");
    }
    assert_eq!(registry.request("DELETE", &tunnel, "", "").await.status, 200);
}

#[tokio::test]
async fn leases_keep_nobody_from_ending_the_daemon() {
    for agent in [false, true] {
        let registry = Registry::start().await;
        let wish = r#"{"owner": "ci", "seconds": 60}"#;
        let granted = registry.request("POST", &format!("/v1/devices/{UP}/lease"), "", wish).await;
        assert_eq!(granted.status, 200);
        let face = if agent { registry.agent.unwrap() } else { registry.address };
        assert_eq!(registry.request_at(face, "GET", "/shutdown", "", "").await.status, 200);
        assert_eq!(registry.ended().await, Ended::Asked);
    }
}

#[tokio::test]
async fn leases_are_shown_and_refused_in_words() {
    let registry = Registry::start().await;
    let (lease, other) = (format!("/v1/devices/{UP}/lease"), format!("/v1/devices/{DOWN}/lease"));
    let answers = shown(
        &registry,
        &[
            ("POST", &lease, "", r#"{"owner": "ci", "seconds": 60}"#),
            ("GET", "/v1/leases", "", ""),
            ("POST", "/v1/devices/unknown/lease", "", r#"{"owner": "ci", "seconds": 60}"#),
            ("DELETE", &other, "", ""),
            ("POST", &other, "", r#"{"owner": " ", "seconds": 60}"#),
            ("POST", &other, "", r#"{"owner": "ci", "seconds": 0}"#),
            ("POST", &other, "", r#"{"owner": "ci", "seconds": 86401}"#),
            ("POST", &other, "", r#"{"owner": "ci"}"#),
            ("POST", &other, "", r#"{"owner": "ci", "seconds": 1, "more": 1}"#),
            ("POST", &other, "", ""),
            ("POST", &other, "", "["),
        ],
    )
    .await;
    insta::assert_snapshot!(answers);
    let long = registry.request("POST", &other, "", &"x".repeat(5000)).await;
    assert_eq!((long.status, &long.json()["error"]["code"]), (413, &"long-body".into()));
}

#[tokio::test]
async fn every_json_body_names_its_schema() {
    let registry = Registry::start().await;
    let mut schemas = BTreeSet::new();
    for (method, path, agent, headers) in every_endpoint(&registry).await {
        if agent
            || !path.starts_with("/v1/")
            || ["/v1/events", "/v1/metrics", "/v1/openapi.json"].contains(&path.as_str())
        {
            continue;
        }
        let body = if path.ends_with("/lease") { r#"{"owner": "ci", "seconds": 60}"# } else { "" };
        for path in [path.clone(), path.replace(UP, "unknown"), format!("{path}/x")] {
            let answer = registry.request(&method, &path, &headers, body).await.json();
            schemas.insert(
                answer["schema"].as_str().unwrap_or_else(|| panic!("{method} {path}: {answer}")).to_owned(),
            );
        }
    }
    insta::assert_json_snapshot!(schemas);
}

/// Whatever the description names is there, and takes no other method.
#[tokio::test]
async fn routes_and_description_agree() {
    let registry = Registry::start().await;
    let described = registry.get("/v1/openapi.json").await.json();
    for (path, item) in described["paths"].as_object().unwrap() {
        let path = path.replace("{udid}", UP);
        let methods: BTreeSet<String> =
            item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        assert!(path.starts_with("/v1/"), "{path}");
        let wrong = registry.request("PATCH", &path, "", "").await;
        assert_eq!(wrong.status, 405, "{path}");
        let mut allowed: BTreeSet<String> =
            wrong.header("allow").unwrap().split(',').map(str::to_owned).collect();
        allowed.remove("HEAD");
        assert_eq!(allowed, methods, "{path}");
    }
    // Each reference leads somewhere.
    let text = described.to_string();
    for reference in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(described["components"]["schemas"][name].is_object(), "{name}");
    }
}

/// A client that is made from the description knows what input is refused with.
#[tokio::test]
async fn what_input_is_refused_with_is_described() {
    let registry = Registry::start().await;
    let described = registry.get("/v1/openapi.json").await.json();
    let paths = described["paths"].as_object().unwrap();
    for (path, item) in paths.iter().filter(|(path, _)| path.contains("{udid}")) {
        for (method, operation) in item.as_object().unwrap() {
            let path = path.replace("{udid}", "%ff");
            let answer = registry.request(&method.to_uppercase(), &path, "", "").await;
            assert_eq!((answer.status, &answer.json()["error"]["code"]), (400, &"udid".into()), "{path}");
            assert!(operation["responses"]["400"].is_object(), "{method} {path}");
        }
    }
    for status in ["408", "413"] {
        assert!(paths["/v1/devices/{udid}/lease"]["post"]["responses"][status].is_object(), "{status}");
    }
}

#[tokio::test]
async fn metrics_are_in_prometheus_format() {
    let registry = Registry::start().await;
    let answer = registry.get("/metrics").await;
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let mut names = BTreeSet::new();
    let mut steady = String::new();
    for line in answer.body.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            assert!(names.insert(help.split(' ').next().unwrap().to_owned()), "twice: {line}");
        } else if line.starts_with("# TYPE ") {
            assert!(line.ends_with(" gauge") || line.ends_with(" counter"), "{line}");
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(names.contains(name.split('{').next().unwrap()), "{line} has no help");
            let differs = ["process", "uptime", "state_seconds"].iter().any(|part| name.contains(part));
            steady.push_str(&format!("{name} {}\n", if differs { "N" } else { value }));
        }
    }
    insta::assert_snapshot!(steady);
    assert_eq!(registry.get("/v1/metrics").await.status, 200);
}
