//! Where a registry is: a URL that people write.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use hyper::Uri;

/// The port of a registry. Source: protocol.md §6.
const PORT: u16 = 49151;

/// A place to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// `http://HOST:PORT`; an IPv6 address without its brackets.
    Tcp { host: String, port: u16 },
    /// `unix:PATH`.
    Unix(PathBuf),
}

/// It is no such URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address of a registry: write http://HOST:PORT or unix:PATH")]
pub(crate) struct UrlError(String);

impl Address {
    /// What the header Host says: the registry answers to its own names only.
    pub(super) fn host(&self) -> String {
        match self {
            Self::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port } => format!("{host}:{port}"),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }

    /// The port, over TCP.
    pub(crate) fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp { port, .. } => Some(*port),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { .. } => write!(f, "http://{}", self.host()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for Address {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let refused = || UrlError(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() { Err(refused()) } else { Ok(Self::Unix(path.into())) };
        }
        let uri: Uri = text.parse().map_err(|_| refused())?;
        let bare = uri.path_and_query().is_none_or(|path| path.as_str() == "/");
        let host = uri.host().filter(|_| uri.scheme_str() == Some("http") && bare).ok_or_else(refused)?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(refused());
        }
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Ok(Self::Tcp { host: host.to_owned(), port: uri.port_u16().unwrap_or(PORT) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_shown() {
        for (text, shown, host) in [
            ("http://127.0.0.1:49151", "http://127.0.0.1:49151", "127.0.0.1:49151"),
            ("http://localhost/", "http://localhost:49151", "localhost:49151"),
            ("http://[::1]:8080", "http://[::1]:8080", "[::1]:8080"),
            ("unix:/run/x.sock", "unix:/run/x.sock", "localhost"),
            ("unix:///run/x.sock", "unix:/run/x.sock", "localhost"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.to_string().as_str(), address.host().as_str()), (shown, host));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "127.0.0.1:49151",
            "https://localhost",
            "http://",
            "http://a/b",
            "http://u@a",
            "unix:",
            "ftp://a",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
