//! Wire code does no I/O, reads no clock, has no randomness and is not async.

use super::source::Mentions;

/// Crates that wire code must not name.
const CRATES: &[&str] = &[
    "async_std",
    "fastrand",
    "futures",
    "getrandom",
    "libc",
    "mio",
    "nix",
    "rand",
    "rtnetlink",
    "rustix",
    "smol",
    "socket2",
    "tokio",
    "tokio_util",
];
/// Modules of the standard library that reach outside.
const MODULES: &[&str] = &["std::env", "std::fs", "std::os", "std::process", "std::thread"];
/// Clocks and standard streams.
const ITEMS: &[&str] =
    &["std::time::Instant", "std::time::SystemTime", "std::io::stdin", "std::io::stdout", "std::io::stderr"];
/// What `std::net` has besides sockets: plain data.
const ADDRESSES: &[&str] =
    &["AddrParseError", "IpAddr", "Ipv4Addr", "Ipv6Addr", "SocketAddr", "SocketAddrV4", "SocketAddrV6"];

/// A file that may name one thing from above all the same.
struct Exception {
    file: &'static str,
    prefix: &'static str,
}

/// Each with its reason.
const EXCEPTIONS: &[Exception] = &[
    // h2's frame codec speaks through tokio's I/O traits; the file gives it buffers in memory.
    Exception { file: "crates/xpc/src/session/codec.rs", prefix: "tokio::io" },
];

/// What `file` does that wire code must not.
pub(crate) fn wrong(file: &str, mentions: &Mentions) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, line) in &mentions.paths {
        if let Some(what) = forbidden(path).filter(|_| !excepted(file, path)) {
            wrong.push(format!("{file}:{line}: {path}: wire code has no {what}"));
        }
    }
    for line in &mentions.asyncs {
        wrong.push(format!("{file}:{line}: wire code is not async"));
    }
    wrong.dedup();
    wrong
}

fn excepted(file: &str, path: &str) -> bool {
    EXCEPTIONS.iter().any(|exception| exception.file == file && is_under(path, exception.prefix))
}

fn is_under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn forbidden(path: &str) -> Option<&'static str> {
    let path = path.strip_prefix("core::").map_or_else(|| path.to_owned(), |rest| format!("std::{rest}"));
    let last = path.rsplit("::").next().unwrap_or_default();
    if path.contains("::") && CRATES.iter().any(|name| is_under(&path, name)) {
        return Some("I/O, runtime or randomness of its own");
    }
    if MODULES.iter().any(|module| is_under(&path, module)) {
        return Some("files, threads, processes or environment");
    }
    if ITEMS.iter().any(|item| is_under(&path, item)) || path == "std::time::*" {
        return Some("clock and no standard streams: time is an argument");
    }
    let net = path.strip_prefix("std::net::").and_then(|rest| rest.split("::").next());
    if net.is_some_and(|name| !ADDRESSES.contains(&name)) {
        return Some("sockets");
    }
    let random = ["new_v1", "new_v4", "new_v6", "new_v7", "now_v1", "now_v6", "now_v7", "RandomState"];
    random.contains(&last).then_some("randomness of its own")
}

#[cfg(test)]
mod tests {
    use super::super::source::parse;
    use super::*;

    fn check(text: &str) -> Vec<String> {
        wrong("crates/x/src/a.rs", &parse(text).unwrap())
    }

    #[test]
    fn data_types_pass() {
        let text = "use std::net::{Ipv6Addr, SocketAddrV6}; use std::time::Duration; use std::io::Read;
            fn f(now: Duration) -> Ipv6Addr { Ipv6Addr::LOCALHOST }";
        assert_eq!(check(text), Vec::<String>::new());
    }

    #[test]
    fn each_forbidden_thing_is_named() {
        for text in [
            "use tokio::net::UdpSocket;",
            "fn f() { tokio::spawn(g()); }",
            "use std::net::TcpStream;",
            "use std::net::*;",
            "use std::net; fn f() { net::UdpSocket::bind(a); }",
            "fn f() { std::time::Instant::now(); }",
            "use std::time; fn f() { time::SystemTime::now(); }",
            "use std::time::*;",
            "fn f() { std::thread::sleep(d); }",
            "use std::fs;",
            "fn f() -> u8 { rand::random() }",
            "fn f() { uuid::Uuid::new_v4(); }",
            "async fn f() {}",
            "fn f() { g(async { 1 }); }",
            "fn f() { debug!(\"{}\", std::env::var(\"A\")); }",
        ] {
            assert!(!check(text).is_empty(), "{text} was not found");
        }
    }

    #[test]
    fn the_exception_is_for_one_file_and_one_module() {
        let text = "use tokio::io::AsyncRead;";
        assert!(!check(text).is_empty());
        let codec = "crates/xpc/src/session/codec.rs";
        assert_eq!(wrong(codec, &parse(text).unwrap()), Vec::<String>::new());
        assert!(!wrong(codec, &parse("use tokio::net::TcpStream;").unwrap()).is_empty());
    }
}
