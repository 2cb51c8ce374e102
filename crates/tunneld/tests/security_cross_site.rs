//! A page of another site lets the browser ask the registry.

mod registry;

use registry::{Registry, assert_all_refused};

#[tokio::test]
async fn security_cross_site() {
    let registry = Registry::start().await;
    let host = format!("host: {}\r\n", registry.address);
    for site in ["cross-site", "same-site", "CROSS-SITE", "nonsense"] {
        assert_all_refused(&registry, &format!("{host}Sec-Fetch-Site: {site}\r\n"), "cross-site").await;
    }
    for origin in ["https://evil.example", "null", "http://localhost:3000", "http://127.0.0.1"] {
        assert_all_refused(&registry, &format!("{host}Origin: {origin}\r\n"), "origin").await;
    }
    for referer in ["https://evil.example/page", "http://127.0.0.1/"] {
        assert_all_refused(&registry, &format!("{host}Referer: {referer}\r\n"), "referer").await;
    }
}

/// Before a browser sends what a page may not send by itself, it asks whether that is allowed.
#[tokio::test]
async fn security_cross_site_preflight_gets_no_permission() {
    let registry = Registry::start().await;
    let headers = "origin: https://evil.example\r\naccess-control-request-method: DELETE\r\n";
    for path in ["/v1/devices/x/tunnel", "/upstream", "/"] {
        let answer = registry.request("OPTIONS", path, headers, "").await;
        assert_eq!(answer.status, 403);
        assert!(answer.headers.iter().all(|(name, _)| !name.starts_with("access-control-")), "{answer:?}");
    }
}

/// What people and programs send passes.
#[tokio::test]
async fn security_cross_site_lets_others_pass() {
    let registry = Registry::start().await;
    for headers in [
        "",
        "sec-fetch-site: none\r\n",
        "sec-fetch-site: same-origin\r\n",
        "user-agent: python-requests/2.32\r\n",
    ] {
        assert_eq!(registry.request("GET", "/hello", headers, "").await.status, 200, "{headers}");
    }
}
