//! A client of the daemon's registry: one request, one connection, and no waiting for ever.

mod address;
pub(crate) mod wire;

use std::fmt;
use std::io;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

pub(crate) use address::{Address, UrlError};
use wire::{AllUnidentified, Devices, Searches, Version};

/// Where the registry is unless told otherwise. Source: protocol.md §6.
pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:49151";
/// The variable that says where it is.
pub(crate) const URL_VARIABLE: &str = "IOSMUX_TUNNELD_URL";

/// How long an answer may take, connection included.
const DEADLINE: Duration = Duration::from_secs(5);
/// The longest answer, in bytes.
const LONGEST: usize = 16 << 20;

/// The registry at an address.
#[derive(Debug, Clone)]
pub(crate) struct Registry {
    address: Address,
}

/// Why the registry did not tell.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// There is no connection.
    #[error(
        "no daemon answers at {address}: {source}. Start one with `sudo iosmux-tunneld up`, or say where it is with --url or \
         {URL_VARIABLE}"
    )]
    NoDaemon { address: Address, source: io::Error },
    /// Nothing came in time.
    #[error("{address} did not answer {path} within {} s: is it iosmux-tunneld?", DEADLINE.as_secs())]
    Silent { address: Address, path: &'static str },
    /// What came is no HTTP, or too much of it.
    #[error("{address} does not answer {path} as a registry does: {text}")]
    Garbled { address: Address, path: &'static str, text: String },
    /// A refusal, in the daemon's words where it has some.
    #[error("{address} answers {path} with {status}{text}")]
    Status { address: Address, path: &'static str, status: StatusCode, text: String },
}

impl RegistryError {
    /// Whether a daemon is there and this user may not ask it.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::NoDaemon { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
            Self::Status { status, .. } => *status == StatusCode::FORBIDDEN,
            _ => false,
        }
    }
}

/// How the daemon refuses.
#[derive(Deserialize)]
struct Refusal {
    error: Problem,
}

#[derive(Deserialize)]
struct Problem {
    message: String,
}

impl Registry {
    /// The registry at a URL: `http://HOST:PORT` or `unix:PATH`.
    pub(crate) fn at(url: &str) -> Result<Self, UrlError> {
        Ok(Self { address: url.parse()? })
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Every phone with what it waits for.
    pub(crate) async fn devices(&self) -> Result<Devices, RegistryError> {
        self.get("/v1/devices").await
    }

    /// Addresses whose phone is not known.
    pub(crate) async fn unidentified(&self) -> Result<AllUnidentified, RegistryError> {
        self.get("/v1/unidentified").await
    }

    /// How phones are looked for.
    pub(crate) async fn searches(&self) -> Result<Searches, RegistryError> {
        self.get("/v1/searches").await
    }

    /// Which daemon it is.
    pub(crate) async fn version(&self) -> Result<Version, RegistryError> {
        self.get("/v1/version").await
    }

    /// The JSON at a path.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &'static str) -> Result<T, RegistryError> {
        let silent = |_| RegistryError::Silent { address: self.address.clone(), path };
        let (status, body) = timeout(DEADLINE, self.ask(path)).await.map_err(silent)??;
        if status != StatusCode::OK {
            let refusal =
                serde_json::from_slice(&body).map(|refusal: Refusal| format!(": {}", refusal.error.message));
            let text = refusal.unwrap_or_default();
            return Err(RegistryError::Status { address: self.address.clone(), path, status, text });
        }
        serde_json::from_slice(&body).map_err(|error| self.garbled(path, &error))
    }

    async fn ask(&self, path: &'static str) -> Result<(StatusCode, Bytes), RegistryError> {
        let absent = |source| RegistryError::NoDaemon { address: self.address.clone(), source };
        match &self.address {
            Address::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(absent)?;
                self.exchange(stream, path).await
            }
            Address::Unix(socket) => {
                self.exchange(UnixStream::connect(socket).await.map_err(absent)?, path).await
            }
        }
    }

    async fn exchange<S>(&self, stream: S, path: &'static str) -> Result<(StatusCode, Bytes), RegistryError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let garbled = |error: hyper::Error| self.garbled(path, &error);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(garbled)?;
        let request = Request::get(path).header(HOST, self.address.host()).header(ACCEPT, "application/json");
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| self.garbled(path, &error))?;
        let answer = async {
            let response = sender.send_request(request).await.map_err(garbled)?;
            let status = response.status();
            let body = Limited::new(response.into_body(), LONGEST).collect().await;
            Ok((status, body.map_err(|error| self.garbled(path, &error))?.to_bytes()))
        };
        let mut answer = std::pin::pin!(answer);
        tokio::select! {
            answer = &mut answer => answer,
            // The answer may be there although the connection has ended.
            ended = connection => match ended {
                Ok(()) => answer.await,
                Err(error) => Err(garbled(error)),
            },
        }
    }

    fn garbled(&self, path: &'static str, error: &impl fmt::Display) -> RegistryError {
        RegistryError::Garbled { address: self.address.clone(), path, text: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// What the client makes of an answer, and what it had asked.
    async fn told(answer: &'static [u8]) -> (Result<Version, RegistryError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let registry = Registry::at(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let length = stream.read(&mut asked).await.unwrap();
            stream.write_all(answer).await.unwrap();
            String::from_utf8_lossy(&asked[..length]).into_owned()
        };
        tokio::join!(registry.version(), serve)
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_answer_is_read_and_the_host_is_named() {
        let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n\
            {\"name\":\"iosmux-tunneld\",\"version\":\"1.2.3\",\"for_seconds\":4,\"faces\":[],\"more\":1}";
        let (version, asked) = told(answer).await;
        assert_eq!(version.unwrap().version, "1.2.3");
        assert!(asked.starts_with("GET /v1/version HTTP/1.1\r\nhost: 127.0.0.1:"), "{asked}");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_refusal_is_told_in_the_daemons_words() {
        let body = "{\"error\":{\"code\":\"origin\",\"message\":\"a web page sent it\"}}";
        let answer = format!("HTTP/1.1 403 Forbidden\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let (refused, _) = told(answer.leak().as_bytes()).await;
        let text = refused.unwrap_err().to_string();
        assert!(text.ends_with("answers /v1/version with 403 Forbidden: a web page sent it"), "{text}");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_is_no_registry_is_told_apart() {
        for answer in
            [b"SSH-2.0-OpenSSH_9.2\r\n".as_slice(), b"", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]"]
        {
            let (garbled, _) = told(answer).await;
            assert!(matches!(garbled, Err(RegistryError::Garbled { .. })), "{garbled:?}");
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn without_a_daemon_the_sentence_says_how_to_start_one() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let absent = Registry::at(&format!("http://{closed}")).unwrap().devices().await.unwrap_err();
        let text = absent.to_string();
        assert!(text.starts_with(&format!("no daemon answers at http://{closed}: ")), "{text}");
        assert!(text.contains("iosmux-tunneld up") && text.contains("IOSMUX_TUNNELD_URL"), "{text}");
    }
}
