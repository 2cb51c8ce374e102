//! The registry's faces over HTTP.
//!
//! | file | what |
//! |---|---|
//! | `guard` | who may ask; the first thing on every endpoint of every face |
//! | `listener`, `unix` | connections over TCP and the Unix socket, all bounded |
//! | `pymobiledevice3` | pymobiledevice3's tunneld, as its clients know it |
//! | `goios` | go-ios' agent |
//! | `v1` | our own, with its description in OpenAPI |
//! | `metrics` | Prometheus |
//! | `lease`, `journal` | who claims a phone; what happened lately |

mod answer;
mod context;
mod goios;
pub mod guard;
mod journal;
mod lease;
mod listener;
mod metrics;
mod pymobiledevice3;
mod query;
mod unix;
mod v1;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::fleet::Fleet;
use context::Context;
use guard::Hosts;
use listener::Face;
use unix::Socket;

pub(crate) use pymobiledevice3::{UPSTREAMS, normalize as upstream};
pub use unix::SocketConfig;

/// Where the registry's faces are.
#[derive(Debug, Clone, Default)]
pub struct HttpConfig {
    /// Where pymobiledevice3's face and our own listen. Usual: `127.0.0.1:49151`. Source: protocol.md §6.
    pub listen: Vec<SocketAddr>,
    /// Where go-ios' agent listens. Usual: `127.0.0.1:60105`. Source: protocol.md §6.
    pub agent: Option<SocketAddr>,
    /// The Unix socket, with the faces of `listen`.
    pub socket: Option<SocketConfig>,
    /// Names by which others know this registry, beside localhost: only these may be in Host.
    pub hosts: Vec<String>,
    /// Other registries whose phones are listed as well.
    pub upstreams: Vec<String>,
}

/// Why the registry does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// An address is not to be had.
    #[error("the registry can't listen on {address}: {source}; {}", next_step(source))]
    Address {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Another daemon answers on the socket.
    #[error("another daemon answers on {path}: stop it, or configure another socket")]
    SocketInUse {
        /// Where.
        path: PathBuf,
    },
    /// Something else than a socket has the socket's name.
    #[error("{path} is there and is no socket: remove it, or configure another socket")]
    NotASocket {
        /// Where.
        path: PathBuf,
    },
    /// The socket can't be made.
    #[error("the registry's socket {path} can't be made: {source}; its folder must be there and writable")]
    Socket {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An upstream is not an address.
    #[error("{0}")]
    Upstream(String),
}

/// What to do about an address that is not to be had.
fn next_step(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "see which program has the port (`ss -ltnp`), stop it or choose another with --listen"
        }
        io::ErrorKind::AddrNotAvailable => {
            "no interface of this computer has the address: give it to one, or choose another with --listen"
        }
        io::ErrorKind::PermissionDenied => {
            "a port below 1024 needs root or CAP_NET_BIND_SERVICE: choose a higher one with --listen"
        }
        _ => "choose another address with --listen",
    }
}

/// Why [`Server::run`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The caller wanted it.
    Told,
    /// A client asked for the daemon's end, as pymobiledevice3's and go-ios' clients can.
    Asked,
}

/// The listening registry.
#[derive(Debug)]
pub struct Server {
    context: Arc<Context>,
    listeners: Vec<TcpListener>,
    agent: Option<TcpListener>,
    socket: Option<Socket>,
    hosts: Hosts,
}

impl Server {
    /// Takes every address; connections wait until [`Server::run`].
    ///
    /// An agent's port that is taken is no error: go-ios' own agent may be there. It is logged and told by `/v1/version`.
    ///
    /// # Errors
    /// [`BindError`].
    pub async fn bind(config: HttpConfig, fleet: Fleet) -> Result<Self, BindError> {
        let mut listeners = Vec::new();
        for address in &config.listen {
            let listener = TcpListener::bind(address).await;
            listeners.push(listener.map_err(|source| BindError::Address { address: *address, source })?);
        }
        let socket = config.socket.map(Socket::bind).transpose()?;
        let agent = match config.agent {
            None => None,
            Some(address) => match TcpListener::bind(address).await {
                Ok(listener) => Some(listener),
                Err(error) => {
                    tracing::warn!(%address, %error, "go-ios' clients are not served: their agent's port can't be had");
                    None
                }
            },
        };
        let mut faces: Vec<(&'static str, String)> = Vec::new();
        let tcp = |listener: &TcpListener| {
            listener.local_addr().map_or_else(|_| String::new(), |at| at.to_string())
        };
        faces.extend(listeners.iter().map(|listener| ("pymobiledevice3, v1", tcp(listener))));
        faces.extend(agent.iter().map(|listener| ("go-ios", tcp(listener))));
        faces
            .extend(socket.iter().map(|socket| ("pymobiledevice3, v1", socket.path().display().to_string())));
        let context = Context::new(fleet, &config.upstreams, faces).map_err(BindError::Upstream)?;
        let hosts = Hosts { names: config.hosts };
        Ok(Self { context: Arc::new(context), listeners, agent, socket, hosts })
    }

    /// Where it listens over TCP, go-ios' agent left aside.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Where go-ios' agent listens.
    pub fn agent(&self) -> Option<SocketAddr> {
        self.agent.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Where the Unix socket is.
    pub fn socket(&self) -> Option<&Path> {
        self.socket.as_ref().map(Socket::path)
    }

    /// Serves until `shutdown` comes or a client asks for the end, then lets answers finish for two seconds.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Ended {
        let Self { context, listeners, agent, socket, hosts } = self;
        let mut stop = context.stopped();
        let registry = registry(&context);
        let face = |router: Router| Face::new(router, hosts.clone(), Arc::clone(&context));
        let (main, agents) = (face(registry), face(goios::router(Arc::clone(&context))));
        let mut tasks = JoinSet::new();
        for listener in listeners {
            tasks.spawn(listener::serve_tcp(listener, main.clone(), stop.clone()));
        }
        if let Some(listener) = agent {
            tasks.spawn(listener::serve_tcp(listener, agents, stop.clone()));
        }
        if let Some(socket) = socket {
            tasks.spawn(listener::serve_unix(socket, main, stop.clone()));
        }
        tasks.spawn(journal::keep(Arc::clone(&context), stop.clone()));
        let ended = tokio::select! {
            () = shutdown => Ended::Told,
            _ = stop.wait_for(|stop| *stop) => Ended::Asked,
        };
        context.stop();
        while tasks.join_next().await.is_some() {}
        ended
    }
}

/// How long answers may take to end when the daemon does.
const GRACE: Duration = Duration::from_secs(2);

/// The faces of the main listeners.
fn registry(context: &Arc<Context>) -> Router {
    Router::new()
        .nest("/v1", v1::router(Arc::clone(context)))
        .merge(metrics::router(Arc::clone(context)))
        .fallback_service(pymobiledevice3::router(Arc::clone(context)))
}

/// Told once, when everything has to end.
type Stop = watch::Receiver<bool>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_about_an_address_fits_what_the_system_said() {
        let told = |kind: io::ErrorKind| {
            let address = SocketAddr::from(([127, 0, 0, 1], 80));
            BindError::Address { address, source: kind.into() }.to_string()
        };
        use io::ErrorKind::{AddrInUse, AddrNotAvailable, OutOfMemory, PermissionDenied};
        insta::assert_snapshot!(
            [AddrInUse, AddrNotAvailable, PermissionDenied, OutOfMemory].map(told).join("\n")
        );
    }
}
