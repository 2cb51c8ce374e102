//! Requests that name another host, or none that can be read.

mod registry;

use iosmux_tunneld::http::HttpConfig;
use proptest::prelude::*;
use registry::{Registry, assert_all_refused, exchange};
use tokio::net::TcpStream;

#[tokio::test]
async fn security_foreign_host() {
    let registry = Registry::start().await;
    for host in ["other.example", "192.0.2.1:49151", "127.1", "localhost.other.example"] {
        assert_all_refused(&registry, &format!("host: {host}\r\n"), "foreign-host").await;
    }
    for hosts in ["host: localhost\r\nhost: localhost\r\n", "host: \r\n", "host: a b\r\n"] {
        assert_all_refused(&registry, hosts, "no-host").await;
    }
}

#[tokio::test]
async fn security_foreign_host_loopback_written_as_ipv6() {
    // What an image of a page sends there: no Sec-Fetch-Site, and no Referer if the page wishes.
    let registry = Registry::start().await;
    for host in ["[::ffff:127.0.0.1]:49151", "[::ffff:7f00:1]"] {
        assert_all_refused(&registry, &format!("host: {host}\r\n"), "foreign-host").await;
    }
}

#[tokio::test]
async fn security_foreign_host_of_a_registry_for_both_families() {
    let both = HttpConfig { listen: vec!["[::]:0".parse().unwrap()], ..HttpConfig::default() };
    let registry = Registry::start_with(both).await;
    let to = ([127, 0, 0, 1], registry.address.port()).into();
    let ask = async |host: &str| {
        registry.request_at(to, "GET", "/hello", &format!("host: {host}\r\n"), "").await.status
    };
    assert_eq!(ask("127.0.0.1").await, 200);
    assert_eq!(ask("[::ffff:127.0.0.1]").await, 403);
}

#[tokio::test]
async fn security_foreign_host_missing() {
    let registry = Registry::start().await;
    for version in ["1.0", "1.1"] {
        let stream = TcpStream::connect(registry.address).await.unwrap();
        let request = format!("GET /shutdown HTTP/{version}\r\nconnection: close\r\n\r\n");
        assert_eq!(exchange(stream, request.as_bytes()).await.status, 403, "{version}");
    }
    assert!(registry.is_running());
}

#[tokio::test]
async fn security_foreign_host_but_configured_names_pass() {
    let hosts = vec!["Lab-1".to_owned(), "fd00::7".to_owned()];
    let registry = Registry::start_with(HttpConfig { hosts, ..HttpConfig::default() }).await;
    let ask =
        async |host: &str| registry.request("GET", "/hello", &format!("host: {host}\r\n"), "").await.status;
    let own = [
        "localhost",
        "localhost:1",
        "LOCALHOST",
        "127.0.0.1",
        "[::1]:49151",
        "lab-1",
        "LAB-1:49151",
        "[fd00::7]:1",
        "[FD00:0::7]",
    ];
    for host in own {
        assert_eq!(ask(host).await, 200, "{host}");
    }
    for host in ["lab-2", "lab-1.example", "xlab-1"] {
        assert_eq!(ask(host).await, 403, "{host}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn security_foreign_host_any_name(hosts in proptest::collection::vec("[a-z0-9.:@\\[\\]%_-]{1,24}", 16)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let registry = Registry::start().await;
            for host in hosts {
                let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
                let own = name.eq_ignore_ascii_case("localhost")
                    || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
                let status = registry.request("GET", "/hello", &format!("host: {host}\r\n"), "").await.status;
                assert!(status == 403 || own, "{host} got {status}");
            }
        });
    }
}
