//! DNS rebinding: a page's own host name is made to lead to this computer. To the browser it is the same origin, so that nothing but
//! Host tells.

mod registry;

use iosmux_tunneld::http::HttpConfig;
use registry::{Registry, assert_all_refused};

#[tokio::test]
async fn security_rebinding() {
    let registry = Registry::start().await;
    let port = registry.address.port();
    for host in
        ["evil.example".to_owned(), format!("evil.example:{port}"), format!("127.0.0.1.evil.example:{port}")]
    {
        // What a browser sends then: by its lights the site is the same.
        let headers = format!("host: {host}\r\nsec-fetch-site: same-origin\r\nsec-fetch-mode: cors\r\n");
        assert_all_refused(&registry, &headers, "foreign-host").await;
    }
}

#[tokio::test]
async fn security_rebinding_by_a_whole_url_in_the_request_line() {
    let registry = Registry::start().await;
    let answer = registry.get("http://evil.example/shutdown").await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (403, &"refused-foreign-host".into()));
    assert!(registry.is_running());
    let own = registry.get(&format!("http://{}/hello", registry.address)).await;
    assert_eq!(own.status, 200);
}

#[tokio::test]
async fn security_rebinding_of_a_registry_on_all_addresses() {
    let all = "0.0.0.0:0".parse().unwrap();
    let registry = Registry::start_with(HttpConfig { listen: vec![all], ..HttpConfig::default() }).await;
    let to = ([127, 0, 0, 1], registry.address.port()).into();
    let ask = async |host: &str| {
        registry.request_at(to, "GET", "/hello", &format!("host: {host}\r\n"), "").await.status
    };
    assert_eq!(ask("127.0.0.1").await, 200);
    for host in ["0.0.0.0", "192.0.2.1", "evil.example", "[::]"] {
        assert_eq!(ask(host).await, 403, "{host}");
    }
}
